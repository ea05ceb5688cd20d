use async_trait::async_trait;

use super::StoreError;
use crate::clock::Timestamp;
use crate::domain::conversation::{Conversation, Member, NewRoom, RoomName, RoomSummary};
use crate::ids::{ConversationId, UserId};

/// The answer to the creation of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedRoom {
    /// It is new.
    Created(Conversation),
    /// A room of that name exists; it was left as it is. Under the id that was given, it is this very room: the
    /// answer to an earlier attempt was lost.
    NameTaken(Conversation),
    /// The creator has `rooms_max` rooms already.
    TooMany,
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

/// Conversations, the unique names of rooms, and member rows. Joining and leaving a room is a row and a counter, not
/// an entry of the log: a room may have 100,000 members.
#[async_trait]
pub trait ConversationStore: Send + Sync {
    /// Adds a room and, if it has a creator, the creator as moderator; all or nothing, durable when it returns.
    /// Of concurrent calls with one name exactly one is `Created` (S-001, S-076). `rooms_max` bounds the rooms a
    /// creator may have made (archived ones not counted).
    async fn create_room(&self, room: NewRoom, rooms_max: u64) -> Result<CreatedRoom, StoreError>;

    /// One conversation.
    async fn get(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError>;

    /// A room by its name; archived rooms are found too.
    async fn room_by_name(&self, name: &RoomName) -> Result<Option<Conversation>, StoreError>;

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
    async fn join_room(
        &self,
        room: ConversationId,
        user: UserId,
        now: Timestamp,
        rooms_max: u64,
    ) -> Result<JoinedRoom, StoreError>;

    /// Ends the membership; idempotent.
    async fn leave_room(&self, room: ConversationId, user: UserId) -> Result<LeftRoom, StoreError>;

    /// The user's row in a conversation, if there is one.
    async fn member(&self, conversation: ConversationId, user: UserId) -> Result<Option<Member>, StoreError>;

    /// Which of `users` (at most 1,000) are members of the room.
    async fn members_among(
        &self,
        conversation: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, StoreError>;

    /// Moves the user's read pointer to `(seq, ordinal)`; it never moves back (I6). No member row: nothing happens.
    async fn advance_read(
        &self,
        conversation: ConversationId,
        user: UserId,
        seq: u32,
        ordinal: u32,
    ) -> Result<(), StoreError>;

    /// Writes what a conversation's settings are as of entry `seq`; older than what is stored: nothing happens.
    async fn apply_settings(&self, conversation: &Conversation, seq: u32) -> Result<(), StoreError>;
}
