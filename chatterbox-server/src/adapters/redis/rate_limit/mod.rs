//! Token buckets that all nodes share.
//!
//! All buckets of a call are judged and taken from by one script (take.lua), by Redis' clock. So they share a slot of a
//! cluster: which buckets meet in a call is known to nobody beforehand (a user's with an address's, an address's with an
//! account's), and taking slot by slot with refunds would deny, under load, what one step grants. One master thereby
//! serves all limits; a script of one bucket cost it 18 µs on a busy machine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chatterbox_core::ports::rate_limit::{Decision, RateLimitError, RateLimiter, Take};
use deadpool_redis::redis::Script;

use super::calls::{Calls, Lines};
use super::keys::Keys;

/// Below the 100 ms after which callers take from buckets of their own (S-022), so that a limiter that is away is known
/// to be and not asked again at once.
const PATIENCE: Duration = Duration::from_millis(90);

pub(super) struct RedisRateLimiter {
    keys: Keys,
    calls: Calls,
    take: Script,
}

impl RedisRateLimiter {
    pub(super) fn new(keys: &Keys, lines: Arc<Lines>) -> RedisRateLimiter {
        RedisRateLimiter {
            keys: keys.clone(),
            calls: Calls::new(lines, PATIENCE),
            take: Script::new(include_str!("take.lua")),
        }
    }
}

/// The script's answer: 1, tokens left, microseconds until full; or 0, index of the bucket, microseconds until there
/// are enough, microseconds until full. Microseconds of -1 never end.
type Answer = (i64, i64, i64, i64);

fn decision((allowed, first, second, third): Answer) -> Decision {
    if allowed == 1 {
        Decision::Allowed {
            remaining: u32::try_from(first).unwrap_or(u32::MAX),
            full_after: micros(second),
        }
    } else {
        Decision::Denied {
            bucket: usize::try_from(first).unwrap_or(0),
            retry_after: micros(second),
            full_after: micros(third),
        }
    }
}

fn micros(count: i64) -> Duration {
    u64::try_from(count).map_or(Duration::MAX, Duration::from_micros)
}

#[async_trait]
impl RateLimiter for RedisRateLimiter {
    async fn take(&self, buckets: &[Take]) -> Result<Decision, RateLimitError> {
        let answer = self.calls.run(|mut line| async move {
            let mut call = self.take.prepare_invoke();
            for take in buckets {
                call.key(self.keys.bucket(&take.key));
                call.arg(take.quota.capacity)
                    .arg(take.quota.refill_per_sec)
                    .arg(take.cost);
            }
            call.invoke_async::<Answer>(&mut line).await
        });
        match answer.await {
            Ok(answer) => Ok(decision(answer)),
            Err(failure) => Err(RateLimitError(Box::new(failure))),
        }
    }
}
