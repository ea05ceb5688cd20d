//! How a port calls Redis: over a ready connection, in bounded time, or not at all.
//!
//! ```text
//! keeper ─ connects, again and again, with pauses ─▶ place 0 ┐
//! keeper ─────────────────────────────────────────▶ place 1 ┼─▶ Calls::run: a ready line, or Away at once
//! …                                                          ┘      │ no answer in time, connection broken
//!                                                                   ▼
//!                                     the place is emptied, its keeper wakes up; for a second Away at once
//! ```
//! Nobody waits for a connection to be made. A Redis that takes connections and never answers fills no place, since a
//! connection counts when it has been greeted.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chatterbox_core::outage::Outage;
use chatterbox_core::tasks::Tasks;
use deadpool_redis::redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::address::Address;
use super::counters::RedisCounters;
use super::pool::{Line, Pool, Pooled};

/// Pauses between attempts to connect: the first, doubling up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// After a call that was not answered in time no other is tried for so long.
const CLOSED_FOR: Duration = Duration::from_secs(1);
/// Calls of one kind under way; above, they are not made.
const UNDER_WAY_MAX: usize = 1024;
/// Unanswered calls in a row after which a connection to a cluster is given up: one of its masters may be away while
/// the others answer. A connection to a single server is given up at the first.
const CLUSTER_PATIENCE: u32 = 3;

/// Why Redis gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("Redis is not connected")]
    Away,
    #[error("Redis gave no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("Redis answered with an error")]
    Refused(#[source] RedisError),
}

/// The connections of this process, which all ports share.
pub(super) struct Lines {
    address: Address,
    is_cluster: bool,
    places: Vec<Place>,
    next: AtomicUsize,
    ready: watch::Sender<usize>,
    lost: AtomicBool,
    outage: Mutex<Outage>,
    pub(super) counters: Arc<RedisCounters>,
}

#[derive(Default)]
struct Place {
    held: Mutex<Option<Held>>,
    emptied: Notify,
}

struct Held {
    pooled: Pooled,
    serial: u64,
    /// Calls in a row that were not answered.
    unanswered: u32,
}

/// Which line was lent.
#[derive(Clone, Copy)]
struct Lent {
    place: usize,
    serial: u64,
}

impl Lines {
    /// Begins to connect, `size` times, and goes on for ever.
    pub(super) fn start(address: Address, size: usize, tasks: &Tasks) -> Result<Arc<Lines>, RedisError> {
        let pool = Pool::new(&address, size)?;
        let outage = Outage::new(format!(
            "Redis at {address} does not answer; messages go on without it, presence and typing over several nodes do not: \
             see that it runs and that REDIS_URL is right"
        ));
        let lines = Arc::new(Lines {
            address,
            is_cluster: pool.is_cluster(),
            places: (0..size).map(|_| Place::default()).collect(),
            next: AtomicUsize::new(0),
            ready: watch::Sender::new(0),
            lost: AtomicBool::new(false),
            outage: Mutex::new(outage),
            counters: Arc::default(),
        });
        let serials = Arc::new(AtomicU64::new(0));
        for place in 0..size {
            let (lines, pool, serials) = (lines.clone(), pool.clone(), serials.clone());
            tasks.spawn_until_stopped(async move { lines.keep(place, &pool, &serials).await });
        }
        Ok(lines)
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Fills a place whenever it is empty.
    async fn keep(&self, place: usize, pool: &Pool, serials: &AtomicU64) {
        let mut pause = FIRST_PAUSE;
        loop {
            match pool.take().await {
                Ok(pooled) => {
                    let began = Instant::now();
                    let serial = serials.fetch_add(1, Ordering::Relaxed);
                    let unanswered = 0;
                    *self.lock(place) = Some(Held {
                        pooled,
                        serial,
                        unanswered,
                    });
                    self.ready.send_modify(|ready| {
                        if *ready == 0 {
                            tracing::info!("connected to Redis at {}", self.address);
                            self.outage().worked();
                        }
                        *ready += 1;
                    });
                    self.places[place].emptied.notified().await;
                    if began.elapsed() > LAST_PAUSE {
                        pause = FIRST_PAUSE;
                        continue;
                    }
                    // A server may greet everybody and then refuse them: one that loads its data, or a replica.
                }
                Err(error) => self.warn(&error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Tells the operator, while nothing works and not too often.
    fn warn(&self, error: &(dyn std::error::Error + 'static)) {
        if *self.ready.borrow() > 0 {
            return;
        }
        self.outage().failed(error);
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was a connection within the time.
    pub(super) async fn connected_within(&self, time: Duration) -> bool {
        let mut ready = self.ready.subscribe();
        let connected = ready.wait_for(|ready| *ready > 0);
        matches!(tokio::time::timeout(time, connected).await, Ok(Ok(_)))
    }

    /// Whether a connection broke since the last time this was asked: whatever Redis knew may be gone.
    pub(super) fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }

    /// See [`take_lost`](Lines::take_lost).
    fn note_lost(&self) {
        self.lost.store(true, Ordering::Release);
    }

    fn lend(&self) -> Option<(Line, Lent)> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        (0..self.places.len()).find_map(|offset| {
            let place = first.wrapping_add(offset) % self.places.len();
            let held = self.lock(place);
            let lend = |held: &Held| {
                (
                    held.pooled.line(),
                    Lent {
                        place,
                        serial: held.serial,
                    },
                )
            };
            held.as_ref().map(lend)
        })
    }

    /// The line's answers come.
    fn answered(&self, lent: Lent) {
        if let Some(held) = &mut *self.lock(lent.place)
            && held.serial == lent.serial
        {
            held.unanswered = 0;
        }
    }

    /// An answer did not come in time. A single server that keeps one waiting keeps all waiting.
    fn not_answered(&self, lent: Lent) {
        if !self.is_cluster {
            return self.empty_all();
        }
        self.empty(lent.place, |held| {
            held.unanswered += u32::from(held.serial == lent.serial);
            held.unanswered >= CLUSTER_PATIENCE
        });
    }

    /// Another connection to the same Redis broke: to a single server all are made anew.
    pub(super) fn suspect(&self) {
        self.note_lost();
        if !self.is_cluster {
            self.empty_all();
        }
    }

    fn empty_all(&self) {
        for place in 0..self.places.len() {
            self.empty(place, |_| true);
        }
    }

    /// The connection is broken, or leads to where it shouldn't.
    fn broke(&self, lent: Lent) {
        self.note_lost();
        self.empty(lent.place, |held| held.serial == lent.serial);
    }

    fn empty(&self, place: usize, condition: impl FnOnce(&mut Held) -> bool) {
        let mut held = self.lock(place);
        if !held.as_mut().is_some_and(condition) {
            return;
        }
        let gone = held.take();
        drop(held);
        if let Some(gone) = gone {
            gone.pooled.discard();
            self.ready.send_modify(|ready| *ready -= 1);
            self.counters.connection_lost();
            self.places[place].emptied.notify_one();
        }
    }

    fn lock(&self, place: usize) -> MutexGuard<'_, Option<Held>> {
        self.places[place]
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls of one port.
pub(super) struct Calls {
    lines: Arc<Lines>,
    limit: Duration,
    under_way: Semaphore,
    /// No call is made before.
    closed_until: Mutex<Option<Instant>>,
}

impl Calls {
    /// Each call takes at most `limit`.
    pub(super) fn new(lines: Arc<Lines>, limit: Duration) -> Calls {
        Calls {
            lines,
            limit,
            under_way: Semaphore::new(UNDER_WAY_MAX),
            closed_until: Mutex::new(None),
        }
    }

    pub(super) fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    /// Hands `call` a line and gives its answer.
    pub(super) async fn run<T, F>(&self, call: impl FnOnce(Line) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let lines = &self.lines;
        let (Ok(_place), Some((line, lent))) = (self.under_way.try_acquire(), self.lend()) else {
            lines.counters.call_not_made();
            return Err(Failure::Away);
        };
        match tokio::time::timeout(self.limit, call(line)).await {
            Ok(Ok(answer)) => {
                lines.answered(lent);
                Ok(answer)
            }
            Ok(Err(error)) => {
                lines.counters.call_failed();
                if is_broken(&error) {
                    lines.broke(lent);
                } else {
                    lines.answered(lent);
                }
                Err(Failure::Refused(error))
            }
            Err(_) => {
                lines.counters.call_timed_out();
                *self.closed() = Some(Instant::now() + CLOSED_FOR);
                lines.not_answered(lent);
                Err(Failure::TimedOut(self.limit))
            }
        }
    }

    fn lend(&self) -> Option<(Line, Lent)> {
        let mut closed = self.closed();
        if closed.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        *closed = None;
        drop(closed);
        self.lines.lend()
    }

    fn closed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.closed_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether another connection may do better: this one is dead, or its server is starting or no master any more.
fn is_broken(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || matches!(
            error.kind(),
            ErrorKind::Server(
                ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading
            )
        )
}
