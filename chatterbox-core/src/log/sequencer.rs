//! One lane per conversation and node: proposals wait here in order and are appended batch by batch, one in flight.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use super::announce::Announcer;
use super::batch::{Appender, Pending};
use super::state::State;
use crate::clock::Clock;
use crate::domain::entry::{ClientMessageId, Entry, EntryKind};
use crate::error::Error;
use crate::ids::{ConversationId, EntryId, UserId};
use crate::ports::storage::Stores;
use crate::tasks::Tasks;

/// Most entries appended in one step.
const BATCH_MAX: usize = 256;
/// Most proposals that wait in one lane; more are refused with `UNAVAILABLE`.
const WAITING_MAX: usize = 4096;
/// Lanes kept with their state; above, idle ones are forgotten.
const LANES_KEPT: usize = 10_000;

/// Decides on the state at the head what the entry says, or that there is none. Called again when the head has moved,
/// so it must not depend on how often it is called.
pub type Decide = Box<dyn Fn(&State) -> Result<EntryKind, Error> + Send>;

/// An entry that somebody wants in the log.
pub struct Proposal {
    /// Its id, made by the caller and kept through all retries.
    pub id: EntryId,
    /// Who wants it.
    pub sender: UserId,
    /// The client's key, if there is one.
    pub client_message_id: Option<ClientMessageId>,
    /// The rules.
    pub decide: Decide,
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proposal")
            .field("id", &self.id)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

/// What became of a proposal. The entry is durable and was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// It is this entry.
    New(Entry),
    /// Its sender had used its key before, for this entry.
    Duplicate(Entry),
}

/// Resolves when the proposal's fate is known. Dropping it changes nothing: what was submitted goes on.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Posted, Error>>);

impl Future for Receipt {
    type Output = Result<Posted, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // The sender is dropped unanswered only when the runtime stops in mid-air.
        Poll::Ready(ready!(Pin::new(&mut self.0).poll(context)).unwrap_or(Err(Error::Unavailable(None))))
    }
}

/// The append path of all conversations on this node.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    appender: Appender,
    tasks: Tasks,
    lanes: Mutex<HashMap<ConversationId, Arc<Lane>>>,
}

struct Lane {
    conversation: ConversationId,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    proposals: VecDeque<Pending>,
    /// Whether a task drives the lane. It has the state meanwhile.
    driven: bool,
    /// The state where the last batch ended.
    state: Option<State>,
}

impl Log {
    /// Over `stores`; entries are announced through `announcer`.
    pub fn new(stores: Stores, clock: Arc<dyn Clock>, announcer: Announcer, tasks: Tasks) -> Log {
        let appender = Appender {
            stores,
            clock,
            announcer,
        };
        Log {
            shared: Arc::new(Shared {
                appender,
                tasks,
                lanes: Mutex::default(),
            }),
        }
    }

    /// Puts a proposal behind all others of its conversation. From here on it goes its way whatever becomes of the
    /// caller.
    pub fn submit(&self, conversation: ConversationId, proposal: Proposal) -> Result<Receipt, Error> {
        let (answer, receipt) = oneshot::channel();
        let lane = self.shared.lane(conversation);
        let must_start = {
            let mut waiting = lane.lock();
            if waiting.proposals.len() >= WAITING_MAX {
                return Err(Error::Unavailable(None));
            }
            waiting.proposals.push_back(Pending { proposal, answer });
            !std::mem::replace(&mut waiting.driven, true)
        };
        if must_start {
            let shared = self.shared.clone();
            self.shared.tasks.spawn(async move { shared.drive(&lane).await });
        }
        Ok(Receipt(receipt))
    }

    /// The conversation as it stands at the end of its log, read from the store.
    pub async fn state(&self, conversation: ConversationId) -> Result<State, Error> {
        State::load(&self.shared.appender.stores, conversation).await
    }
}

impl Shared {
    fn lane(&self, conversation: ConversationId) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= LANES_KEPT && !lanes.contains_key(&conversation) {
            // Whoever holds a lane may be about to put a proposal in.
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        let fresh = || {
            Arc::new(Lane {
                conversation,
                waiting: Mutex::default(),
            })
        };
        lanes.entry(conversation).or_insert_with(fresh).clone()
    }

    /// Appends batch after batch until nothing waits.
    async fn drive(&self, lane: &Lane) {
        let mut state = lane.lock().state.take();
        while let Some(batch) = lane.next_batch(&mut state) {
            state = self.appender.append(lane.conversation, state, batch).await;
        }
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits, or `None` when nothing does: then the lane has its state back and needs a new driver.
    fn next_batch(&self, state: &mut Option<State>) -> Option<VecDeque<Pending>> {
        let mut waiting = self.lock();
        if waiting.proposals.is_empty() {
            waiting.driven = false;
            waiting.state = state.take();
            return None;
        }
        let length = waiting.proposals.len().min(BATCH_MAX);
        Some(waiting.proposals.drain(..length).collect())
    }
}
