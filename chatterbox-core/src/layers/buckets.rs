use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::ports::rate_limit::{Decision, RateLimiter, Take};

/// How long a limiter may take before local buckets decide (S-022).
const PATIENCE: Duration = Duration::from_millis(100);

/// The shared limiter, and a local one for while it can't answer: limits are never open.
#[derive(Clone)]
pub struct Buckets {
    limiter: Arc<dyn RateLimiter>,
    local: Arc<dyn RateLimiter>,
}

impl Buckets {
    /// `limiter` decides, and while it can't answer, `local`.
    pub fn new(limiter: Arc<dyn RateLimiter>, local: Arc<dyn RateLimiter>) -> Buckets {
        Buckets { limiter, local }
    }

    /// Takes from all of `buckets` (at most 8) or from none.
    pub async fn take(&self, buckets: &[Take]) -> Result<Decision, Error> {
        match tokio::time::timeout(PATIENCE, self.limiter.take(buckets)).await {
            Ok(Ok(decision)) => Ok(decision),
            Ok(Err(_)) | Err(_) => Ok(self.local.take(buckets).await?),
        }
    }
}
