//! Every length a client can run into, in one table: the rules check against it and the OpenAPI document prints it.
//!
//! Counts are of Unicode code points unless the name says otherwise.

use std::ops::RangeInclusive;

/// A username, after normalisation (S-052).
pub const USERNAME_CHARS: RangeInclusive<usize> = 3..=32;
/// A name shown beside the username, after trimming.
pub const DISPLAY_NAME_CHARS: RangeInclusive<usize> = 1..=64;
/// What somebody looks for people by, after trimming (S-059).
pub const USER_QUERY_CHARS: RangeInclusive<usize> = 1..=64;
/// A password (S-047). What is longer is refused before it is hashed (THREATS.md C8).
pub const PASSWORD_CHARS: RangeInclusive<usize> = 8..=128;
/// An email address, from `a@b.cd` to the longest path of RFC 5321 less its brackets.
pub const EMAIL_CHARS: RangeInclusive<usize> = 6..=254;
/// The part of an address before the `@` (RFC 5321 section 4.5.3.1.1).
pub const EMAIL_LOCAL_BYTES_MAX: usize = 64;
/// One label of a domain name (RFC 1035 section 2.3.4).
pub const DOMAIN_LABEL_BYTES_MAX: usize = 63;
/// Combining marks in a row; more of them only serve to paint over the neighbours (THREATS.md F1).
pub const COMBINING_MARKS_MAX: usize = 4;
/// A room's name; its pattern is ASCII, so these are bytes too (S-076).
pub const ROOM_NAME_CHARS: RangeInclusive<usize> = 2..=32;
/// What a room is about.
pub const ROOM_DESCRIPTION_CHARS_MAX: usize = 250;
/// A group's title, after trimming (S-004).
pub const TITLE_CHARS: RangeInclusive<usize> = 1..=100;
/// Unread messages are counted so far; what is above is shown as `1000+` (SPEC.md section 1, Unread).
pub const UNREAD_COUNTED_MAX: u32 = 1000;
/// Messages named by one `mark-read` (S-091).
pub const READ_IDS_MAX: usize = 500;
/// What is looked for in messages (THREATS.md E2).
pub const SEARCH_CHARS_MAX: usize = 256;
/// Words looked for at once.
pub const SEARCH_TERMS_MAX: usize = 8;
/// Conversations searched by one question to the store; who is in more is answered by several.
pub const CONVERSATIONS_SEARCHED_MAX: usize = 5_000;
/// Different emoji on one message (S-132).
pub const EMOJI_PER_MESSAGE_MAX: usize = 20;
/// Reactions of all users on one message: every message object lists them.
pub const REACTIONS_PER_MESSAGE_MAX: usize = 500;
/// Users banned from one conversation.
pub const BANS_MAX: usize = 10_000;
/// Users added by one call (S-067).
pub const PARTICIPANTS_PER_CALL_MAX: usize = 255;
/// Ids that one call may list.
pub const IDS_PER_CALL_MAX: usize = 1000;
/// Participants shown with a conversation in a list; the rest is counted (S-062).
pub const PARTICIPANTS_SHOWN: usize = 10;
/// Seconds for which an invite is good (S-071): a minute to 30 days, 7 days if nothing is said.
pub const INVITE_SECS: RangeInclusive<u64> = 60..=30 * 24 * 3600;
/// See [`INVITE_SECS`].
pub const INVITE_SECS_DEFAULT: u64 = 7 * 24 * 3600;
/// Conversations of one user that their list and the digest of a resume look at: more than anybody comes to have, and
/// few enough to be held in memory for a moment.
pub const CONVERSATIONS_LISTED_MAX: usize = 50_000;
/// An `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 64;
/// The `User-Agent` kept with a session.
pub const USER_AGENT_CHARS_MAX: usize = 200;
/// Items of a page: more is clamped to the end of the range (SPEC.md section 1, Pagination).
pub const PAGE_ITEMS: RangeInclusive<usize> = 1..=100;
/// Items of a page when the client names no number.
pub const PAGE_ITEMS_DEFAULT: usize = 50;
/// A `page` number, for older clients.
pub const PAGE_NUMBER: RangeInclusive<usize> = 1..=20;
