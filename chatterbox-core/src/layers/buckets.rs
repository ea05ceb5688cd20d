use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::ports::rate_limit::{Decision, RateLimiter, Take};

/// How long a limiter may take before local buckets decide (S-022).
const PATIENCE: Duration = Duration::from_millis(100);
/// The operator hears of a limiter that is away at most so often.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// The shared limiter, and a local one for while it can't answer: limits are never open.
#[derive(Clone)]
pub struct Buckets {
    limiter: Arc<dyn RateLimiter>,
    local: Arc<dyn RateLimiter>,
    fallbacks: Arc<Fallbacks>,
}

/// How often the local limiter had to decide.
#[derive(Debug, Default)]
struct Fallbacks {
    count: AtomicU64,
    warned: Mutex<Option<Instant>>,
}

impl Buckets {
    /// `limiter` decides, and while it can't answer, `local`.
    pub fn new(limiter: Arc<dyn RateLimiter>, local: Arc<dyn RateLimiter>) -> Buckets {
        Buckets {
            limiter,
            local,
            fallbacks: Arc::default(),
        }
    }

    /// Takes from all of `buckets` (at most 8) or from none.
    pub async fn take(&self, buckets: &[Take]) -> Result<Decision, Error> {
        let error: Option<Box<dyn std::error::Error + Send + Sync>> =
            match tokio::time::timeout(PATIENCE, self.limiter.take(buckets)).await {
                Ok(Ok(decision)) => return Ok(decision),
                Ok(Err(error)) => Some(Box::new(error)),
                Err(_) => None,
            };
        self.fallbacks.note(error);
        Ok(self.local.take(buckets).await?)
    }

    /// How often the local limiter decided since the start: `chatterbox_rate_limit_fallbacks_total`.
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks.count.load(Ordering::Relaxed)
    }
}

impl Fallbacks {
    fn note(&self, error: Option<Box<dyn std::error::Error + Send + Sync>>) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if warned.is_some_and(|at| at.elapsed() < WARN_EVERY) {
                return;
            }
            *warned = Some(Instant::now());
        }
        let cause = error.map_or_else(|| "no answer in time".to_owned(), |error| error.to_string());
        tracing::warn!(
            count,
            "the shared rate limiter does not answer ({cause}); limits are kept by each node for itself"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryRateLimiter;
    use crate::ports::rate_limit::Quota;
    use crate::testkit::Slow;

    #[tokio::test(start_paused = true)]
    async fn s022_a_limiter_that_is_silent_is_replaced_by_local_buckets_and_never_open() {
        let (shared, gate) = Slow::new(Arc::new(MemoryRateLimiter::new(100)));
        let buckets = Buckets::new(Arc::new(shared), Arc::new(MemoryRateLimiter::new(100)));
        let take = [Take {
            key: "msg:ann".to_owned(),
            quota: Quota::per(3, Duration::from_hours(1)),
            cost: 1,
        }];
        let is_allowed = async || matches!(buckets.take(&take).await.unwrap(), Decision::Allowed { .. });
        assert!(is_allowed().await);
        assert_eq!(buckets.fallbacks(), 0);
        gate.close();
        let began = Instant::now();
        for allowed in [true, true, true, false, false] {
            assert_eq!(is_allowed().await, allowed);
        }
        assert_eq!(began.elapsed(), PATIENCE * 5, "nobody waits longer");
        assert_eq!(buckets.fallbacks(), 5);
        gate.open();
        assert!(is_allowed().await, "the shared bucket has two left");
        assert_eq!(buckets.fallbacks(), 5);
    }
}
