use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::app::Error;
use crate::domain::conversation::{Conversation, RoomName};
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::{ConversationStore, StoreError};

/// Rooms and memberships kept at hand.
const ROOMS_KEPT: usize = 10_000;
const MEMBERS_KEPT: usize = 200_000;

/// For how long a membership that was read is believed. It ends at once for leaves on this node; this is for those on
/// others. Bans don't depend on it: they are entries of the log.
const MEMBERSHIP_BELIEVED: Duration = Duration::from_secs(1);

/// Finds rooms by name and members of rooms without asking the store for every message.
pub struct Directory {
    store: Arc<dyn ConversationStore>,
    rooms: Cache<RoomName, ConversationId>,
    members: Cache<(ConversationId, UserId), Instant>,
}

impl Directory {
    /// Over `store`.
    pub fn new(store: Arc<dyn ConversationStore>) -> Directory {
        Directory {
            store,
            rooms: Cache::new(ROOMS_KEPT),
            members: Cache::new(MEMBERS_KEPT),
        }
    }

    /// The id of a room; names never go to another room.
    pub async fn id_of(&self, name: &str) -> Result<ConversationId, Error> {
        let name = RoomName::look_up(name).ok_or(Error::NotFound("room"))?;
        if let Some(id) = self.rooms.get(&name) {
            return Ok(id);
        }
        let room = self
            .store
            .room_by_name(&name)
            .await?
            .ok_or(Error::NotFound("room"))?;
        self.rooms.insert(name, room.id);
        Ok(room.id)
    }

    /// The room as stored.
    pub async fn room(&self, name: &str) -> Result<Conversation, Error> {
        let name = RoomName::look_up(name).ok_or(Error::NotFound("room"))?;
        self.store
            .room_by_name(&name)
            .await?
            .ok_or(Error::NotFound("room"))
    }

    /// Whether the user is a member of the room.
    pub async fn is_member(&self, room: ConversationId, user: UserId) -> Result<bool, StoreError> {
        if let Some(read_at) = self.members.get(&(room, user))
            && read_at.elapsed() < MEMBERSHIP_BELIEVED
        {
            return Ok(true);
        }
        let asked_at = Instant::now();
        let is_member = self.store.member(room, user).await?.is_some();
        if is_member {
            self.members.insert((room, user), asked_at);
        } else {
            self.members.remove(&(room, user));
        }
        Ok(is_member)
    }

    /// The user has left: the next question asks the store.
    pub fn forget_member(&self, room: ConversationId, user: UserId) {
        self.members.remove(&(room, user));
    }
}
