use std::sync::Arc;

use async_trait::async_trait;

use super::Carry;
use crate::app::Effect;
use crate::clock::Clock;
use crate::ids::{IdSource, JobId};
use crate::ports::queue::Queue;

/// Puts jobs in the queue.
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
}

#[async_trait]
impl Carry for Enqueuer {
    async fn carry(&self, effects: &[Effect]) {
        for effect in effects {
            let Effect::Enqueue(job) = effect else { continue };
            let id = JobId::new(&*self.ids);
            if let Err(error) = self.queue.push(id, job, self.clock.now()).await {
                tracing::error!(job = ?job, error = &error as &dyn std::error::Error, "a job could not be queued");
            }
        }
    }
}
