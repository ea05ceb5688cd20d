use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Mutex;

use async_trait::async_trait;

use super::lock;
use crate::clock::Timestamp;
use crate::domain::conversation::{Conversation, Kind, Member, NewRoom, Role, RoomName, RoomSummary};
use crate::domain::entry::Seq;
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::{ConversationStore, CreatedRoom, JoinedRoom, LeftRoom, RoomPage, StoreError};

/// Conversations, room names and members in memory.
#[derive(Debug)]
pub struct MemoryConversations {
    entries: usize,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    by_id: HashMap<ConversationId, Conversation>,
    by_name: BTreeMap<RoomName, ConversationId>,
    members: HashMap<ConversationId, HashMap<UserId, Member>>,
    memberships: usize,
}

impl MemoryConversations {
    /// At most `entries` conversations and members together.
    pub fn new(entries: usize) -> MemoryConversations {
        MemoryConversations {
            entries,
            rows: Mutex::default(),
        }
    }
}

impl Rows {
    fn len(&self) -> usize {
        self.by_id.len() + self.memberships
    }

    fn find(&self, name: &RoomName) -> Option<&Conversation> {
        self.by_name.get(name).and_then(|id| self.by_id.get(id))
    }

    fn member_count(&self, room: ConversationId) -> u64 {
        self.members.get(&room).map_or(0, |members| members.len() as u64)
    }

    fn made_by(&self, creator: UserId) -> u64 {
        let made = |room: &&Conversation| {
            room.creator == Some(creator) && !room.archived && matches!(room.kind, Kind::Room(_))
        };
        self.by_id.values().filter(made).count() as u64
    }

    fn rooms_of(&self, user: UserId) -> u64 {
        self.members
            .values()
            .filter(|members| members.contains_key(&user))
            .count() as u64
    }

    fn add_member(&mut self, conversation: ConversationId, user: UserId, role: Role) {
        let member = Member {
            conversation,
            user,
            role,
            read_seq: Seq::ZERO,
            read_ordinal: 0,
        };
        let members = self.members.entry(conversation).or_default();
        if members.insert(user, member).is_none() {
            self.memberships += 1;
        }
    }

    fn summary(&self, room: &Conversation, viewer: Option<UserId>) -> RoomSummary {
        let members = self.members.get(&room.id);
        RoomSummary {
            conversation: room.clone(),
            members: self.member_count(room.id),
            joined: viewer.is_some_and(|user| members.is_some_and(|members| members.contains_key(&user))),
        }
    }
}

#[async_trait]
impl ConversationStore for MemoryConversations {
    async fn create_room(&self, room: NewRoom, rooms_max: u64) -> Result<CreatedRoom, StoreError> {
        let mut rows = lock(&self.rows);
        if let Some(existing) = rows.find(&room.name) {
            return Ok(CreatedRoom::NameTaken(existing.clone()));
        }
        if room
            .creator
            .is_some_and(|creator| rows.made_by(creator) >= rooms_max)
        {
            return Ok(CreatedRoom::TooMany);
        }
        if rows.len() + 1 + usize::from(room.creator.is_some()) > self.entries {
            return Err(StoreError::Full);
        }
        let conversation = Conversation {
            id: room.id,
            kind: Kind::Room(room.name.clone()),
            description: room.description,
            creator: room.creator,
            created_at: room.created_at,
            archived: false,
            settings_seq: Seq::ZERO,
        };
        rows.by_name.insert(room.name, room.id);
        rows.by_id.insert(room.id, conversation.clone());
        if let Some(creator) = room.creator {
            rows.add_member(room.id, creator, Role::Moderator);
        }
        Ok(CreatedRoom::Created(conversation))
    }

    async fn get(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        Ok(lock(&self.rows).by_id.get(&id).cloned())
    }

    async fn room_by_name(&self, name: &RoomName) -> Result<Option<Conversation>, StoreError> {
        Ok(lock(&self.rows).find(name).cloned())
    }

    async fn rooms(
        &self,
        viewer: Option<UserId>,
        after: Option<&RoomName>,
        limit: usize,
    ) -> Result<RoomPage, StoreError> {
        let rows = lock(&self.rows);
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut open = rows
            .by_name
            .range::<RoomName, _>((behind, Bound::Unbounded))
            .filter_map(|(_, id)| rows.by_id.get(id))
            .filter(|room| !room.archived);
        let page = open
            .by_ref()
            .take(limit)
            .map(|room| rows.summary(room, viewer))
            .collect();
        Ok(RoomPage {
            rooms: page,
            has_more: open.next().is_some(),
        })
    }

    async fn room_summary(
        &self,
        id: ConversationId,
        viewer: Option<UserId>,
    ) -> Result<Option<RoomSummary>, StoreError> {
        let rows = lock(&self.rows);
        Ok(rows.by_id.get(&id).map(|room| rows.summary(room, viewer)))
    }

    async fn join_room(
        &self,
        room: ConversationId,
        user: UserId,
        _now: Timestamp,
        rooms_max: u64,
    ) -> Result<JoinedRoom, StoreError> {
        let mut rows = lock(&self.rows);
        if !rows.by_id.contains_key(&room) {
            return Err(StoreError::Corrupt(format!("no room {room} to join")));
        }
        let first = !rows
            .members
            .get(&room)
            .is_some_and(|members| members.contains_key(&user));
        if first {
            if rows.rooms_of(user) >= rooms_max {
                return Ok(JoinedRoom::TooMany);
            }
            if rows.len() >= self.entries {
                return Err(StoreError::Full);
            }
            rows.add_member(room, user, Role::Member);
        }
        Ok(JoinedRoom::Joined {
            first,
            members: rows.member_count(room),
        })
    }

    async fn leave_room(&self, room: ConversationId, user: UserId) -> Result<LeftRoom, StoreError> {
        let mut rows = lock(&self.rows);
        let was_member = rows
            .members
            .get_mut(&room)
            .is_some_and(|members| members.remove(&user).is_some());
        if was_member {
            rows.memberships -= 1;
        }
        Ok(LeftRoom {
            was_member,
            members: rows.member_count(room),
        })
    }

    async fn member(&self, conversation: ConversationId, user: UserId) -> Result<Option<Member>, StoreError> {
        let rows = lock(&self.rows);
        let members = rows.members.get(&conversation);
        Ok(members.and_then(|members| members.get(&user)).cloned())
    }

    async fn members_among(
        &self,
        conversation: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, StoreError> {
        let rows = lock(&self.rows);
        let Some(members) = rows.members.get(&conversation) else {
            return Ok(Vec::new());
        };
        Ok(users
            .iter()
            .filter(|user| members.contains_key(user))
            .copied()
            .collect())
    }

    async fn advance_read(
        &self,
        conversation: ConversationId,
        user: UserId,
        seq: u32,
        ordinal: u32,
    ) -> Result<(), StoreError> {
        let mut rows = lock(&self.rows);
        if let Some(member) = rows
            .members
            .get_mut(&conversation)
            .and_then(|members| members.get_mut(&user))
            && Seq(seq) > member.read_seq
        {
            member.read_seq = Seq(seq);
            member.read_ordinal = ordinal;
        }
        Ok(())
    }

    async fn apply_settings(&self, conversation: &Conversation, seq: u32) -> Result<(), StoreError> {
        let mut rows = lock(&self.rows);
        if let Some(stored) = rows.by_id.get_mut(&conversation.id)
            && Seq(seq) > stored.settings_seq
        {
            stored.description.clone_from(&conversation.description);
            stored.archived = conversation.archived;
            stored.settings_seq = Seq(seq);
        }
        Ok(())
    }
}
