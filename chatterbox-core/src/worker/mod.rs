//! Runs jobs: claim, run, retry with a growing pause, bury what fails for good. And what comes due by the clock.

use std::sync::Arc;
use std::time::Duration;

use crate::app::jobs::Job;
use crate::clock::Clock;
use crate::error::Error;
use crate::ids::{IdSource, JobId};
use crate::ports::queue::{Claimed, Queue, QueueError};
use crate::ports::storage::Stores;

/// How often the queue is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Jobs claimed at a time, and for how long.
const CLAIM_MAX: usize = 16;
const LEASE: Duration = Duration::from_mins(1);
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
        loop {
            let result = tokio::select! {
                _ = sweeps.tick() => self.push_sweeps().await,
                _ = looks.tick() => self.run_due().await.map(drop),
            };
            if let Err(error) = result {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the queue is away; tried again in a second"
                );
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
            for job in claimed {
                self.run_one(job).await?;
                count += 1;
            }
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
        let now = self.clock.now();
        match self.perform(&job).await {
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
    use crate::ports::storage::Invite;
    use crate::testkit::samples::now;
    use crate::testkit::{ManualClock, SeededIds};

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
