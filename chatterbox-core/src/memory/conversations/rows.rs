//! The rows, and what keeps them true to each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use crate::clock::Timestamp;
use crate::domain::conversation::{Conversation, Kind, Member, Role, RoomName, RoomSummary};
use crate::domain::entry::Seq;
use crate::domain::standing::{MemberChange, Seat, Standing};
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::{Head, Invite, JoinedRoom, MemberStep, Projected, Projection, StoreError};

/// Two users, the lower id first.
type Pair = (UserId, UserId);
/// A creator and a key of theirs.
type Key = (UserId, String);

#[derive(Debug)]
pub(super) struct Rows {
    entries: usize,
    by_id: BTreeMap<ConversationId, Row>,
    /// Names that rooms have or had.
    names: BTreeMap<RoomName, ConversationId>,
    pairs: HashMap<Pair, ConversationId>,
    keys: HashMap<Key, ConversationId>,
    /// Where a user has a row.
    of_user: HashMap<UserId, BTreeSet<ConversationId>>,
    memberships_kept: usize,
    invites: HashMap<[u8; 32], Invite>,
}

#[derive(Debug)]
struct Row {
    conversation: Conversation,
    /// The entry at which it stands.
    projected: Seq,
    members: BTreeMap<UserId, Member>,
    bans: BTreeSet<UserId>,
}

impl Row {
    fn current(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.is_in())
    }
}

/// Moves a read pointer on, never back (I6); whether it moved.
pub(super) fn advance(member: &mut Member, seq: Seq, ordinal: u32) -> bool {
    let moves = seq > member.read_seq;
    if moves {
        (member.read_seq, member.read_ordinal) = (seq, ordinal);
    }
    moves
}

impl Rows {
    pub(super) fn new(entries: usize) -> Rows {
        Rows {
            entries,
            by_id: BTreeMap::new(),
            names: BTreeMap::new(),
            pairs: HashMap::new(),
            keys: HashMap::new(),
            of_user: HashMap::new(),
            memberships_kept: 0,
            invites: HashMap::new(),
        }
    }

    /// Whether `more` rows fit.
    pub(super) fn room_for(&self, more: usize) -> Result<(), StoreError> {
        if self.by_id.len() + self.memberships_kept + self.invites.len() + more > self.entries {
            return Err(StoreError::Full);
        }
        Ok(())
    }

    pub(super) fn conversation(&self, id: ConversationId) -> Option<&Conversation> {
        self.by_id.get(&id).map(|row| &row.conversation)
    }

    pub(super) fn add(
        &mut self,
        conversation: Conversation,
        founders: impl IntoIterator<Item = (UserId, Role)>,
    ) {
        let id = conversation.id;
        let row = Row {
            conversation,
            projected: Seq::ZERO,
            members: BTreeMap::new(),
            bans: BTreeSet::new(),
        };
        self.by_id.insert(id, row);
        for (user, role) in founders {
            self.add_member(Member::new(id, user, role, Seq::ZERO, 0));
        }
    }

    pub(super) fn room_by_name(&self, name: &RoomName) -> Option<&Conversation> {
        self.names.get(name).and_then(|id| self.conversation(*id))
    }

    pub(super) fn claim_name(&mut self, name: RoomName, room: ConversationId) {
        self.names.insert(name, room);
    }

    /// Rooms in order of the name they have now.
    pub(super) fn rooms_from<'a>(
        &'a self,
        behind: Bound<&'a RoomName>,
    ) -> impl Iterator<Item = &'a Conversation> {
        self.names
            .range::<RoomName, _>((behind, Bound::Unbounded))
            .filter_map(|(name, id)| Some((name, self.conversation(*id)?)))
            .filter(|(name, room)| room.kind == Kind::Room(RoomName::clone(name)))
            .map(|(_, room)| room)
    }

    pub(super) fn rooms_made_by(&self, creator: UserId) -> u64 {
        let made = |room: &&Row| {
            let room = &room.conversation;
            room.creator == Some(creator) && !room.archived && matches!(room.kind, Kind::Room(_))
        };
        self.by_id.values().filter(made).count() as u64
    }

    pub(super) fn direct_of(&self, pair: Pair) -> Option<&Conversation> {
        self.pairs.get(&pair).and_then(|id| self.conversation(*id))
    }

    pub(super) fn claim_pair(&mut self, pair: Pair, direct: ConversationId) {
        self.pairs.insert(pair, direct);
    }

    pub(super) fn group_of_key(&self, key: &Key) -> Option<&Conversation> {
        self.keys.get(key).and_then(|id| self.conversation(*id))
    }

    pub(super) fn claim_key(&mut self, key: Key, group: ConversationId) {
        self.keys.insert(key, group);
    }

    /// The entry up to which the rows of a conversation are written.
    pub(super) fn projected_of(&self, id: ConversationId) -> Seq {
        self.by_id.get(&id).map_or(Seq::ZERO, |row| row.projected)
    }

    /// Every conversation and the entry at which it stands.
    pub(super) fn projected(&self) -> impl Iterator<Item = (ConversationId, Seq)> {
        self.by_id.iter().map(|(id, row)| (*id, row.projected))
    }

    pub(super) fn standing(&self, id: ConversationId) -> Option<(Standing, Seq)> {
        let row = self.by_id.get(&id)?;
        let is_room = matches!(row.conversation.kind, Kind::Room(_));
        let known = row
            .current()
            .filter(|member| !is_room || member.role != Role::Member);
        let seats = known.map(|member| {
            let seat = Seat {
                role: member.role,
                joined_seq: member.joined_seq,
            };
            (member.user, seat)
        });
        let standing = Standing {
            conversation: row.conversation.clone(),
            members: seats.collect(),
            bans: row.bans.clone(),
        };
        Some((standing, row.projected))
    }

    pub(super) fn member(&self, id: ConversationId, user: UserId) -> Option<&Member> {
        self.by_id.get(&id)?.members.get(&user)
    }

    pub(super) fn member_mut(&mut self, id: ConversationId, user: UserId) -> Option<&mut Member> {
        self.by_id.get_mut(&id)?.members.get_mut(&user)
    }

    /// Current members in order of id.
    pub(super) fn members_after(
        &self,
        id: ConversationId,
        after: Option<UserId>,
    ) -> impl Iterator<Item = &Member> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.by_id.get(&id).into_iter();
        rows.flat_map(move |row| row.members.range((behind, Bound::Unbounded)))
            .map(|(_, member)| member)
            .filter(|member| member.is_in())
    }

    pub(super) fn member_count(&self, id: ConversationId) -> u64 {
        self.by_id.get(&id).map_or(0, |row| row.current().count() as u64)
    }

    /// What the user is a member of.
    pub(super) fn memberships_of(&self, user: UserId) -> impl Iterator<Item = (&Conversation, &Member)> {
        let ids = self.of_user.get(&user).into_iter().flatten();
        ids.filter_map(move |id| {
            let row = self.by_id.get(id)?;
            let member = row.members.get(&user)?;
            member.is_in().then_some((&row.conversation, member))
        })
    }

    pub(super) fn direct_partners(&self, user: UserId) -> impl Iterator<Item = UserId> {
        self.memberships_of(user)
            .filter(|(conversation, _)| conversation.kind == Kind::Direct)
            .filter_map(move |(conversation, _)| {
                let members = self.members_after(conversation.id, None);
                members.map(|member| member.user).find(|other| *other != user)
            })
    }

    pub(super) fn summary(&self, room: &Conversation, viewer: Option<UserId>) -> RoomSummary {
        RoomSummary {
            conversation: room.clone(),
            members: self.member_count(room.id),
            joined: viewer.is_some_and(|user| self.member(room.id, user).is_some()),
        }
    }

    pub(super) fn rooms_joined_by(&self, user: UserId) -> u64 {
        let is_room =
            |(conversation, _): &(&Conversation, &Member)| matches!(conversation.kind, Kind::Room(_));
        self.memberships_of(user).filter(is_room).count() as u64
    }

    pub(super) fn join_room(
        &mut self,
        room: ConversationId,
        user: UserId,
        head: Head,
        rooms_max: u64,
    ) -> Result<JoinedRoom, StoreError> {
        let Some(row) = self.by_id.get(&room) else {
            return Err(StoreError::Corrupt(format!("no room {room} to join")));
        };
        if row.bans.contains(&user) {
            return Ok(JoinedRoom::Banned);
        }
        let first = !row.members.contains_key(&user);
        if first {
            if self.rooms_joined_by(user) >= rooms_max {
                return Ok(JoinedRoom::TooMany);
            }
            self.room_for(1)?;
            self.add_member(Member {
                joined_seq: Seq::ZERO,
                ..Member::new(room, user, Role::Member, head.seq, head.ordinal)
            });
        }
        Ok(JoinedRoom::Joined {
            first,
            members: self.member_count(room),
        })
    }

    fn add_member(&mut self, member: Member) {
        let (id, user) = (member.conversation, member.user);
        let Some(row) = self.by_id.get_mut(&id) else {
            return;
        };
        if row.members.insert(user, member).is_none() {
            self.memberships_kept += 1;
            self.of_user.entry(user).or_default().insert(id);
        }
    }

    /// Takes a row away; whether there was one.
    pub(super) fn remove_member(&mut self, id: ConversationId, user: UserId) -> bool {
        let row = self.by_id.get_mut(&id);
        let was_there = row.is_some_and(|row| row.members.remove(&user).is_some());
        if was_there {
            self.memberships_kept -= 1;
            if let Some(conversations) = self.of_user.get_mut(&user) {
                conversations.remove(&id);
            }
        }
        was_there
    }

    pub(super) fn project(
        &mut self,
        id: ConversationId,
        projection: &Projection,
    ) -> Result<Projected, StoreError> {
        let Some(row) = self.by_id.get(&id) else {
            return Err(StoreError::Corrupt(format!("no conversation {id} to project")));
        };
        if row.projected != projection.from {
            return Ok(Projected::StandsAt(row.projected));
        }
        self.room_for(projection.members.len())?;
        for step in &projection.members {
            self.take_in(id, *step);
        }
        let Some(row) = self.by_id.get_mut(&id) else {
            return Ok(Projected::Applied);
        };
        row.projected = projection.to;
        if let Some(settings) = &projection.settings {
            row.conversation.clone_from(settings);
        }
        for (user, (seq, ordinal)) in &projection.pointers {
            if let Some(member) = row.members.get_mut(user) {
                advance(member, *seq, *ordinal);
            }
        }
        if let Kind::Room(name) = &row.conversation.kind {
            let name = name.clone();
            self.claim_name(name, id);
        }
        Ok(Projected::Applied)
    }

    fn take_in(&mut self, id: ConversationId, step: MemberStep) {
        match step.change {
            MemberChange::Joined(user, role) => {
                if let Some(member) = self.member_mut(id, user) {
                    (member.role, member.joined_seq) = (role, step.seq);
                    (member.left_seq, member.hidden_at) = (None, None);
                    advance(member, step.seq, step.ordinal);
                } else {
                    self.add_member(Member::new(id, user, role, step.seq, step.ordinal));
                }
            }
            MemberChange::Left(user) => self.end_membership(id, user, step.seq),
            MemberChange::Role(user, role) => {
                if let Some(member) = self.member_mut(id, user) {
                    member.role = role;
                }
            }
            MemberChange::Banned(user) => {
                if let Some(row) = self.by_id.get_mut(&id) {
                    row.bans.insert(user);
                }
            }
            MemberChange::Unbanned(user) => {
                if let Some(row) = self.by_id.get_mut(&id) {
                    row.bans.remove(&user);
                }
            }
        }
    }

    /// The row of a group stays; of a room it goes, as when the user leaves by themselves.
    fn end_membership(&mut self, id: ConversationId, user: UserId, seq: Seq) {
        let is_room = self
            .conversation(id)
            .is_some_and(|conversation| matches!(conversation.kind, Kind::Room(_)));
        if is_room {
            self.remove_member(id, user);
        } else if let Some(member) = self.member_mut(id, user) {
            member.left_seq = Some(seq);
        }
    }

    pub(super) fn add_invite(&mut self, invite: Invite) -> Result<(), StoreError> {
        self.room_for(1)?;
        self.invites.entry(invite.token_hash).or_insert(invite);
        Ok(())
    }

    pub(super) fn invite(&self, token_hash: &[u8; 32]) -> Option<&Invite> {
        self.invites.get(token_hash)
    }

    pub(super) fn sweep_invites(&mut self, before: Timestamp, limit: usize) -> usize {
        let over = self.invites.values().filter(|invite| invite.expires_at < before);
        let over: Vec<[u8; 32]> = over.map(|invite| invite.token_hash).take(limit).collect();
        for token_hash in &over {
            self.invites.remove(token_hash);
        }
        over.len()
    }

    pub(super) fn revoke_invites(&mut self, conversation: ConversationId) -> u64 {
        let before = self.invites.len();
        self.invites
            .retain(|_, invite| invite.conversation != conversation);
        (before - self.invites.len()) as u64
    }
}
