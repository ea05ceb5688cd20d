//! How a conversation stands at an entry of its log: its settings, who is in it as what, and who may not be.
//!
//! Rules are decided on this and nothing else, so they hold whatever comes between (DESIGN.md section 4). What an
//! entry changed is also what the stored rows have to learn.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use super::change::{Ban, Change, Join, Leave, RoleChange, SettingsChange};
use super::conversation::{Conversation, Kind, Role};
use super::entry::{Entry, EntryKind, Seq};
use crate::ids::UserId;

/// A conversation's settings, members and bans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Settings.
    pub conversation: Conversation,
    /// Everyone in a direct conversation or group. Of a room only its moderators: plain members are rows without
    /// entries, for there may be 100,000.
    pub members: BTreeMap<UserId, Seat>,
    /// Who may not become a member.
    pub bans: BTreeSet<UserId>,
}

/// A member as the rules see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// What they may do.
    pub role: Role,
    /// The entry of their join; zero from the beginning.
    pub joined_seq: Seq,
}

/// What an entry changed about a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChange {
    /// They are one from now on.
    Joined(UserId, Role),
    /// They are none any more.
    Left(UserId),
    /// They are another kind of member.
    Role(UserId, Role),
    /// They are banned.
    Banned(UserId),
    /// They are not banned any more.
    Unbanned(UserId),
}

impl Standing {
    /// The member's role; of plain members of rooms it knows nothing.
    pub fn role(&self, user: UserId) -> Option<Role> {
        self.members.get(&user).map(|seat| seat.role)
    }

    /// The owner of a group.
    pub fn owner(&self) -> Option<UserId> {
        let owner = self.members.iter().find(|(_, seat)| seat.role == Role::Owner);
        owner.map(|(user, _)| *user)
    }

    /// Who owns the group when `leaver` has left: the admin who has been in it longest, else the member (S-072). Of
    /// those who came with the same entry, the one with the lowest id.
    pub fn heir(&self, leaver: UserId) -> Option<UserId> {
        let rank = |seat: &Seat| (u8::from(seat.role != Role::Admin), seat.joined_seq);
        self.members
            .iter()
            .filter(|(user, _)| **user != leaver)
            .min_by_key(|(user, seat)| (rank(seat), **user))
            .map(|(user, _)| *user)
    }

    /// The other one in a direct conversation; the user themselves in notes to self.
    pub fn peer(&self, user: UserId) -> Option<UserId> {
        match self.conversation.kind {
            Kind::Direct => Some(
                self.members
                    .keys()
                    .find(|one| **one != user)
                    .copied()
                    .unwrap_or(user),
            ),
            Kind::Group | Kind::Room(_) => None,
        }
    }

    /// Takes in the entry behind those it has taken in; what that changed about members, in order. What is so already
    /// changes nothing.
    pub fn apply(&mut self, entry: &Entry) -> Vec<MemberChange> {
        let mut changes = Vec::new();
        match &entry.kind {
            EntryKind::Message(_) | EntryKind::Edit(_) | EntryKind::Delete(_) | EntryKind::Reaction(_) => {}
            EntryKind::Join(Join { user, role }) => self.join(*user, *role, entry.seq, &mut changes),
            EntryKind::Leave(Leave { user, heir, .. }) => {
                self.leave(*user, &mut changes);
                if let Some(heir) = heir {
                    self.set_role(*heir, Role::Owner, &mut changes);
                }
            }
            EntryKind::Role(RoleChange { user, role, .. }) => {
                if *role == Role::Owner
                    && self.members.contains_key(user)
                    && let Some(owner) = self.owner().filter(|owner| owner != user)
                {
                    self.set_role(owner, Role::Admin, &mut changes);
                }
                self.set_role(*user, *role, &mut changes);
            }
            EntryKind::Ban(Ban { user, change }) => match change {
                Change::Added => {
                    self.leave(*user, &mut changes);
                    if self.bans.insert(*user) {
                        changes.push(MemberChange::Banned(*user));
                    }
                }
                Change::Removed => {
                    if self.bans.remove(user) {
                        changes.push(MemberChange::Unbanned(*user));
                    }
                }
            },
            EntryKind::Settings(change) => self.set(change),
        }
        changes
    }

    fn join(&mut self, user: UserId, role: Role, joined_seq: Seq, changes: &mut Vec<MemberChange>) {
        if let btree_map::Entry::Vacant(seat) = self.members.entry(user) {
            seat.insert(Seat { role, joined_seq });
            changes.push(MemberChange::Joined(user, role));
        }
    }

    fn leave(&mut self, user: UserId, changes: &mut Vec<MemberChange>) {
        // A room's plain member has a row that only the store knows.
        if self.members.remove(&user).is_some() || matches!(self.conversation.kind, Kind::Room(_)) {
            changes.push(MemberChange::Left(user));
        }
    }

    fn set_role(&mut self, user: UserId, role: Role, changes: &mut Vec<MemberChange>) {
        if let Some(seat) = self.members.get_mut(&user)
            && seat.role != role
        {
            seat.role = role;
            changes.push(MemberChange::Role(user, role));
        }
    }

    fn set(&mut self, change: &SettingsChange) {
        let SettingsChange {
            title,
            name,
            description,
            visibility,
            history,
            archived,
        } = change;
        let conversation = &mut self.conversation;
        if let Some(title) = title {
            conversation.title = Some(title.clone());
        }
        if let (Some(name), Kind::Room(current)) = (name, &mut conversation.kind) {
            *current = name.clone();
        }
        if let Some(text) = description {
            conversation.description = Some(text.clone()).filter(|text| !text.is_empty());
        }
        if let Some(visibility) = visibility {
            conversation.visibility = *visibility;
        }
        if let Some(history) = history {
            conversation.history = *history;
        }
        if let Some(archived) = archived {
            conversation.archived = *archived;
        }
    }
}
