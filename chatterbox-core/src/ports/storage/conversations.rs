use async_trait::async_trait;

use super::projection::{Projected, Projection};
use super::{Head, StoreError};
use crate::clock::Timestamp;
use crate::domain::conversation::{
    Conversation, Member, NewDirect, NewGroup, NewRoom, Notify, RoomName, RoomSummary,
};
use crate::domain::entry::{Entry, Seq};
use crate::domain::standing::Standing;
use crate::ids::{ConversationId, UserId};

/// The answer to the creation of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedRoom {
    /// It is new.
    Created(Conversation),
    /// A room of that name exists; it was left as it is. Under the id that was given, it is this very room: the
    /// answer to an earlier attempt was lost.
    NameTaken(Conversation),
    /// The creator has made as many rooms as they may.
    MadeTooMany,
    /// The creator is in as many rooms as they may, and would be in this one.
    JoinedTooMany,
}

/// How many rooms a user may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomsMax {
    /// That they have made (archived ones not counted).
    pub made: u64,
    /// That they are in.
    pub joined: u64,
}

/// The answer to opening a direct conversation or making a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The conversation, new or not.
    pub conversation: Conversation,
    /// Whether this call made it. An earlier attempt with the same id was this call.
    pub is_new: bool,
}

/// The answer to joining a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinedRoom {
    /// Whether this call made the user a member (false: was one already, nothing changed).
    Joined {
        /// True on the first membership only.
        first: bool,
        /// Members of the room now.
        members: u64,
    },
    /// The user is in `rooms_max` rooms already.
    TooMany,
    /// The user is banned from it.
    Banned,
}

/// The answer to leaving a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftRoom {
    /// Whether the user was a member until now.
    pub was_member: bool,
    /// Members of the room now.
    pub members: u64,
}

/// A page of rooms in order of name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPage {
    /// The rooms.
    pub rooms: Vec<RoomSummary>,
    /// Whether there are rooms behind the last one.
    pub has_more: bool,
}

/// One of a user's conversations as their list and the digest of a resume begin with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The conversation.
    pub conversation: Conversation,
    /// The user's row.
    pub member: Member,
    /// Where the log ends.
    pub head: Head,
    /// The entry up to which the rows, the user's included, are written: below `head.gov`, an entry behind it may have
    /// ended the membership.
    pub projected: Seq,
}

/// What a list shows of a conversation besides its [`Overview`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// Whose.
    pub conversation: ConversationId,
    /// How many members it has.
    pub member_count: u64,
    /// The first ten of them, in order of id.
    pub members: Vec<Member>,
    /// The last entry that history shows ([`EntryKind::is_shown`](crate::domain::entry::EntryKind::is_shown)).
    pub last: Option<Entry>,
    /// Deleted messages above the user's read pointer.
    pub deleted_unread: u32,
}

/// A read pointer after an attempt to move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPointer {
    /// Whether this call moved it.
    pub moved: bool,
    /// Where it stands.
    pub seq: Seq,
    /// Ordinal there.
    pub ordinal: u32,
}

/// A token that lets its bearer join a group (S-071). Only its SHA-256 is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// Where it leads.
    pub conversation: ConversationId,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// Conversations, the unique names of rooms, and member rows. Joining and leaving a room is a row and a counter, not
/// an entry of the log: a room may have 100,000 members. Members of groups, roles, bans and settings come from the log
/// by [`project`](ConversationStore::project).
#[async_trait]
pub trait ConversationStore: Send + Sync {
    /// Adds a room and, if it has a creator, the creator as moderator; all or nothing, durable when it returns.
    /// Of concurrent calls with one name exactly one is `Created` (S-001, S-076). `rooms_max` bounds the rooms of its
    /// creator, under any race with other creations and joins.
    async fn create_room(&self, room: NewRoom, rooms_max: RoomsMax) -> Result<CreatedRoom, StoreError>;

    /// The direct conversation of a pair; made, with both as members, if there is none. Of concurrent calls from both
    /// sides exactly one is new (S-063). Opening it takes the opener's `hidden_at` away.
    async fn open_direct(&self, direct: NewDirect) -> Result<Created, StoreError>;

    /// The direct conversation of the pair, if there is one.
    async fn direct_of(&self, one: UserId, other: UserId) -> Result<Option<Conversation>, StoreError>;

    /// Adds a group with its members from the beginning; all or nothing. One (creator, idempotency key) makes one
    /// group.
    async fn create_group(&self, group: NewGroup) -> Result<Created, StoreError>;

    /// One conversation.
    async fn get(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError>;

    /// How the conversation stood at the entry up to which it was projected, and that entry: one snapshot.
    async fn standing(&self, id: ConversationId) -> Result<Option<(Standing, Seq)>, StoreError>;

    /// Brings the rows up to date with the log, all of it or nothing; only if they stand at its beginning. Twice is
    /// once. A `Joined` takes up the row of an earlier membership, with its read pointer at the join; read pointers
    /// never move back (I6).
    async fn project(&self, id: ConversationId, projection: Projection) -> Result<Projected, StoreError>;

    /// Conversations whose rows stand below the end of their log, at most `limit`: what a crash between an append and
    /// its projection leaves behind, or a projection that waits for company. May be slow: for the start of a
    /// process, and a worker's sweep once a minute.
    async fn lagging(&self, limit: usize) -> Result<Vec<ConversationId>, StoreError>;

    /// A room by its name, or by one it had before; archived rooms are found too.
    async fn room_by_name(&self, name: &RoomName) -> Result<Option<Conversation>, StoreError>;

    /// Makes `name` lead to the room for ever, though not yet its name: that changes with a settings entry. False if it
    /// leads to another room. Idempotent.
    async fn claim_room_name(&self, name: &RoomName, room: ConversationId) -> Result<bool, StoreError>;

    /// Rooms that are not archived, in order of name, those behind `after`, at most `limit` (1 to 100), each with its
    /// member count and whether `viewer` is a member.
    async fn rooms(
        &self,
        viewer: Option<UserId>,
        after: Option<&RoomName>,
        limit: usize,
    ) -> Result<RoomPage, StoreError>;

    /// One room as in [`rooms`](ConversationStore::rooms).
    async fn room_summary(
        &self,
        id: ConversationId,
        viewer: Option<UserId>,
    ) -> Result<Option<RoomSummary>, StoreError>;

    /// Makes the user a plain member of the room; idempotent. The counter moves with the row. `rooms_max` bounds the
    /// rooms a user may be in. A room that doesn't exist is [`StoreError::Corrupt`]: rooms are never deleted.
    /// The read pointer starts at `head`.
    async fn join_room(
        &self,
        room: ConversationId,
        user: UserId,
        head: Head,
        rooms_max: u64,
    ) -> Result<JoinedRoom, StoreError>;

    /// Ends the membership; idempotent.
    async fn leave_room(&self, room: ConversationId, user: UserId) -> Result<LeftRoom, StoreError>;

    /// The user's row in a conversation, if there is one; also of those who have left.
    async fn member(&self, conversation: ConversationId, user: UserId) -> Result<Option<Member>, StoreError>;

    /// Current members in order of id, those behind `after`, at most `limit` (1 to 1,000).
    async fn members(
        &self,
        conversation: ConversationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError>;

    /// How many current members there are.
    async fn member_count(&self, conversation: ConversationId) -> Result<u64, StoreError>;

    /// Which of `users` (at most 1,000) are current members.
    async fn members_among(
        &self,
        conversation: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, StoreError>;

    /// Everything the user is a member of, in any order, archived ones included: one query, at most `limit`
    /// (to 50,000).
    async fn overview(&self, user: UserId, limit: usize) -> Result<Vec<Overview>, StoreError>;

    /// What a list of the user shows of these conversations (at most 100) besides, in their order: a fixed number of
    /// queries however many they are (S-062).
    async fn glances(&self, user: UserId, ids: &[ConversationId]) -> Result<Vec<Glance>, StoreError>;

    /// The others in the user's direct conversations (S-103), at most `limit` (to 50,000).
    async fn direct_partners(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError>;

    /// Those of `others` (at most 100) who are current members of some conversation that the user is one of as well, in
    /// their order (S-061). Plain rooms count too. A fixed number of queries however many they are.
    async fn acquainted(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError>;

    /// Moves the user's read pointer to `(seq, ordinal)`; it never moves back (I6). `None` if there is no row.
    async fn advance_read(
        &self,
        conversation: ConversationId,
        user: UserId,
        seq: Seq,
        ordinal: u32,
    ) -> Result<Option<ReadPointer>, StoreError>;

    /// Hides the conversation from the user's list while it has no message above this ordinal, or shows it again.
    /// False if there is no row.
    async fn set_hidden(
        &self,
        conversation: ConversationId,
        user: UserId,
        at: Option<u32>,
    ) -> Result<bool, StoreError>;

    /// Sets which messages make a notification. False if there is no row.
    async fn set_notify(
        &self,
        conversation: ConversationId,
        user: UserId,
        notify: Notify,
        mute_until: Option<Timestamp>,
    ) -> Result<bool, StoreError>;

    /// Adds an invite; the same token again changes nothing.
    async fn add_invite(&self, invite: Invite) -> Result<(), StoreError>;

    /// An invite that is good at `now`.
    async fn invite(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<Invite>, StoreError>;

    /// Deletes invites that were good until before `before`, at most `limit` (to 1,000); how many.
    async fn sweep_invites(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;

    /// Takes back all invites of a conversation; how many there were.
    async fn revoke_invites(&self, conversation: ConversationId) -> Result<u64, StoreError>;
}
