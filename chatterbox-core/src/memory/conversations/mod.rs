mod rows;

use std::ops::Bound;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use self::rows::Rows;
use super::{MemoryLog, MemoryMessages, lock};
use crate::clock::Timestamp;
use crate::domain::conversation::{
    Conversation, History, Kind, Member, NewDirect, NewGroup, NewRoom, Notify, Role, RoomName, RoomSummary,
    Visibility,
};
use crate::domain::entry::Seq;
use crate::domain::standing::Standing;
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::{
    ConversationLog as _, ConversationStore, Created, CreatedRoom, Glance, Head, Invite, JoinedRoom,
    LeftRoom, MessageStore as _, Overview, Projected, Projection, ReadPointer, RoomPage, RoomsMax,
    StoreError,
};

/// Conversations, room names, members and invites in memory. What it projects it writes to the twins of the log and
/// of messages as well, so it stands between them.
#[derive(Debug)]
pub struct MemoryConversations {
    rows: Mutex<Rows>,
    log: Arc<MemoryLog>,
    messages: Arc<MemoryMessages>,
}

impl MemoryConversations {
    /// At most `entries` conversations, members and invites together, over these logs and messages.
    pub fn new(entries: usize, log: Arc<MemoryLog>, messages: Arc<MemoryMessages>) -> MemoryConversations {
        MemoryConversations {
            rows: Mutex::new(Rows::new(entries)),
            log,
            messages,
        }
    }
}

#[async_trait]
impl ConversationStore for MemoryConversations {
    async fn create_room(&self, room: NewRoom, rooms_max: RoomsMax) -> Result<CreatedRoom, StoreError> {
        let mut rows = lock(&self.rows);
        if let Some(existing) = rows.room_by_name(&room.name) {
            return Ok(CreatedRoom::NameTaken(existing.clone()));
        }
        if let Some(creator) = room.creator {
            if rows.rooms_made_by(creator) >= rooms_max.made {
                return Ok(CreatedRoom::MadeTooMany);
            }
            if rows.rooms_joined_by(creator) >= rooms_max.joined {
                return Ok(CreatedRoom::JoinedTooMany);
            }
        }
        rows.room_for(1 + usize::from(room.creator.is_some()))?;
        let conversation = Conversation {
            id: room.id,
            kind: Kind::Room(room.name.clone()),
            title: None,
            description: room.description,
            visibility: Visibility::Public,
            history: History::All,
            creator: room.creator,
            created_at: room.created_at,
            archived: false,
        };
        rows.claim_name(room.name, room.id);
        let founders = room.creator.map(|creator| (creator, Role::Moderator));
        rows.add(conversation.clone(), founders);
        Ok(CreatedRoom::Created(conversation))
    }

    async fn open_direct(&self, direct: NewDirect) -> Result<Created, StoreError> {
        let mut rows = lock(&self.rows);
        if let Some(existing) = rows.direct_of(direct.pair()) {
            let conversation = existing.clone();
            if let Some(opener) = rows.member_mut(conversation.id, direct.creator) {
                opener.hidden_at = None;
            }
            return Ok(Created {
                is_new: conversation.id == direct.id,
                conversation,
            });
        }
        let (one, other) = direct.pair();
        let both = [one, other].into_iter().take(if one == other { 1 } else { 2 });
        rows.room_for(1 + both.len())?;
        let conversation = Conversation {
            id: direct.id,
            kind: Kind::Direct,
            title: None,
            description: None,
            visibility: Visibility::Private,
            history: History::All,
            creator: Some(direct.creator),
            created_at: direct.created_at,
            archived: false,
        };
        rows.claim_pair(direct.pair(), direct.id);
        rows.add(conversation.clone(), both.map(|user| (user, Role::Member)));
        Ok(Created {
            conversation,
            is_new: true,
        })
    }

    async fn direct_of(&self, one: UserId, other: UserId) -> Result<Option<Conversation>, StoreError> {
        Ok(lock(&self.rows)
            .direct_of((one.min(other), one.max(other)))
            .cloned())
    }

    async fn create_group(&self, group: NewGroup) -> Result<Created, StoreError> {
        let mut rows = lock(&self.rows);
        let key = group.idempotency_key.clone().map(|key| (group.creator, key));
        let earlier = key.as_ref().and_then(|key| rows.group_of_key(key));
        if let Some(existing) = earlier.or_else(|| rows.conversation(group.id)) {
            return Ok(Created {
                conversation: existing.clone(),
                is_new: existing.id == group.id,
            });
        }
        rows.room_for(2 + group.members.len())?;
        let conversation = Conversation {
            id: group.id,
            kind: Kind::Group,
            title: Some(group.title),
            description: group.description,
            visibility: group.visibility,
            history: group.history,
            creator: Some(group.creator),
            created_at: group.created_at,
            archived: false,
        };
        if let Some(key) = key {
            rows.claim_key(key, group.id);
        }
        let owner = std::iter::once((group.creator, Role::Owner));
        let others = group.members.into_iter().map(|user| (user, Role::Member));
        rows.add(conversation.clone(), owner.chain(others));
        Ok(Created {
            conversation,
            is_new: true,
        })
    }

    async fn get(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        Ok(lock(&self.rows).conversation(id).cloned())
    }

    async fn standing(&self, id: ConversationId) -> Result<Option<(Standing, Seq)>, StoreError> {
        Ok(lock(&self.rows).standing(id))
    }

    async fn project(&self, id: ConversationId, projection: Projection) -> Result<Projected, StoreError> {
        let mut rows = lock(&self.rows);
        let projected = rows.project(id, &projection)?;
        if projected == Projected::Applied {
            // Under the lock of the rows, so that the steps of a conversation come in order.
            self.messages
                .project(id, &projection.messages, &projection.replies);
        }
        Ok(projected)
    }

    async fn lagging(&self, limit: usize) -> Result<Vec<ConversationId>, StoreError> {
        let rows = lock(&self.rows);
        let lagging = rows
            .projected()
            .filter(|(id, projected)| self.log.end(*id).seq > *projected);
        Ok(lagging.map(|(id, _)| id).take(limit).collect())
    }

    async fn room_by_name(&self, name: &RoomName) -> Result<Option<Conversation>, StoreError> {
        Ok(lock(&self.rows).room_by_name(name).cloned())
    }

    async fn claim_room_name(&self, name: &RoomName, room: ConversationId) -> Result<bool, StoreError> {
        let mut rows = lock(&self.rows);
        if let Some(holder) = rows.room_by_name(name) {
            return Ok(holder.id == room);
        }
        rows.claim_name(name.clone(), room);
        Ok(true)
    }

    async fn rooms(
        &self,
        viewer: Option<UserId>,
        after: Option<&RoomName>,
        limit: usize,
    ) -> Result<RoomPage, StoreError> {
        let rows = lock(&self.rows);
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut open = rows.rooms_from(behind).filter(|room| !room.archived);
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
        Ok(rows.conversation(id).map(|room| rows.summary(room, viewer)))
    }

    async fn join_room(
        &self,
        room: ConversationId,
        user: UserId,
        head: Head,
        rooms_max: u64,
    ) -> Result<JoinedRoom, StoreError> {
        lock(&self.rows).join_room(room, user, head, rooms_max)
    }

    async fn leave_room(&self, room: ConversationId, user: UserId) -> Result<LeftRoom, StoreError> {
        let mut rows = lock(&self.rows);
        let was_member = rows.remove_member(room, user);
        Ok(LeftRoom {
            was_member,
            members: rows.member_count(room),
        })
    }

    async fn member(&self, conversation: ConversationId, user: UserId) -> Result<Option<Member>, StoreError> {
        Ok(lock(&self.rows).member(conversation, user).cloned())
    }

    async fn members(
        &self,
        conversation: ConversationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Member>, StoreError> {
        let rows = lock(&self.rows);
        let page = rows.members_after(conversation, after).take(limit);
        Ok(page.cloned().collect())
    }

    async fn member_count(&self, conversation: ConversationId) -> Result<u64, StoreError> {
        Ok(lock(&self.rows).member_count(conversation))
    }

    async fn members_among(
        &self,
        conversation: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, StoreError> {
        let rows = lock(&self.rows);
        let is_in = |user: &&UserId| rows.member(conversation, **user).is_some_and(Member::is_in);
        Ok(users.iter().filter(is_in).copied().collect())
    }

    async fn overview(&self, user: UserId, limit: usize) -> Result<Vec<Overview>, StoreError> {
        let rows = lock(&self.rows);
        let overview = rows.memberships_of(user).map(|(conversation, member)| Overview {
            conversation: conversation.clone(),
            member: member.clone(),
            head: self.log.end(conversation.id),
            projected: rows.projected_of(conversation.id),
        });
        Ok(overview.take(limit).collect())
    }

    async fn glances(&self, user: UserId, ids: &[ConversationId]) -> Result<Vec<Glance>, StoreError> {
        let mut glances = Vec::with_capacity(ids.len());
        for id in ids {
            let (member_count, members, read) = {
                let rows = lock(&self.rows);
                (
                    rows.member_count(*id),
                    rows.members_after(*id, None).take(10).cloned().collect(),
                    rows.member(*id, user).map_or(Seq::ZERO, |member| member.read_seq),
                )
            };
            glances.push(Glance {
                conversation: *id,
                member_count,
                members,
                last: self.log.history_before(*id, None, 1).await?.pop(),
                deleted_unread: self.messages.deleted_above(*id, read, u32::MAX).await?,
            });
        }
        Ok(glances)
    }

    async fn direct_partners(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        Ok(lock(&self.rows).direct_partners(user).take(limit).collect())
    }

    async fn acquainted(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        let rows = lock(&self.rows);
        let knows = |other: &&UserId| {
            let mut conversations = rows.memberships_of(user);
            conversations.any(|(shared, _)| rows.member(shared.id, **other).is_some_and(Member::is_in))
        };
        Ok(others.iter().filter(knows).copied().collect())
    }

    async fn advance_read(
        &self,
        conversation: ConversationId,
        user: UserId,
        seq: Seq,
        ordinal: u32,
    ) -> Result<Option<ReadPointer>, StoreError> {
        let mut rows = lock(&self.rows);
        let Some(member) = rows.member_mut(conversation, user) else {
            return Ok(None);
        };
        Ok(Some(ReadPointer {
            moved: rows::advance(member, seq, ordinal),
            seq: member.read_seq,
            ordinal: member.read_ordinal,
        }))
    }

    async fn set_hidden(
        &self,
        conversation: ConversationId,
        user: UserId,
        at: Option<u32>,
    ) -> Result<bool, StoreError> {
        let mut rows = lock(&self.rows);
        let member = rows.member_mut(conversation, user);
        Ok(member.map(|member| member.hidden_at = at).is_some())
    }

    async fn set_notify(
        &self,
        conversation: ConversationId,
        user: UserId,
        notify: Notify,
        mute_until: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let mut rows = lock(&self.rows);
        let member = rows.member_mut(conversation, user);
        let set = member.map(|member| (member.notify, member.mute_until) = (notify, mute_until));
        Ok(set.is_some())
    }

    async fn add_invite(&self, invite: Invite) -> Result<(), StoreError> {
        lock(&self.rows).add_invite(invite)
    }

    async fn invite(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<Invite>, StoreError> {
        let rows = lock(&self.rows);
        let invite = rows.invite(token_hash);
        Ok(invite.filter(|invite| invite.expires_at > now).cloned())
    }

    async fn sweep_invites(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        Ok(lock(&self.rows).sweep_invites(before, limit))
    }

    async fn revoke_invites(&self, conversation: ConversationId) -> Result<u64, StoreError> {
        Ok(lock(&self.rows).revoke_invites(conversation))
    }
}
