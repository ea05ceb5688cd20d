//! One lane per conversation and node: proposals wait here in order and are appended batch by batch, one in flight.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use smallvec::{SmallVec, smallvec};
use tokio::sync::oneshot;

use super::announce::Announcer;
use super::batch::{Appender, BATCH_MAX, Pending};
use super::state::State;
use crate::clock::Clock;
use crate::domain::entry::{ClientMessageId, Entry, EntryKind};
use crate::error::Error;
use crate::ids::{ConversationId, EntryId, UserId};
use crate::outage::Outage;
use crate::ports::storage::Stores;
use crate::tasks::Tasks;

/// Most proposals that wait in one lane; more are refused with `UNAVAILABLE`.
const WAITING_MAX: usize = 4096;
/// Lanes kept with their state; above, idle ones are forgotten.
const LANES_KEPT: usize = 10_000;

/// Conversations repaired in one step.
const LAGGING_AT_ONCE: usize = 500;

/// How long the stored rows may lag behind in what nobody misses.
const SETTLE_EVERY: Duration = Duration::from_secs(1);

/// How often a worker looks for rows that a dead node has left behind.
const REPAIR_EVERY: Duration = Duration::from_mins(1);

/// Decides on the state at the head what is to be written, or why nothing may be. Nothing to write is fine: it is so
/// already. Called again when the head has moved, so it must not depend on how often it is called.
pub type Decide = Box<dyn Fn(&State) -> Result<Decided, Error> + Send>;

/// Entries that come into the log together, at most as many as the proposal has ids. The first of them is right without
/// the others: a crash may cut them off.
pub type Decided = SmallVec<[EntryKind; 1]>;

/// Entries that somebody wants in the log.
pub struct Proposal {
    /// Their ids, made by the caller and kept through all retries.
    pub ids: SmallVec<[EntryId; 1]>,
    /// Who wants them.
    pub sender: UserId,
    /// The client's key of the first, if there is one.
    pub client_message_id: Option<ClientMessageId>,
    /// The message they are about: the decision finds it in the state ([`State::message`]).
    pub target: Option<EntryId>,
    /// Whether the answer waits until the stored rows stand at the head.
    pub settle: bool,
    /// The rules.
    pub decide: Decide,
}

impl Proposal {
    /// A proposal of `sender` for one entry.
    pub fn new(
        id: EntryId,
        sender: UserId,
        decide: impl Fn(&State) -> Result<EntryKind, Error> + Send + 'static,
    ) -> Proposal {
        Proposal::several([id], sender, move |state| {
            decide(state).map(|kind| smallvec![kind])
        })
    }

    /// A proposal of `sender` for up to as many entries as there are ids.
    pub fn several(
        ids: impl IntoIterator<Item = EntryId>,
        sender: UserId,
        decide: impl Fn(&State) -> Result<Decided, Error> + Send + 'static,
    ) -> Proposal {
        Proposal {
            ids: ids.into_iter().collect(),
            sender,
            client_message_id: None,
            target: None,
            settle: false,
            decide: Box::new(decide),
        }
    }

    /// With the client's key of the (first) entry.
    pub fn with_key(mut self, key: Option<ClientMessageId>) -> Proposal {
        self.client_message_id = key;
        self
    }

    /// About this message.
    pub fn about(mut self, message: EntryId) -> Proposal {
        self.target = Some(message);
        self
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proposal")
            .field("ids", &self.ids)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

/// What became of a proposal. The entries are durable and were announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// It is these entries; none if there was nothing to write. Fewer than were decided only when a store that can't
    /// add several at once had failed in between: ask again for the rest.
    New(SmallVec<[Entry; 1]>),
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

    /// Waits until the stored rows of these conversations stand at the end of their logs, as far as this node has
    /// written them: read pointers of senders and answers to messages are brought up to date a little later. Whether
    /// there was anything to wait for: then what was read before may be older.
    pub async fn settle(&self, conversations: &[ConversationId]) -> Result<bool, Error> {
        let lanes: Vec<Arc<Lane>> = {
            let all = self.shared.lock();
            conversations
                .iter()
                .filter_map(|id| all.get(id))
                .cloned()
                .collect()
        };
        self.settle_lanes(lanes).await
    }

    /// Brings the rows up to date that a crash left behind their logs: before the server serves, for subscriptions are
    /// decided on rows.
    ///
    /// Other nodes may append meanwhile, so each conversation is looked at once. One that can't be read is left as it is:
    /// whoever needs it finds its rows behind and asks its log. Fails if the store doesn't even tell which ones lag.
    pub async fn repair(&self) -> Result<(), Error> {
        let stores = &self.shared.appender.stores;
        let (mut seen, mut limit) = (HashSet::new(), LAGGING_AT_ONCE);
        loop {
            let lagging = stores.conversations.lagging(limit).await?;
            let found = lagging.len();
            let fresh: Vec<ConversationId> = lagging.into_iter().filter(|id| seen.insert(*id)).collect();
            if fresh.is_empty() {
                if found < limit {
                    return Ok(());
                }
                // Those that can't be repaired don't stand before the others.
                limit += LAGGING_AT_ONCE;
            }
            for conversation in fresh {
                if let Err(error) = repair_one(stores, conversation).await {
                    tracing::warn!(conversation.id = %conversation, error = &error as &dyn std::error::Error,
                        "the rows of conversation {conversation} could not be brought up to date; others are, and its \
                         log is asked instead");
                }
            }
        }
    }

    /// The same for all conversations.
    pub async fn settle_all(&self) -> Result<(), Error> {
        let lanes: Vec<Arc<Lane>> = self.shared.lock().values().cloned().collect();
        self.settle_lanes(lanes).await.map(|_| ())
    }

    async fn settle_lanes(&self, lanes: Vec<Arc<Lane>>) -> Result<bool, Error> {
        let mut receipts = Vec::new();
        for lane in lanes {
            if lane.is_projected() {
                continue;
            }
            let mut settle = Proposal::several([], UserId::SERVER, |_| Ok(Decided::new()));
            settle.settle = true;
            receipts.push(self.submit(lane.conversation, settle));
        }
        let lagged = !receipts.is_empty();
        // The others are settled also where one fails.
        let mut all = Ok(lagged);
        for receipt in receipts {
            let settled = match receipt {
                Ok(receipt) => receipt.await,
                Err(error) => Err(error),
            };
            if let Err(error) = settled {
                all = Err(error);
            }
        }
        all
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<ConversationId, Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lane(&self, conversation: ConversationId) -> Arc<Lane> {
        let mut lanes = self.lock();
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
        // Tasks that are ready to run submit theirs first, and one batch reaches its watchers in one write: small rooms
        // cost 3.3 times what the bound costs instead of 5.3 (docs/PERFORMANCE.md).
        tokio::task::yield_now().await;
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

    /// Whether the stored rows stand at the head. While somebody drives the lane, nobody knows.
    fn is_projected(&self) -> bool {
        let waiting = self.lock();
        !waiting.driven && waiting.state.as_ref().is_none_or(State::is_projected)
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

async fn repair_one(stores: &Stores, conversation: ConversationId) -> Result<(), Error> {
    let mut state = State::load(stores, conversation).await?;
    state.project(stores).await
}

/// Brings rows up to date for ever that nodes have left behind which are gone.
pub(crate) async fn repair_regularly(log: Log) {
    let mut outage = Outage::new("the rows that dead nodes left behind can't be brought up to date");
    loop {
        tokio::time::sleep(REPAIR_EVERY).await;
        match log.repair().await {
            Ok(()) => outage.worked(),
            Err(error) => outage.failed(&error),
        }
    }
}

/// Brings the stored rows up to date every second: what is not urgent waits for company.
pub(crate) async fn settle_regularly(log: Log) {
    let mut outage = Outage::new("the rows of some conversations can't be brought up to date");
    loop {
        tokio::time::sleep(SETTLE_EVERY).await;
        match log.settle_all().await {
            Ok(()) => outage.worked(),
            Err(error) => outage.failed(&error),
        }
    }
}
