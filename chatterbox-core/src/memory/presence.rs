use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use smallvec::SmallVec;

use super::{AtItsBound, lock};
use crate::clock::Timestamp;
use crate::ids::{ConversationId, NodeId, UserId};
use crate::ports::presence::{Presence, PresenceError, Renewal, Transition};

/// Presence of the nodes of one process.
#[derive(Debug)]
pub struct MemoryPresence {
    entries: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Users who are online, each with at least one node.
    nodes_of: HashMap<UserId, SmallVec<[NodeId; 1]>>,
    /// Those of them who are away, and where.
    away: HashSet<(UserId, NodeId)>,
    leases: HashMap<NodeId, Lease>,
    last_seen: HashMap<UserId, Timestamp>,
    /// Who watches a room, and until when they count.
    rooms: HashMap<ConversationId, HashMap<UserId, Timestamp>>,
}

#[derive(Debug)]
struct Lease {
    until: Timestamp,
    users: HashSet<UserId>,
}

impl MemoryPresence {
    /// At most `entries` users online, and as many remembered who are not (then the half seen longest ago is
    /// forgotten).
    pub fn new(entries: usize) -> MemoryPresence {
        MemoryPresence {
            entries,
            state: Mutex::default(),
        }
    }
}

impl State {
    fn lease(&mut self, node: NodeId, until: Timestamp) -> &mut Lease {
        self.leases.entry(node).or_insert_with(|| Lease {
            until,
            users: HashSet::new(),
        })
    }

    /// Online, and on every node at no device.
    fn is_away(&self, user: UserId) -> bool {
        let nodes = self.nodes_of.get(&user);
        nodes.is_some_and(|nodes| nodes.iter().all(|node| self.away.contains(&(user, *node))))
    }

    /// What has become of somebody who is online.
    fn turned(&self, user: UserId, was_away: bool) -> Transition {
        match (was_away, self.is_away(user)) {
            (false, true) => Transition::WentAway,
            (true, false) => Transition::CameBack,
            (true, true) | (false, false) => Transition::None,
        }
    }

    /// Takes the user off the node; what that has made of them.
    fn depart(&mut self, user: UserId, node: NodeId, seen: Timestamp, entries: usize) -> Transition {
        let Some(nodes) = self.nodes_of.get_mut(&user) else {
            return Transition::None;
        };
        let was_away = nodes.iter().all(|node| self.away.contains(&(user, *node)));
        nodes.retain(|other| *other != node);
        self.away.remove(&(user, node));
        if !nodes.is_empty() {
            return self.turned(user, was_away);
        }
        self.nodes_of.remove(&user);
        if self.last_seen.len() >= entries.max(2) {
            self.forget_the_older_half();
        }
        self.last_seen.insert(user, seen);
        Transition::Vanished
    }

    fn forget_the_older_half(&mut self) {
        let mut stamps: Vec<Timestamp> = self.last_seen.values().copied().collect();
        let middle = stamps.len() / 2;
        let (_, &mut limit, _) = stamps.select_nth_unstable(middle);
        self.last_seen.retain(|_, seen| *seen > limit);
    }
}

#[async_trait]
impl Presence for MemoryPresence {
    async fn arrive(&self, user: UserId, node: NodeId, now: Timestamp) -> Result<Transition, PresenceError> {
        let mut state = lock(&self.state);
        let online = state.nodes_of.len();
        if !state.nodes_of.contains_key(&user) && online >= self.entries {
            return Err(PresenceError(Box::new(AtItsBound {
                what: "presence",
                entries: self.entries,
            })));
        }
        // Without a lease one that has ended: if the node does not renew, its users are given up like any other's.
        state.lease(node, now).users.insert(user);
        let was_away = state.is_away(user);
        let nodes = state.nodes_of.entry(user).or_default();
        if nodes.contains(&node) {
            return Ok(Transition::None);
        }
        nodes.push(node);
        Ok(if nodes.len() == 1 {
            state.last_seen.remove(&user);
            Transition::Appeared
        } else {
            state.turned(user, was_away)
        })
    }

    async fn leave(&self, user: UserId, node: NodeId, now: Timestamp) -> Result<Transition, PresenceError> {
        let mut state = lock(&self.state);
        let was_here = state
            .leases
            .get_mut(&node)
            .is_some_and(|lease| lease.users.remove(&user));
        Ok(if was_here {
            state.depart(user, node, now, self.entries)
        } else {
            Transition::None
        })
    }

    async fn renew(&self, node: NodeId, now: Timestamp, lease: Duration) -> Result<Renewal, PresenceError> {
        let until = now.plus(lease);
        let mut state = lock(&self.state);
        if let Some(held) = state.leases.get_mut(&node) {
            held.until = until;
            Ok(Renewal::Held)
        } else {
            state.lease(node, until);
            Ok(Renewal::Fresh)
        }
    }

    async fn claim_expired(&self, now: Timestamp) -> Result<Option<Vec<UserId>>, PresenceError> {
        let mut state = lock(&self.state);
        let expired = state
            .leases
            .iter()
            .find(|(_, lease)| lease.until < now)
            .map(|(node, _)| *node);
        let Some(node) = expired else {
            return Ok(None);
        };
        let Some(lease) = state.leases.remove(&node) else {
            return Ok(None);
        };
        let mut vanished = Vec::new();
        for user in lease.users {
            if state.depart(user, node, lease.until, self.entries) == Transition::Vanished {
                vanished.push(user);
            }
        }
        Ok(Some(vanished))
    }

    async fn set_away(&self, user: UserId, node: NodeId, away: bool) -> Result<Transition, PresenceError> {
        let mut state = lock(&self.state);
        let nodes = state.nodes_of.get(&user);
        if !nodes.is_some_and(|nodes| nodes.contains(&node)) {
            return Ok(Transition::None);
        }
        let was_away = state.is_away(user);
        if away {
            state.away.insert((user, node));
        } else {
            state.away.remove(&(user, node));
        }
        Ok(state.turned(user, was_away))
    }

    async fn away_among(&self, users: &[UserId]) -> Result<Vec<UserId>, PresenceError> {
        let state = lock(&self.state);
        Ok(users
            .iter()
            .copied()
            .filter(|user| state.is_away(*user))
            .collect())
    }

    async fn online_among(&self, users: &[UserId]) -> Result<Vec<UserId>, PresenceError> {
        let state = lock(&self.state);
        Ok(users
            .iter()
            .filter(|user| state.nodes_of.contains_key(user))
            .copied()
            .collect())
    }

    async fn watch_rooms(
        &self,
        rooms: &[(ConversationId, Vec<UserId>)],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), PresenceError> {
        let mut state = lock(&self.state);
        state.rooms.retain(|_, watchers| {
            watchers.retain(|_, until| *until > now);
            !watchers.is_empty()
        });
        let kept: usize = state.rooms.values().map(HashMap::len).sum();
        if kept + rooms.iter().map(|(_, users)| users.len()).sum::<usize>() > self.entries {
            return Err(PresenceError(Box::new(AtItsBound {
                what: "presence",
                entries: self.entries,
            })));
        }
        for (room, users) in rooms {
            let watchers = state.rooms.entry(*room).or_default();
            for user in users {
                let counts_until = watchers.entry(*user).or_insert(until);
                *counts_until = until.max(*counts_until);
            }
        }
        Ok(())
    }

    async fn watchers_of(&self, rooms: &[ConversationId], now: Timestamp) -> Result<Vec<u64>, PresenceError> {
        let state = lock(&self.state);
        let watchers = |room: &ConversationId| {
            let watchers = state.rooms.get(room)?;
            Some(watchers.values().filter(|until| **until > now).count() as u64)
        };
        Ok(rooms.iter().map(|room| watchers(room).unwrap_or(0)).collect())
    }

    async fn last_seen(&self, users: &[UserId]) -> Result<Vec<Option<Timestamp>>, PresenceError> {
        let state = lock(&self.state);
        Ok(users
            .iter()
            .map(|user| state.last_seen.get(user).copied())
            .collect())
    }
}
