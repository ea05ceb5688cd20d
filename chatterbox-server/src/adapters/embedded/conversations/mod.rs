//! Conversations of every kind.
//!
//! ```text
//! rooms     unique names, joining and leaving          members   rows, counters, read pointers
//! private   direct conversations and groups            project   what entries of the log mean for the rows
//! lists     what a user's list shows                   invites   into groups
//! rows      how a row is read
//! ```

mod invites;
mod lists;
mod members;
mod private;
mod project;
mod rooms;
mod rows;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::conversation::{
    Conversation, Member, NewDirect, NewGroup, NewRoom, Notify, RoomName, RoomSummary,
};
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::domain::standing::Standing;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{
    ConversationStore, Created, CreatedRoom, Glance, Head, Invite, JoinedRoom, LeftRoom, Overview, Projected,
    Projection, ReadPointer, RoomPage, RoomsMax, StoreError,
};
use rusqlite::{Connection, OptionalExtension as _};

use self::rows::conversation_columns;
use super::EmbeddedStore;
use super::error::store_error;
use super::writer::Writing;

pub(super) struct EmbeddedConversations(EmbeddedStore);

impl EmbeddedConversations {
    pub(super) fn new(store: &EmbeddedStore) -> EmbeddedConversations {
        EmbeddedConversations(store.clone())
    }

    /// Reads from one snapshot.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.0
            .readers
            .read(move |connection| {
                let snapshot = connection.unchecked_transaction().map_err(store_error)?;
                read(&snapshot).map_err(store_error)
            })
            .await
    }

    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.0
            .writer
            .write(move |writing| write(&writing.connection).map_err(store_error))
            .await
    }
}

fn get(connection: &Connection, id: ConversationId) -> rusqlite::Result<Option<Conversation>> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            conversation_columns!(),
            " FROM conversations c WHERE c.id = ?1"
        ))?
        .query_row([id.as_bytes()], |row| rows::conversation(row, 0))
        .optional()
}

#[async_trait]
impl ConversationStore for EmbeddedConversations {
    async fn create_room(&self, room: NewRoom, rooms_max: RoomsMax) -> Result<CreatedRoom, StoreError> {
        self.write(move |connection| rooms::create(connection, room, rooms_max))
            .await
    }

    async fn open_direct(&self, direct: NewDirect) -> Result<Created, StoreError> {
        self.write(move |connection| private::open_direct(connection, direct))
            .await
    }

    async fn direct_of(&self, one: UserId, other: UserId) -> Result<Option<Conversation>, StoreError> {
        let pair = (one.min(other), one.max(other));
        self.read(move |connection| private::direct_of(connection, pair))
            .await
    }

    async fn create_group(&self, group: NewGroup) -> Result<Created, StoreError> {
        self.write(move |connection| private::create_group(connection, group))
            .await
    }

    async fn get(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        self.read(move |connection| get(connection, id)).await
    }

    async fn standing(&self, id: ConversationId) -> Result<Option<(Standing, Seq)>, StoreError> {
        self.read(move |connection| project::standing(connection, id))
            .await
    }

    async fn project(&self, id: ConversationId, projection: Projection) -> Result<Projected, StoreError> {
        self.0
            .writer
            .write(move |writing| project::project(writing, id, &projection))
            .await?
    }

    async fn lagging(&self, limit: usize) -> Result<Vec<ConversationId>, StoreError> {
        // It compares with what has settled.
        let settling = |writing: &mut Writing| writing.settle_all().map_err(store_error);
        self.0.writer.write(settling).await?;
        self.read(move |connection| project::lagging(connection, limit))
            .await
    }

    async fn room_by_name(&self, name: &RoomName) -> Result<Option<Conversation>, StoreError> {
        let name = name.clone();
        self.read(move |connection| rooms::by_name(connection, &name))
            .await
    }

    async fn claim_room_name(&self, name: &RoomName, room: ConversationId) -> Result<bool, StoreError> {
        let name = name.clone();
        self.write(move |connection| rooms::claim(connection, &name, room))
            .await
    }

    async fn rooms(
        &self,
        viewer: Option<UserId>,
        after: Option<&RoomName>,
        limit: usize,
    ) -> Result<RoomPage, StoreError> {
        // No name is empty, and every name is behind the empty one.
        let after = after.map_or(String::new(), |name| name.as_str().to_owned());
        self.read(move |connection| rooms::page(connection, viewer, &after, limit))
            .await
    }

    async fn room_summary(
        &self,
        id: ConversationId,
        viewer: Option<UserId>,
    ) -> Result<Option<RoomSummary>, StoreError> {
        self.read(move |connection| rooms::one(connection, id, viewer))
            .await
    }

    async fn join_room(
        &self,
        room: ConversationId,
        user: UserId,
        head: Head,
        rooms_max: u64,
    ) -> Result<JoinedRoom, StoreError> {
        self.write(move |connection| rooms::join(connection, room, user, head, rooms_max))
            .await?
            .ok_or_else(|| StoreError::Corrupt(format!("no room {room} to join")))
    }

    async fn leave_room(&self, room: ConversationId, user: UserId) -> Result<LeftRoom, StoreError> {
        self.write(move |connection| rooms::leave(connection, room, user))
            .await
    }

    async fn member(&self, conversation: ConversationId, user: UserId) -> Result<Option<Member>, StoreError> {
        self.read(move |connection| members::one(connection, conversation, user))
            .await
    }

    async fn members(
        &self,
        conversation: ConversationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        self.read(move |connection| members::page(connection, conversation, after, limit))
            .await
    }

    async fn member_count(&self, conversation: ConversationId) -> Result<u64, StoreError> {
        let count = self
            .read(move |connection| members::count(connection, conversation))
            .await?;
        Ok(count.unwrap_or(0))
    }

    async fn members_among(
        &self,
        conversation: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, StoreError> {
        let users = users.to_vec();
        self.read(move |connection| members::among(connection, conversation, users))
            .await
    }

    async fn overview(&self, user: UserId, limit: usize) -> Result<Vec<Overview>, StoreError> {
        let ids = self
            .read(move |connection| lists::ids(connection, user, limit))
            .await?;
        // Before the rows are read, as every read of a log.
        let heads = self.0.unsettled.heads(&ids);
        self.read(move |connection| lists::overview(connection, user, &ids, &heads))
            .await
    }

    async fn glances(&self, user: UserId, ids: &[ConversationId]) -> Result<Vec<Glance>, StoreError> {
        let ids = ids.to_vec();
        let last = self.0.unsettled.last_shown(&ids);
        self.read(move |connection| lists::glances(connection, user, &ids, &last))
            .await
    }

    async fn direct_partners(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.read(move |connection| members::direct_partners(connection, user, limit))
            .await
    }

    async fn acquainted(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        let others = others.to_vec();
        self.read(move |connection| members::acquainted(connection, user, others))
            .await
    }

    async fn advance_read(
        &self,
        conversation: ConversationId,
        user: UserId,
        seq: Seq,
        ordinal: u32,
    ) -> Result<Option<ReadPointer>, StoreError> {
        self.write(move |connection| members::advance_read(connection, conversation, user, (seq, ordinal)))
            .await
    }

    async fn set_hidden(
        &self,
        conversation: ConversationId,
        user: UserId,
        at: Option<u32>,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| members::set_hidden(connection, conversation, user, at))
            .await
    }

    async fn set_notify(
        &self,
        conversation: ConversationId,
        user: UserId,
        notify: Notify,
        mute_until: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| {
            members::set_notify(connection, conversation, user, (notify, mute_until))
        })
        .await
    }

    async fn add_invite(&self, invite: Invite) -> Result<(), StoreError> {
        self.write(move |connection| invites::add(connection, &invite))
            .await
    }

    async fn invite(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<Invite>, StoreError> {
        let token_hash = *token_hash;
        self.read(move |connection| invites::get(connection, token_hash, now))
            .await
    }

    async fn sweep_invites(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.write(move |connection| invites::sweep(connection, before, limit))
            .await
    }

    async fn revoke_invites(&self, conversation: ConversationId) -> Result<u64, StoreError> {
        self.write(move |connection| invites::revoke_all(connection, conversation))
            .await
    }
}
