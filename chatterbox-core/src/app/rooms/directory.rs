use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::app::Error;
use crate::domain::conversation::{Conversation, Kind, RoomName};
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::{ConversationStore, StoreError};

/// Rooms, shapes and memberships kept at hand.
const ROOMS_KEPT: usize = 10_000;
const SHAPES_KEPT: usize = 100_000;
const MEMBERS_KEPT: usize = 200_000;

/// For how long a membership that was read is believed. It ends at once for leaves on this node; this is for those on
/// others. Bans don't depend on it: they are entries of the log.
const MEMBERSHIP_BELIEVED: Duration = Duration::from_secs(1);

/// What never changes about a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Between these two; twice the same user for notes to self.
    Direct(UserId, UserId),
    /// A group.
    Group,
    /// A room.
    Room,
}

/// Finds conversations and their members without asking the store for every message.
pub struct Directory {
    store: Arc<dyn ConversationStore>,
    rooms: Cache<RoomName, ConversationId>,
    shapes: Cache<ConversationId, Shape>,
    members: Cache<(ConversationId, UserId), Instant>,
}

impl Directory {
    /// Over `store`.
    pub fn new(store: Arc<dyn ConversationStore>) -> Directory {
        Directory {
            store,
            rooms: Cache::new(ROOMS_KEPT),
            shapes: Cache::new(SHAPES_KEPT),
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

    /// What a conversation is, if there is one of this id.
    pub async fn shape(&self, id: ConversationId) -> Result<Option<Shape>, StoreError> {
        if let Some(known) = self.shapes.get(&id) {
            return Ok(Some(known));
        }
        let Some(conversation) = self.store.get(id).await? else {
            return Ok(None);
        };
        let shape = match conversation.kind {
            Kind::Room(_) => Shape::Room,
            Kind::Group => Shape::Group,
            Kind::Direct => {
                let both = self.store.members(id, None, 2).await?;
                match both.as_slice() {
                    [one] => Shape::Direct(one.user, one.user),
                    [one, other] => Shape::Direct(one.user, other.user),
                    _ => {
                        return Err(StoreError::Corrupt(format!(
                            "direct conversation {id} lacks its members"
                        )));
                    }
                }
            }
        };
        self.shapes.insert(id, shape);
        Ok(Some(shape))
    }

    /// Whether the user is a member of the conversation. Of groups and direct conversations the log decides again.
    pub async fn is_member(&self, room: ConversationId, user: UserId) -> Result<bool, StoreError> {
        if let Some(read_at) = self.members.get(&(room, user))
            && read_at.elapsed() < MEMBERSHIP_BELIEVED
        {
            return Ok(true);
        }
        let asked_at = Instant::now();
        let is_member = self
            .store
            .member(room, user)
            .await?
            .is_some_and(|row| row.is_in());
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
