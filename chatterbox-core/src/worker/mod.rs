//! Runs jobs: claim, run, retry with a growing pause, bury what fails for good. And what comes due by the clock.
//!
//! Jobs that were claimed together run together, and each renews its own lease: a slow one is neither run by somebody else
//! meanwhile nor in the way of those claimed with it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::app::jobs::Job;
use crate::clock::Clock;
use crate::error::Error;
use crate::ids::{IdSource, JobId};
use crate::outage::Outage;
use crate::ports::queue::{Claimed, Queue, QueueError};
use crate::ports::storage::Stores;

/// How often the queue is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Jobs claimed at a time, and for how long.
const CLAIM_MAX: usize = 16;
const LEASE: Duration = Duration::from_mins(1);
/// How often a job that runs says so.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// How long one attempt may take. What has so much to do goes on with the next.
const RUN_MAX: Duration = Duration::from_mins(10);
/// Attempts before a job is buried, and the pause before the second; it doubles with each further one.
const ATTEMPTS_MAX: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// How often what is over is swept, and for how long ended sessions are kept to recognise stolen refresh tokens.
const SWEEP_EVERY: Duration = Duration::from_hours(1);
const SESSIONS_KEPT: Duration = Duration::from_hours(30 * 24);
/// Rows deleted in one step.
const SWEEP_ROWS: usize = 1000;

/// One node's worker.
#[derive(Clone)]
pub struct Worker {
    queue: Arc<dyn Queue>,
    stores: Stores,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Worker {
    /// Works on `queue`.
    pub fn new(
        queue: Arc<dyn Queue>,
        stores: Stores,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Worker {
        Worker {
            queue,
            stores,
            clock,
            ids,
        }
    }

    /// Works for ever.
    pub async fn run(self) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let mut sweeps = tokio::time::interval(SWEEP_EVERY);
        let mut outage = Outage::new("the job queue is away");
        loop {
            let result = tokio::select! {
                _ = sweeps.tick() => self.push_sweeps().await,
                _ = looks.tick() => self.run_due().await.map(drop),
            };
            match result {
                Ok(()) => outage.worked(),
                Err(error) => outage.failed(&error),
            }
        }
    }

    /// Runs everything that is due, and says how many jobs that were.
    pub async fn run_due(&self) -> Result<usize, QueueError> {
        let mut count = 0;
        loop {
            let claimed = self.queue.claim(self.clock.now(), LEASE, CLAIM_MAX).await?;
            if claimed.is_empty() {
                return Ok(count);
            }
            count += claimed.len();
            let ended = join_all(claimed.into_iter().map(|job| self.run_one(job))).await;
            ended.into_iter().collect::<Result<(), QueueError>>()?;
        }
    }

    async fn push_sweeps(&self) -> Result<(), QueueError> {
        self.push(&Job::SweepSessions).await?;
        self.push(&Job::SweepInvites).await
    }

    async fn push(&self, job: &Job) -> Result<(), QueueError> {
        self.queue
            .push(JobId::new(&*self.ids), job, self.clock.now())
            .await
    }

    async fn run_one(&self, claimed: Claimed) -> Result<(), QueueError> {
        let Claimed { id, job, attempt } = claimed;
        let performed = tokio::select! {
            performed = self.perform(&job) => performed,
            never = self.hold(id) => match never {},
            () = tokio::time::sleep(RUN_MAX) => Err(Error::Unavailable(None)),
        };
        let now = self.clock.now();
        match performed {
            Ok(()) => self.queue.done(id).await,
            Err(error) if attempt < ATTEMPTS_MAX => {
                let pause = FIRST_PAUSE * 2_u32.pow(attempt - 1);
                tracing::warn!(job.id = %id, job = ?job, error = &error as &dyn std::error::Error,
                    "job {id} failed for the {attempt}. time, next try in {pause:?}");
                self.queue.retry(id, now.plus(pause)).await
            }
            Err(error) => {
                tracing::error!(job.id = %id, job = ?job, error = &error as &dyn std::error::Error,
                    "job {id} failed {attempt} times and is given up");
                self.queue.bury(id, &error.to_string(), now).await
            }
        }
    }

    /// Keeps the job from others for as long as it is waited for.
    async fn hold(&self, id: JobId) -> Infallible {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if let Err(error) = self.queue.renew(id, self.clock.now().plus(LEASE)).await {
                tracing::debug!(job.id = %id, error = &error as &dyn std::error::Error,
                    "the lease of job {id} could not be renewed; if that goes on, it runs twice");
            }
        }
    }

    async fn perform(&self, job: &Job) -> Result<(), Error> {
        match job {
            Job::SweepSessions => {
                let now = self.clock.now();
                let kept = i64::try_from(SESSIONS_KEPT.as_millis()).unwrap_or(i64::MAX);
                let before = crate::clock::Timestamp::from_millis(now.as_millis() - kept);
                while self.stores.sessions.sweep(before, SWEEP_ROWS).await? == SWEEP_ROWS {}
                Ok(())
            }
            Job::SweepInvites => {
                let conversations = &self.stores.conversations;
                while conversations.sweep_invites(self.clock.now(), SWEEP_ROWS).await? == SWEEP_ROWS {}
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConversationId, UserId};
    use crate::memory::{MemoryQueue, MemoryStores};
    use crate::ports::queue::DeadLetters as _;
    use crate::ports::storage::{Invite, SessionStore, StoreError};
    use crate::testkit::samples::{in_secs, now};
    use crate::testkit::{Fault, Flaky, ManualClock, SeededIds, Slow};

    /// A worker whose session store is as it is given.
    struct World {
        queue: Arc<MemoryQueue>,
        clock: Arc<ManualClock>,
        worker: Worker,
        job: JobId,
    }

    impl World {
        /// With a job that needs that store.
        async fn with(sessions: Arc<dyn SessionStore>) -> World {
            let (ids, clock) = (Arc::new(SeededIds::new(1)), Arc::new(ManualClock::at(now())));
            let queue = Arc::new(MemoryQueue::new(100));
            let stores = Stores {
                sessions,
                ..MemoryStores::new(1_000)
            };
            let job = JobId::new(&*ids);
            queue.push(job, &Job::SweepSessions, now()).await.unwrap();
            World {
                worker: Worker::new(queue.clone(), stores, clock.clone(), ids),
                queue,
                clock,
                job,
            }
        }
    }

    /// S-019: 2 s, 4 s, … 128 s between 8 attempts, then it is given up and told.
    #[tokio::test(start_paused = true)]
    async fn s_019_a_job_that_fails_is_tried_again_ever_later_and_given_up() {
        let sessions = Arc::new(Flaky::new(MemoryStores::new(10).sessions));
        sessions.plan([Fault::Refused; 9]);
        let world = World::with(sessions).await;
        let mut ran_at = Vec::new();
        for second in 0..600 {
            for _ in 0..world.worker.run_due().await.unwrap() {
                ran_at.push(second);
            }
            world.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(ran_at, [0, 2, 6, 14, 30, 62, 126, 254]);
        let buried = world.queue.buried(9).await.unwrap();
        assert_eq!(buried.len(), 1);
        assert_eq!(
            (buried[0].id, &*buried[0].kind, buried[0].attempts),
            (world.job, "sweepSessions", 8)
        );
        assert_eq!(buried[0].at, in_secs(254));
        assert_eq!(buried[0].reason, Error::from(StoreError::Full).to_string());
    }

    /// S-019: an operator has it tried again, the cause being mended.
    #[tokio::test(start_paused = true)]
    async fn s_019_a_job_that_was_given_up_can_be_done_after_all() {
        let sessions = Arc::new(Flaky::new(MemoryStores::new(10).sessions));
        let world = World::with(sessions.clone()).await;
        world.queue.bury(world.job, "no", now()).await.unwrap();
        assert_eq!(world.worker.run_due().await.unwrap(), 0);
        assert!(world.queue.revive(world.job, now()).await.unwrap());
        assert_eq!(world.worker.run_due().await.unwrap(), 1);
        assert_eq!(world.queue.buried(9).await.unwrap(), []);
    }

    /// A job of minutes is nobody else's meanwhile, and those claimed with it don't wait for it.
    #[tokio::test(start_paused = true)]
    async fn a_slow_job_runs_once_and_holds_no_other_up() {
        let (sessions, gate) = Slow::new(MemoryStores::new(10).sessions);
        gate.close();
        let world = World::with(Arc::new(sessions)).await;
        let quick = JobId::new(&SeededIds::new(2));
        world.queue.push(quick, &Job::SweepInvites, now()).await.unwrap();
        let run = world.worker.run_due();
        let meanwhile = async {
            gate.waiting(1).await;
            for _ in 0..50 {
                // Both clocks: the one of pauses, and the one of leases.
                tokio::time::sleep(Duration::from_secs(10)).await;
                world.clock.advance(Duration::from_secs(10));
                let other = world.queue.claim(world.clock.now(), LEASE, 9).await.unwrap();
                assert_eq!(other, [], "somebody else got it");
            }
            let known = world.queue.push(quick, &Job::SweepInvites, in_secs(900)).await;
            known.unwrap();
            gate.open();
        };
        let (ran, ()) = tokio::join!(run, meanwhile);
        assert_eq!(ran.unwrap(), 2);
        let left = world.queue.claim(in_secs(900), LEASE, 9).await.unwrap();
        assert_eq!(
            left.iter().map(|job| job.id).collect::<Vec<_>>(),
            [quick],
            "it was done long ago"
        );
    }

    /// What hangs is tried again like what fails.
    #[tokio::test(start_paused = true)]
    async fn a_job_that_hangs_is_ended() {
        let (sessions, gate) = Slow::new(MemoryStores::new(10).sessions);
        gate.close();
        let world = World::with(Arc::new(sessions)).await;
        assert_eq!(world.worker.run_due().await.unwrap(), 1);
        assert_eq!(world.queue.claim(in_secs(1), LEASE, 9).await.unwrap(), []);
        assert_eq!(world.queue.claim(in_secs(2), LEASE, 9).await.unwrap().len(), 1);
    }

    /// S-071: more of them than go in one step, and none that is good.
    #[tokio::test]
    async fn invites_that_are_over_go_with_the_next_sweep() {
        let (ids, clock) = (Arc::new(SeededIds::new(1)), Arc::new(ManualClock::at(now())));
        let stores = MemoryStores::new(10_000);
        let queue = Arc::new(MemoryQueue::new(100));
        let worker = Worker::new(queue, stores.clone(), clock.clone(), ids.clone());
        let (group, ann) = (ConversationId::new(&*ids), UserId::new(&*ids));
        let over = SWEEP_ROWS + 7;
        for number in 0..=over {
            let mut token_hash = [0; 32];
            token_hash[..8].copy_from_slice(&number.to_be_bytes());
            let good_for = Duration::from_secs(if number == over { 7_200 } else { 60 });
            let invite = Invite {
                token_hash,
                conversation: group,
                created_by: ann,
                created_at: now(),
                expires_at: now().plus(good_for),
            };
            stores.conversations.add_invite(invite).await.unwrap();
        }
        clock.advance(Duration::from_hours(1));
        worker.push_sweeps().await.unwrap();
        assert_eq!(worker.run_due().await.unwrap(), 2);
        assert_eq!(stores.conversations.revoke_invites(group).await.unwrap(), 1);
    }
}
