//! Conversations of every kind.
//!
//! ```text
//! create    rooms, direct conversations, groups     members   rows and read pointers
//! rooms     names, joining and leaving              lists     what a user's list shows
//! begin ──▶ intent ──▶ finish                       rows      how a row is read
//!   all or nothing without transactions             invites   into groups
//! joins     of one room, together                   standing  a snapshot
//! sweep     what dead nodes have begun              lagging   behind their logs
//! ```

mod begin;
mod create;
mod finish;
mod intent;
mod invites;
mod joins;
mod lagging;
mod lists;
mod members;
mod rooms;
mod rows;
mod standing;
mod sweep;

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
use mongodb::Collection;
use mongodb::bson::{Document, doc};

use self::begin::Begun;
use self::intent::{Steps, Work};
use self::rows::{ConversationRow, MemberRow};
use super::command::update_all;
use super::error::corrupt;
use super::ids::{Id as _, long};
use super::{Shared, replies};

pub(super) use begin::Turns;
pub(super) use finish::Place;
pub(super) use intent::{MessageAt, MessageRow, MessageWord};
pub(super) use invites::InviteRow;
pub(super) use joins::Joins;
pub(super) use sweep::finish_regularly;

pub(super) struct MongoConversations {
    shared: Shared,
    conversations: Collection<ConversationRow>,
    members: Collection<MemberRow>,
}

fn missing(id: ConversationId) -> StoreError {
    corrupt(format!("there is no conversation {id}"))
}

impl MongoConversations {
    pub(super) fn new(shared: &Shared) -> MongoConversations {
        MongoConversations {
            conversations: shared.database.collection("conversations"),
            members: shared.database.collection("members"),
            shared: shared.clone(),
        }
    }

    async fn row(&self, id: ConversationId) -> Result<Option<ConversationRow>, StoreError> {
        self.find_row(doc! { "_id": id.oid() }).await
    }

    async fn find_row(&self, filter: Document) -> Result<Option<ConversationRow>, StoreError> {
        let find = self.conversations.find_one(filter);
        Ok(self.shared.gate.call(find.into_future()).await?)
    }

    async fn write(&self, collection: &str, statements: Vec<Document>) -> Result<(), StoreError> {
        update_all(&self.shared.database, &self.shared.gate, collection, statements).await
    }

    /// What nobody misses: where senders have read up to, and which messages answer which. Both only ever move on, so
    /// they need no intent; if the rows turn out to stand elsewhere, it was true all the same. 2 round trips.
    async fn project_the_rest(
        &self,
        id: ConversationId,
        projection: &Projection,
    ) -> Result<bool, StoreError> {
        let steps = Steps::from(projection);
        tokio::try_join!(
            self.write("members", finish::pointers(id, &steps.pointers)?),
            self.write("replies", replies::statements(id, &steps.replies)?),
        )?;
        let stands = doc! { "_id": id.oid(), "projected": long(projection.from.0), "intent": null };
        let moves = doc! { "$set": { "projected": long(projection.to.0) } };
        let moved = self.conversations.update_one(stands, moves);
        let moved = self.shared.gate.call(moved.into_future()).await?;
        Ok(moved.matched_count == 1)
    }
}

#[async_trait]
impl ConversationStore for MongoConversations {
    async fn create_room(&self, room: NewRoom, rooms_max: RoomsMax) -> Result<CreatedRoom, StoreError> {
        self.make_room(room, rooms_max).await
    }

    async fn open_direct(&self, direct: NewDirect) -> Result<Created, StoreError> {
        self.make_direct(direct).await
    }

    async fn direct_of(&self, one: UserId, other: UserId) -> Result<Option<Conversation>, StoreError> {
        let row = self.direct_row((one.min(other), one.max(other))).await?;
        row.map(|row| row.conversation()).transpose()
    }

    async fn create_group(&self, group: NewGroup) -> Result<Created, StoreError> {
        self.make_group(group).await
    }

    async fn get(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        let row = self.row(id).await?;
        row.map(|row| row.conversation()).transpose()
    }

    async fn standing(&self, id: ConversationId) -> Result<Option<(Standing, Seq)>, StoreError> {
        self.read_standing(id).await
    }

    async fn project(&self, id: ConversationId, projection: Projection) -> Result<Projected, StoreError> {
        if !projection.is_urgent() && self.project_the_rest(id, &projection).await? {
            return Ok(Projected::Applied);
        }
        let from = doc! { "projected": long(projection.from.0) };
        let work = Work::Project(Steps::from(&projection));
        match self.begin(id, &from, &work).await? {
            Begun::Done { .. } => Ok(Projected::Applied),
            Begun::Elsewhere(row) => Ok(Projected::StandsAt(row.projected()?)),
            Begun::Nowhere => Err(missing(id)),
        }
    }

    async fn lagging(&self, limit: usize) -> Result<Vec<ConversationId>, StoreError> {
        self.find_lagging(limit).await
    }

    async fn room_by_name(&self, name: &RoomName) -> Result<Option<Conversation>, StoreError> {
        let row = self.find_row(doc! { "names": name.as_str() }).await?;
        row.map(|row| row.conversation()).transpose()
    }

    async fn claim_room_name(&self, name: &RoomName, room: ConversationId) -> Result<bool, StoreError> {
        self.claim(name, room).await
    }

    async fn rooms(
        &self,
        viewer: Option<UserId>,
        after: Option<&RoomName>,
        limit: usize,
    ) -> Result<RoomPage, StoreError> {
        self.room_page(viewer, after, limit).await
    }

    async fn room_summary(
        &self,
        id: ConversationId,
        viewer: Option<UserId>,
    ) -> Result<Option<RoomSummary>, StoreError> {
        self.one_room(id, viewer).await
    }

    async fn join_room(
        &self,
        room: ConversationId,
        user: UserId,
        head: Head,
        rooms_max: u64,
    ) -> Result<JoinedRoom, StoreError> {
        self.join(room, user, head, rooms_max).await
    }

    async fn leave_room(&self, room: ConversationId, user: UserId) -> Result<LeftRoom, StoreError> {
        self.leave(room, user).await
    }

    async fn member(&self, conversation: ConversationId, user: UserId) -> Result<Option<Member>, StoreError> {
        self.one_member(conversation, user).await
    }

    async fn members(
        &self,
        conversation: ConversationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        self.member_page(conversation, after, limit).await
    }

    async fn member_count(&self, conversation: ConversationId) -> Result<u64, StoreError> {
        match self.row(conversation).await? {
            Some(row) => self.counted(row).await?.members(),
            None => Ok(0),
        }
    }

    async fn members_among(
        &self,
        conversation: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, StoreError> {
        self.among(conversation, users).await
    }

    async fn overview(&self, user: UserId, limit: usize) -> Result<Vec<Overview>, StoreError> {
        self.read_overview(user, limit).await
    }

    async fn glances(&self, user: UserId, ids: &[ConversationId]) -> Result<Vec<Glance>, StoreError> {
        self.read_glances(user, ids).await
    }

    async fn direct_partners(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.partners(user, limit).await
    }

    async fn acquainted(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        self.who_shares(user, others).await
    }

    async fn advance_read(
        &self,
        conversation: ConversationId,
        user: UserId,
        seq: Seq,
        ordinal: u32,
    ) -> Result<Option<ReadPointer>, StoreError> {
        self.advance(conversation, user, (seq, ordinal)).await
    }

    async fn set_hidden(
        &self,
        conversation: ConversationId,
        user: UserId,
        at: Option<u32>,
    ) -> Result<bool, StoreError> {
        self.hide(conversation, user, at).await
    }

    async fn set_notify(
        &self,
        conversation: ConversationId,
        user: UserId,
        notify: Notify,
        mute_until: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        self.notify(conversation, user, (notify, mute_until)).await
    }

    async fn add_invite(&self, invite: Invite) -> Result<(), StoreError> {
        invites::add(&self.shared, &invite).await
    }

    async fn invite(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<Invite>, StoreError> {
        invites::get(&self.shared, token_hash, now).await
    }

    async fn sweep_invites(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        invites::sweep(&self.shared, before, limit).await
    }

    async fn revoke_invites(&self, conversation: ConversationId) -> Result<u64, StoreError> {
        invites::revoke_all(&self.shared, conversation).await
    }
}
