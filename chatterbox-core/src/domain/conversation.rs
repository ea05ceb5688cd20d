//! Conversations, rooms and members.

use serde::{Deserialize, Serialize};

use super::entry::Seq;
use super::limits;
pub use super::room_name::{RoomName, RoomNameError};
use crate::clock::Timestamp;
use crate::ids::{ConversationId, UserId};

/// What sort of conversation it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Two people, or one alone (notes to self). Its members never change.
    Direct,
    /// Invited people with an owner.
    Group,
    /// Open to everyone, under a unique name.
    Room(RoomName),
}

/// A conversation as its settings stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Id.
    pub id: ConversationId,
    /// Sort, with the name of a room.
    pub kind: Kind,
    /// Name of a group.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Who finds it and may join by themselves.
    pub visibility: Visibility,
    /// What new members see of the time before them.
    pub history: History,
    /// Who made it; rooms of the first start have nobody.
    pub creator: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
    /// Closed for good: readable, but nothing is added.
    pub archived: bool,
}

/// Who may join a conversation by themselves (S-004, S-071). Rooms are public, direct conversations private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Whom an admin adds or invites.
    #[default]
    Private,
    /// Everyone who knows it.
    Public,
}

/// What a new member sees of what was written before (S-004, S-067).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// Everything.
    #[default]
    All,
    /// Nothing: only what comes behind the entry of the join.
    SinceJoin,
}

/// A room about to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// Made before the first attempt.
    pub id: ConversationId,
    /// Unique name.
    pub name: RoomName,
    /// What it is about.
    pub description: Option<String>,
    /// Becomes its moderator; nobody for rooms of the first start.
    pub creator: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
}

/// A direct conversation about to be opened: unique per unordered pair (S-003, S-063).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewDirect {
    /// Made before the first attempt.
    pub id: ConversationId,
    /// Who opens it.
    pub creator: UserId,
    /// With whom; the creator again for notes to self.
    pub peer: UserId,
    /// When.
    pub created_at: Timestamp,
}

impl NewDirect {
    /// The pair in an order of its own.
    pub fn pair(&self) -> (UserId, UserId) {
        (self.creator.min(self.peer), self.creator.max(self.peer))
    }
}

/// A group about to be made (S-004, S-064).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup {
    /// Made before the first attempt.
    pub id: ConversationId,
    /// As [`title`] lets it be.
    pub title: String,
    /// What it is about.
    pub description: Option<String>,
    /// Who may join by themselves.
    pub visibility: Visibility,
    /// What later members see of the time before them.
    pub history: History,
    /// Becomes its owner.
    pub creator: UserId,
    /// The other first members, without the creator, each once.
    pub members: Vec<UserId>,
    /// A key of the creator's own, so that the same group isn't made twice (S-064); unique per creator.
    pub idempotency_key: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// A room in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSummary {
    /// The room.
    pub conversation: Conversation,
    /// How many members it has.
    pub members: u64,
    /// Whether the viewer is one.
    pub joined: bool,
}

/// What a member may do (SPEC.md section 1, Roles).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Of a group: exactly one.
    Owner,
    /// Of a group: manages members and settings.
    Admin,
    /// Of a room: renames, removes messages, bans.
    Moderator,
    /// Reads and writes.
    Member,
}

/// A user's row in a conversation. It stays when they leave, and is taken up again when they come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub user: UserId,
    /// What they may do; what they might last do if they have left.
    pub role: Role,
    /// The entry of their join; zero if they are a member from the beginning, or of a room.
    pub joined_seq: Seq,
    /// The entry that ended it; `None` while they are a member.
    pub left_seq: Option<Seq>,
    /// Read up to this entry.
    pub read_seq: Seq,
    /// Ordinal at that entry.
    pub read_ordinal: u32,
    /// Hidden from the list while the conversation has no message above this ordinal (S-063).
    pub hidden_at: Option<u32>,
    /// Which messages make a notification (S-122).
    pub notify: Notify,
    /// Until when no message makes one.
    pub mute_until: Option<Timestamp>,
}

impl Member {
    /// A member from the entry `joined_seq` on, with everything up to it read.
    pub fn new(
        conversation: ConversationId,
        user: UserId,
        role: Role,
        joined_seq: Seq,
        ordinal: u32,
    ) -> Member {
        Member {
            conversation,
            user,
            role,
            joined_seq,
            left_seq: None,
            read_seq: joined_seq,
            read_ordinal: ordinal,
            hidden_at: None,
            notify: Notify::default(),
            mute_until: None,
        }
    }

    /// Whether they are a member now.
    pub fn is_in(&self) -> bool {
        self.left_seq.is_none()
    }

    /// Messages they have not read, `deleted` ones above their pointer aside. Counted to one above
    /// [`limits::UNREAD_COUNTED_MAX`], which clients show as `1000+`.
    pub fn unread(&self, ordinal_of_head: u32, deleted: u32) -> u32 {
        let above = ordinal_of_head.saturating_sub(self.read_ordinal);
        above.saturating_sub(deleted).min(limits::UNREAD_COUNTED_MAX + 1)
    }

    /// Whether the list doesn't show the conversation, whose newest message has this ordinal.
    pub fn is_hidden(&self, ordinal_of_head: u32) -> bool {
        self.hidden_at.is_some_and(|at| ordinal_of_head <= at)
    }

    /// The number above which they may see entries of `conversation`.
    pub fn sees_above(&self, conversation: &Conversation) -> Seq {
        match conversation.history {
            History::All => Seq::ZERO,
            // The entry of the join itself is theirs.
            History::SinceJoin => Seq(self.joined_seq.0.saturating_sub(1)),
        }
    }
}

/// Which messages make a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Notify {
    /// Every message.
    #[default]
    All,
    /// Those that mention the member.
    Mentions,
    /// None.
    None,
}

/// Why a text is no title of a group: not 1 to 100 code points after trimming (S-004).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 100 code points")]
pub struct TitleError;

/// A title as it is stored: trimmed, without control characters and direction controls (THREATS.md F1).
pub fn title(text: &str) -> Result<String, TitleError> {
    if text.len() > 4096 {
        return Err(TitleError);
    }
    let kept: String = text
        .chars()
        .filter(|char| !char.is_control() && !super::text::is_bidi_control(*char))
        .collect();
    let kept = kept.trim();
    let drawn = kept
        .chars()
        .any(|char| !char.is_whitespace() && !super::text::is_default_ignorable(char));
    if drawn && limits::TITLE_CHARS.contains(&kept.chars().count()) {
        Ok(kept.to_owned())
    } else {
        Err(TitleError)
    }
}

/// Why a text describes no conversation: over [`limits::ROOM_DESCRIPTION_CHARS_MAX`] code points after trimming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at most 250 code points")]
pub struct DescriptionError;

/// What a conversation is about, as it is stored: trimmed, without control characters and direction controls. An
/// empty text says nothing.
pub fn description(text: &str) -> Result<String, DescriptionError> {
    let kept: String = text
        .chars()
        .filter(|char| !char.is_control() && !super::text::is_bidi_control(*char))
        .collect();
    let kept = kept.trim();
    if kept.chars().count() > limits::ROOM_DESCRIPTION_CHARS_MAX {
        return Err(DescriptionError);
    }
    Ok(kept.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_trimmed_and_bounded() {
        // S-004.
        for (text, expected) in [
            (" Team ", Ok("Team".to_owned())),
            ("a\u{0}\u{202e}b", Ok("ab".to_owned())),
            ("", Err(TitleError)),
            (" \n ", Err(TitleError)),
            ("\u{200b}", Err(TitleError)),
            (&"é".repeat(100), Ok("é".repeat(100))),
            (&"é".repeat(101), Err(TitleError)),
        ] {
            assert_eq!(title(text), expected, "{text:.20}");
        }
    }
}
