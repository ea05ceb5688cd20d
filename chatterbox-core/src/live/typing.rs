use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::conversation::RoomName;
use crate::engine::Packet;
use crate::engine::chat::encode;
use crate::hub::{Channel, ConnectionId, Delivery, Hub, Link};
use crate::ids::{ConversationId, SessionId, UserId};
use crate::log::Outgoing;
use crate::tasks::Tasks;

/// For how long somebody types who says so once (S-089).
const LEASE: Duration = Duration::from_secs(6);
/// Watchers are told at most so often of one typist in one conversation.
const TOLD_EVERY: Duration = Duration::from_secs(3);
/// How much longer other nodes wait for the word of the typist's node, before they take it for dead.
const SLACK: Duration = Duration::from_secs(4);
/// Typists on a node at a time; more are not told.
const LEASES_MAX: usize = 100_000;

/// Somebody who types somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typist {
    /// Where.
    pub conversation: ConversationId,
    /// Where, if it is a room.
    pub room: Option<RoomName>,
    /// Who.
    pub user: UserId,
    /// Who, as shown.
    pub username: String,
}

/// Why somebody types no longer (S-102).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    /// They said so, or left the conversation.
    Stop,
    /// They wrote.
    Message,
    /// They fell silent.
    Timeout,
    /// Their connection ended.
    Disconnect,
}

/// S-101.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserTyping<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    expires_in_ms: u64,
}

/// S-102.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserStopTyping<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    reason: StopReason,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Who<'a> {
    conversation_id: ConversationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_name: Option<&'a RoomName>,
    user_id: UserId,
    username: &'a str,
}

/// Who types in the conversations of this node, by leases: the typist's node counts and tells the others, and if it
/// dies, each of them ends the lease by itself.
#[derive(Clone)]
pub struct Typists(Arc<Shared>);

struct Shared {
    hub: Arc<Hub<Channel>>,
    outgoing: Option<Outgoing>,
    state: Mutex<State>,
    /// Somebody may have to be looked at sooner than thought.
    sooner: Notify,
}

type Key = (ConversationId, UserId);

#[derive(Default)]
struct State {
    leases: HashMap<Key, Lease>,
    /// Where each session has typed last.
    sessions: HashMap<SessionId, Key>,
    /// When to look at whom. What is looked at too early is put back, what is gone is left alone.
    due: BinaryHeap<Reverse<(Instant, Key)>>,
}

struct Lease {
    typist: Typist,
    /// Which of the user's logins types, if it is connected to this node.
    session: Option<SessionId>,
    told_at: Instant,
    until: Instant,
    /// Whether watchers believe that they type. The lease stays a while without, so that they are not told too often.
    on: bool,
}

impl Typists {
    /// Nobody types yet. Watchers in `hub` and nodes behind `outgoing` are told.
    pub fn start(hub: Arc<Hub<Channel>>, outgoing: Option<Outgoing>, tasks: &Tasks) -> Typists {
        let shared = Arc::new(Shared {
            hub,
            outgoing,
            state: Mutex::default(),
            sooner: Notify::new(),
        });
        tasks.spawn_until_stopped(end_leases(shared.clone()));
        Typists(shared)
    }

    /// A device of this node has said that its user types.
    pub fn began(&self, typist: Typist, session: SessionId) {
        let now = Instant::now();
        let mut state = self.0.lock();
        let key = (typist.conversation, typist.user);
        if let Some(lease) = state.leases.get_mut(&key) {
            lease.session = Some(session);
            if now < lease.told_at + TOLD_EVERY {
                if lease.on {
                    lease.until = now + LEASE;
                }
                return;
            }
        }
        state.sessions.insert(session, key);
        if !self.0.lend(&mut state, typist.clone(), Some(session), LEASE) {
            return;
        }
        drop(state);
        if let Some(outgoing) = &self.0.outgoing {
            outgoing.typing(typist, None);
        }
    }

    /// A device of this node has said that its user types no more.
    pub fn stopped(&self, conversation: ConversationId, user: UserId) {
        self.end_here((conversation, user), StopReason::Stop);
    }

    /// A connection of this login has ended on this node.
    pub fn disconnected(&self, session: SessionId) {
        let key = {
            let mut state = self.0.lock();
            let Some(key) = state.sessions.remove(&session) else {
                return;
            };
            let is_its = |lease: &Lease| lease.session == Some(session);
            if !state.leases.get(&key).is_some_and(is_its) {
                return;
            }
            key
        };
        self.end_here(key, StopReason::Disconnect);
    }

    /// A message of the user is about to be delivered on this node.
    pub fn wrote(&self, conversation: ConversationId, user: UserId) {
        self.0.end((conversation, user), StopReason::Message);
    }

    /// The user was just put out of the conversation on this node.
    pub fn left(&self, conversation: ConversationId, user: UserId) {
        self.0.end((conversation, user), StopReason::Stop);
    }

    /// What another node says: somebody types there, or no longer.
    pub(crate) fn heard(&self, typist: Typist, ended: Option<StopReason>) {
        match ended {
            None => {
                let mut state = self.0.lock();
                self.0.lend(&mut state, typist, None, LEASE + SLACK);
            }
            Some(reason) => {
                self.0.end((typist.conversation, typist.user), reason);
            }
        }
    }

    /// Ends a lease and tells the other nodes, which don't know by themselves.
    fn end_here(&self, key: Key, reason: StopReason) {
        if let Some(typist) = self.0.end(key, reason)
            && let Some(outgoing) = &self.0.outgoing
        {
            outgoing.typing(typist, Some(reason));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins or renews a lease and tells the watchers. False if there are too many.
    fn lend(&self, state: &mut State, typist: Typist, session: Option<SessionId>, lease: Duration) -> bool {
        let key = (typist.conversation, typist.user);
        if state.leases.len() >= LEASES_MAX && !state.leases.contains_key(&key) {
            return false;
        }
        let event = encode::event(
            "user-typing",
            &UserTyping {
                who: Who::of(&typist),
                expires_in_ms: u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX),
            },
        );
        self.tell(&typist, &event);
        let now = Instant::now();
        let lent = Lease {
            typist,
            session,
            told_at: now,
            until: now + lease,
            on: true,
        };
        if state.leases.insert(key, lent).is_none() {
            state.due.push(Reverse((now + lease, key)));
            self.sooner.notify_one();
        }
        true
    }

    /// Ends a lease, if there is one, and tells the watchers.
    fn end(&self, key: Key, reason: StopReason) -> Option<Typist> {
        let mut state = self.lock();
        let lease = state.leases.get_mut(&key).filter(|lease| lease.on)?;
        lease.on = false;
        lease.until = lease.told_at + TOLD_EVERY;
        let typist = lease.typist.clone();
        let event = encode::event(
            "user-stop-typing",
            &UserStopTyping {
                who: Who::of(&typist),
                reason,
            },
        );
        self.tell(&typist, &event);
        Some(typist)
    }

    /// Tells the watchers on this node, but not the typist's own devices. Under the state's lock, so that the two
    /// events come in order.
    fn tell(&self, typist: &Typist, event: &Packet) {
        let own: Vec<ConnectionId> = self.hub.with_topic(&Channel::User(typist.user), |topic| {
            topic.links().iter().map(Link::id).collect()
        });
        let watchers = Channel::Conversation(typist.conversation);
        self.hub
            .publish_except(&watchers, event, Delivery::Droppable, &own);
    }

    /// Ends what has run out, and says when to look again.
    fn look(&self) -> Option<Instant> {
        loop {
            let mut state = self.lock();
            let Reverse((at, key)) = *state.due.peek()?;
            let now = Instant::now();
            if at > now {
                return Some(at);
            }
            state.due.pop();
            let Some(lease) = state.leases.get(&key) else {
                continue;
            };
            let (until, on, session) = (lease.until, lease.on, lease.session);
            if until > now {
                state.due.push(Reverse((until, key)));
                continue;
            }
            drop(state);
            if on
                && let Some(typist) = self.end(key, StopReason::Timeout)
                && session.is_some()
                && let Some(outgoing) = &self.outgoing
            {
                outgoing.typing(typist, Some(StopReason::Timeout));
            }
            let mut state = self.lock();
            // Unless they have begun again in this moment.
            if state.leases.get(&key).is_some_and(|lease| !lease.on) {
                state.leases.remove(&key);
                if let Some(session) = session
                    && state.sessions.get(&session) == Some(&key)
                {
                    state.sessions.remove(&session);
                }
            } else if let Some(lease) = state.leases.get(&key) {
                let until = lease.until;
                state.due.push(Reverse((until, key)));
            }
        }
    }
}

impl<'a> Who<'a> {
    fn of(typist: &'a Typist) -> Who<'a> {
        Who {
            conversation_id: typist.conversation,
            room_name: typist.room.as_ref(),
            user_id: typist.user,
            username: &typist.username,
        }
    }
}

async fn end_leases(shared: Arc<Shared>) {
    loop {
        match shared.look() {
            None => shared.sooner.notified().await,
            Some(at) => {
                tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = shared.sooner.notified() => {}
                }
            }
        }
    }
}
