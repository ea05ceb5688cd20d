use std::sync::Arc;
use std::time::Duration;

use super::{Around, CallFuture, CallService};
use crate::app::jobs::Job;
use crate::app::{Call, Effect};
use crate::clock::Clock;
use crate::error::Error;
use crate::ids::{IdSource, JobId};
use crate::ports::queue::{Queue, QueueError};

/// Pauses between attempts to queue a job.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1_500),
];

/// Puts jobs in the queue before anyone hears of what was done. A queue that stays away fails the call, so that its caller
/// asks again: a command that queues jobs does so each time it is asked for the same.
#[derive(Clone)]
pub struct Enqueuer {
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Enqueuer {
    /// Into `queue`.
    pub fn new(queue: Arc<dyn Queue>, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Enqueuer {
        Enqueuer { queue, clock, ids }
    }

    async fn enqueue(&self, job: &Job) -> Result<(), QueueError> {
        // The same through all attempts: one whose answer was lost queues nothing twice.
        let id = JobId::new(&*self.ids);
        for pause in PAUSES {
            match self.queue.push(id, job, self.clock.now()).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::debug!(
                    job = job.kind(),
                    error = &error as &dyn std::error::Error,
                    "a job could not be queued, next try in {pause:?}"
                ),
            }
            tokio::time::sleep(pause).await;
        }
        self.queue.push(id, job, self.clock.now()).await
    }

    async fn enqueue_all(&self, effects: &[Effect]) -> Result<(), Error> {
        for effect in effects {
            let Effect::Enqueue(job) = effect else { continue };
            if let Err(error) = self.enqueue(job).await {
                tracing::error!(
                    job = job.kind(),
                    error = &error as &dyn std::error::Error,
                    "a job could not be queued: the call fails, so that its caller asks again"
                );
                return Err(error.into());
            }
        }
        Ok(())
    }
}

impl Around for Enqueuer {
    fn around<S: CallService>(&self, inner: &mut S, call: Call) -> CallFuture {
        let answer = inner.call(call);
        let enqueuer = self.clone();
        Box::pin(async move {
            let outcome = answer.await?;
            if !outcome.effects.is_empty() {
                enqueuer.enqueue_all(&outcome.effects).await?;
            }
            Ok(outcome)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryQueue;
    use crate::testkit::samples::now;
    use crate::testkit::{Fault, Flaky, ManualClock, SeededIds};

    const EFFECTS: [Effect; 1] = [Effect::Enqueue(Job::SweepInvites)];

    fn enqueuer() -> (Enqueuer, Arc<Flaky<Arc<MemoryQueue>>>) {
        let queue = Arc::new(Flaky::new(Arc::new(MemoryQueue::new(10))));
        let (clock, ids) = (Arc::new(ManualClock::at(now())), Arc::new(SeededIds::new(1)));
        (Enqueuer::new(queue.clone(), clock, ids), queue)
    }

    async fn queued(queue: &Flaky<Arc<MemoryQueue>>) -> usize {
        let claimed = queue.inner().claim(now(), Duration::from_secs(1), 10).await;
        claimed.unwrap().len()
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_is_queued_once_through_a_short_outage() {
        let (enqueuer, queue) = enqueuer();
        queue.plan([Fault::Refused, Fault::AnswerLost, Fault::Refused]);
        enqueuer.enqueue_all(&EFFECTS).await.unwrap();
        assert_eq!(queued(&queue).await, 1);
    }

    /// DESIGN.md section 3: jobs are durable before anyone hears of the change.
    #[tokio::test(start_paused = true)]
    async fn a_call_whose_job_is_not_durable_fails() {
        let (enqueuer, queue) = enqueuer();
        queue.plan([Fault::Refused; 4]);
        let error = enqueuer.enqueue_all(&EFFECTS).await.unwrap_err();
        assert_eq!(error.code(), "UNAVAILABLE");
        assert_eq!(queued(&queue).await, 0);
    }
}
