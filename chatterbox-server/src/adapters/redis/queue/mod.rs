//! Jobs are rows of the store; Redis tells workers which of them to take.
//!
//! ```text
//! push ─▶ row ─▶ waiting (by when it may start) ─┐ claim.lua: what is due moves on, in order
//! retry ─▶ row ─▶ waiting ───────────────────────┴─▶ stream ─▶ a worker of the group ─▶ claims that row
//!                                                     ▲ what a dead worker left, when its lease is over
//! done, bury ─▶ row ─▶ off the stream             revive ─▶ as push
//! sweep, every 10 s of a worker ─▶ rows that are due and on no stream
//! ```
//! The row decides who has a job, when it may start and how often it was tried. So whatever Redis tells twice, late or
//! not at all does no harm, and while it is away workers claim straight from the rows. The stream is trimmed; what falls
//! off is found by the sweep.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chatterbox_core::app::jobs::Job;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::ids::{JobId, NodeId};
use chatterbox_core::ports::queue::{Buried, Claimed, DeadLetters, Queue, QueueError};
use deadpool_redis::redis::{Script, cmd};
use tokio::time::Instant;

use super::calls::{Calls, Failure};
use super::keys::Keys;

/// The consumer group of all workers.
const GROUP: &str = "workers";
/// Jobs told to workers that have not been taken; above, the oldest fall off and are swept.
const STREAM_MAX: usize = 100_000;
/// Jobs told that turn out to be somebody else's are skipped so often before a claim gives up for now.
const ROUNDS: usize = 4;
/// Jobs taken off the stream that this process works on; above, they are forgotten, and told to others when their lease
/// is over.
const HELD_MAX: usize = 10_000;

pub(super) struct RedisQueue {
    worker: String,
    keys: Keys,
    calls: Calls,
    claim: Script,
    settle: Script,
    rows: Arc<dyn Queue>,
    sweep_every: Duration,
    swept: Mutex<Option<Instant>>,
    /// Something could not be told to workers.
    untold: AtomicBool,
    /// Under which entry of the stream a job came.
    held: Mutex<HashMap<JobId, String>>,
}

/// What becomes of a job's place in Redis.
#[derive(Clone, Copy)]
enum Next {
    /// It may start again.
    At(Timestamp),
    Never,
}

impl RedisQueue {
    pub(super) fn new(
        node: NodeId,
        keys: &Keys,
        calls: Calls,
        rows: Arc<dyn Queue>,
        sweep_every: Duration,
    ) -> RedisQueue {
        RedisQueue {
            worker: node.to_string(),
            keys: keys.clone(),
            calls,
            claim: Script::new(include_str!("claim.lua")),
            settle: Script::new(include_str!("settle.lua")),
            rows,
            sweep_every,
            swept: Mutex::new(None),
            untold: AtomicBool::new(false),
            held: Mutex::default(),
        }
    }

    /// Jobs that this worker is told to take, at most `limit`, each with its entry of the stream.
    async fn told(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<(JobId, String)>, Failure> {
        let told = self.calls.run(|mut line| async move {
            self.claim
                .key(self.keys.jobs("waiting"))
                .key(self.keys.jobs("stream"))
                .arg(GROUP)
                .arg(&self.worker)
                .arg(now.as_millis())
                .arg(limit)
                .arg(lease.as_millis())
                .arg(STREAM_MAX)
                .invoke_async::<Vec<(String, String)>>(&mut line)
                .await
        });
        let told = told.await?.into_iter();
        Ok(told
            .filter_map(|(entry, id)| Some((id.parse().ok()?, entry)))
            .collect())
    }

    /// Claims what this worker is told to; `None` if Redis doesn't say.
    async fn claim_told(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: usize,
    ) -> Result<Option<Vec<Claimed>>, QueueError> {
        let mut claimed: Vec<Claimed> = Vec::new();
        for _ in 0..ROUNDS {
            let rest = limit - claimed.len();
            let Ok(told) = self.told(now, lease, rest).await else {
                return Ok((!claimed.is_empty()).then_some(claimed));
            };
            if told.is_empty() {
                break;
            }
            let ids: Vec<JobId> = told.iter().map(|(id, _)| *id).collect();
            let ours = self.rows.claim_these(&ids, now, lease).await?;
            for (id, entry) in told {
                if ours.iter().any(|job| job.id == id) {
                    self.hold(id, entry);
                } else {
                    // Done, given up, or somebody's: who has it sees to it, and the sweep if they die.
                    self.settle(id, &entry, None).await;
                }
            }
            claimed.extend(ours);
            if claimed.len() >= limit {
                break;
            }
        }
        Ok(Some(claimed))
    }

    fn hold(&self, id: JobId, entry: String) {
        let mut held = self.held();
        if held.len() >= HELD_MAX {
            held.clear();
        }
        held.insert(id, entry);
    }

    /// Lets workers know of a job that has come.
    async fn tell(&self, id: JobId, not_before: Timestamp) {
        let mut tell = cmd("ZADD");
        // A job that waits for another try keeps its time.
        tell.arg(self.keys.jobs("waiting"))
            .arg("NX")
            .arg(not_before.as_millis())
            .arg(id.to_string());
        let told = self
            .calls
            .run(|mut line| async move { tell.query_async::<()>(&mut line).await });
        if told.await.is_err() {
            self.untold.store(true, Ordering::Release);
        }
    }

    /// Takes an entry off the stream, and sees to it that the job comes at the right time or not again.
    async fn settle(&self, id: JobId, entry: &str, next: Option<Next>) {
        let score = match next {
            Some(Next::At(at)) => at.as_millis().to_string(),
            Some(Next::Never) => "never".to_owned(),
            None => String::new(),
        };
        let settled = self.calls.run(|mut line| async move {
            self.settle
                .key(self.keys.jobs("waiting"))
                .key(self.keys.jobs("stream"))
                .arg(GROUP)
                .arg(entry)
                .arg(id.to_string())
                .arg(score)
                .invoke_async::<()>(&mut line)
                .await
        });
        if settled.await.is_err() {
            self.untold.store(true, Ordering::Release);
        }
    }

    async fn settle_held(&self, id: JobId, next: Next) {
        let entry = self.held().remove(&id).unwrap_or_default();
        self.settle(id, &entry, Some(next)).await;
    }

    /// Whether it is time to look for rows that no stream carries.
    fn should_sweep(&self) -> bool {
        let untold = self.untold.swap(false, Ordering::AcqRel);
        untold || self.swept().is_none_or(|at| at.elapsed() >= self.sweep_every)
    }

    fn swept(&self) -> MutexGuard<'_, Option<Instant>> {
        self.swept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<JobId, String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn push(&self, id: JobId, job: &Job, not_before: Timestamp) -> Result<(), QueueError> {
        self.rows.push(id, job, not_before).await?;
        self.tell(id, not_before).await;
        Ok(())
    }

    async fn claim(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<Claimed>, QueueError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let told = self.claim_told(now, lease, limit).await?;
        let should_sweep = told.is_none() || self.should_sweep();
        let mut claimed = told.unwrap_or_default();
        let rest = limit - claimed.len();
        if should_sweep && rest > 0 {
            let found = self.rows.claim(now, lease, rest).await?;
            // Where there were that many there may be more.
            *self.swept() = (found.len() < rest).then(Instant::now);
            claimed.extend(found);
        }
        Ok(claimed)
    }

    async fn claim_these(
        &self,
        ids: &[JobId],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Claimed>, QueueError> {
        self.rows.claim_these(ids, now, lease).await
    }

    /// The entry of the stream may be given to another worker meanwhile: the row tells that it is held.
    async fn renew(&self, id: JobId, until: Timestamp) -> Result<(), QueueError> {
        self.rows.renew(id, until).await
    }

    async fn done(&self, id: JobId) -> Result<(), QueueError> {
        self.rows.done(id).await?;
        self.settle_held(id, Next::Never).await;
        Ok(())
    }

    async fn retry(&self, id: JobId, not_before: Timestamp) -> Result<(), QueueError> {
        self.rows.retry(id, not_before).await?;
        self.settle_held(id, Next::At(not_before)).await;
        Ok(())
    }

    async fn bury(&self, id: JobId, reason: &str, now: Timestamp) -> Result<(), QueueError> {
        self.rows.bury(id, reason, now).await?;
        self.settle_held(id, Next::Never).await;
        Ok(())
    }
}

#[async_trait]
impl DeadLetters for RedisQueue {
    async fn buried(&self, limit: usize) -> Result<Vec<Buried>, QueueError> {
        self.rows.buried(limit).await
    }

    async fn revive(&self, id: JobId, not_before: Timestamp) -> Result<bool, QueueError> {
        let revived = self.rows.revive(id, not_before).await?;
        if revived {
            self.tell(id, not_before).await;
        }
        Ok(revived)
    }

    async fn discard(&self, id: JobId) -> Result<bool, QueueError> {
        self.rows.discard(id).await
    }
}
