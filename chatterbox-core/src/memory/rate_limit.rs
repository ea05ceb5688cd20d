use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::lock;
use crate::ports::rate_limit::{Decision, Quota, RateLimitError, RateLimiter, Take};

/// Tokens a rounding error may be short of; far below anything a refill brings in a microsecond.
const ROUNDING: f64 = 1e-6;

/// Token buckets of one process, by tokio's clock (which tests can pause).
///
/// Buckets that are full again are forgotten when the map has doubled since the last time, so a bucket costs amortised
/// constant time and no memory that outlives its use. At `entries` buckets that are not full, the quarter that is
/// nearest to full is forgotten: a flood of new keys can give others back at most the tokens they were about to get,
/// and never locks anybody out.
#[derive(Debug)]
pub struct MemoryRateLimiter {
    entries: usize,
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    by_key: HashMap<Arc<str>, Bucket>,
    tidy_at: usize,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    quota: Quota,
    level: f64,
    at: Instant,
}

impl Bucket {
    fn full(quota: Quota, now: Instant) -> Bucket {
        Bucket {
            quota,
            level: f64::from(quota.capacity),
            at: now,
        }
    }

    fn refilled(self, quota: Quota, now: Instant) -> Bucket {
        let back = now.saturating_duration_since(self.at).as_secs_f64() * quota.refill_per_sec;
        Bucket {
            quota,
            level: (self.level + back).min(f64::from(quota.capacity)),
            at: now,
        }
    }

    fn missing(&self) -> f64 {
        f64::from(self.quota.capacity) - self.level
    }

    fn full_after(&self) -> Duration {
        time_for(self.missing(), self.quota)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a level lies between zero and a u32 capacity"
    )]
    fn whole_tokens(&self) -> u32 {
        (self.level + ROUNDING) as u32
    }
}

/// How long `tokens` take to come back; for ever is [`Duration::MAX`].
fn time_for(tokens: f64, quota: Quota) -> Duration {
    if tokens <= ROUNDING {
        return Duration::ZERO;
    }
    // Up to the next microsecond, so that whoever waits that long does find the tokens.
    let micros = (tokens / quota.refill_per_sec * 1e6).ceil();
    Duration::try_from_secs_f64(micros / 1e6).unwrap_or(Duration::MAX)
}

impl MemoryRateLimiter {
    /// At most `entries` (at least 8) buckets that are not full.
    pub fn new(entries: usize) -> MemoryRateLimiter {
        MemoryRateLimiter {
            entries: entries.max(8),
            buckets: Mutex::default(),
        }
    }

    /// Buckets in memory now.
    pub fn len(&self) -> usize {
        lock(&self.buckets).by_key.len()
    }

    /// Whether no bucket is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Buckets {
    fn tidy(&mut self, entries: usize, now: Instant) {
        if self.by_key.len() < self.tidy_at.clamp(64.min(entries), entries) {
            return;
        }
        self.by_key
            .retain(|_, bucket| bucket.refilled(bucket.quota, now).missing() > ROUNDING);
        if self.by_key.len() >= entries {
            self.forget_the_fullest(entries / 4, now);
        }
        self.tidy_at = self.by_key.len() * 2;
    }

    fn forget_the_fullest(&mut self, count: usize, now: Instant) {
        let mut waits: Vec<Duration> = self
            .by_key
            .values()
            .map(|bucket| bucket.refilled(bucket.quota, now).full_after())
            .collect();
        let (_, &mut limit, _) = waits.select_nth_unstable(count);
        let mut left = count;
        self.by_key.retain(|_, bucket| {
            let forget = left > 0 && bucket.refilled(bucket.quota, now).full_after() <= limit;
            left -= usize::from(forget);
            !forget
        });
    }
}

#[async_trait]
impl RateLimiter for MemoryRateLimiter {
    async fn take(&self, takes: &[Take]) -> Result<Decision, RateLimitError> {
        let now = Instant::now();
        let mut buckets = lock(&self.buckets);
        let mut taken: Vec<(&str, Bucket)> = Vec::with_capacity(takes.len());
        for (index, take) in takes.iter().enumerate() {
            // A key that is named twice pays twice.
            let earlier = taken.iter().rev().find(|(key, _)| *key == take.key);
            let mut bucket = match earlier {
                Some((_, bucket)) => *bucket,
                None => match buckets.by_key.get(take.key.as_str()) {
                    Some(bucket) => bucket.refilled(take.quota, now),
                    None => Bucket::full(take.quota, now),
                },
            };
            let short = f64::from(take.cost) - bucket.level;
            if short > ROUNDING {
                return Ok(Decision::Denied {
                    bucket: index,
                    retry_after: if take.cost > take.quota.capacity {
                        Duration::MAX
                    } else {
                        time_for(short, take.quota)
                    },
                    full_after: bucket.full_after(),
                });
            }
            bucket.level = (bucket.level - f64::from(take.cost)).max(0.0);
            taken.push((&take.key, bucket));
        }
        let scarcest = taken
            .iter()
            .map(|(_, bucket)| bucket)
            .min_by(|a, b| a.level.total_cmp(&b.level));
        let decision = Decision::Allowed {
            remaining: scarcest.map_or(u32::MAX, Bucket::whole_tokens),
            full_after: scarcest.map_or(Duration::ZERO, Bucket::full_after),
        };
        for (key, bucket) in taken {
            if let Some(stored) = buckets.by_key.get_mut(key) {
                *stored = bucket;
            } else if bucket.missing() > ROUNDING {
                buckets.tidy(self.entries, now);
                buckets.by_key.insert(key.into(), bucket);
            }
        }
        Ok(decision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(key: usize, cost: u32) -> [Take; 1] {
        [Take {
            key: format!("key {key}"),
            quota: Quota::per(10, Duration::from_secs(10)),
            cost,
        }]
    }

    #[tokio::test(start_paused = true)]
    async fn buckets_that_are_full_again_cost_no_memory() {
        let limiter = MemoryRateLimiter::new(1_000_000);
        for key in 0..10_000 {
            limiter.take(&take(key, 1)).await.unwrap();
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        // Ten of them are not full at any time.
        assert!(limiter.len() <= 64, "{} buckets are held", limiter.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_keys_stays_within_the_bound_and_gives_a_spent_bucket_nothing() {
        let limiter = MemoryRateLimiter::new(1_000);
        limiter.take(&take(0, 10)).await.unwrap();
        for key in 1..100_000 {
            let decision = limiter.take(&take(key, 1)).await.unwrap();
            assert!(matches!(decision, Decision::Allowed { .. }));
        }
        assert!(limiter.len() <= 1_000);
        let decision = limiter.take(&take(0, 1)).await.unwrap();
        assert!(matches!(decision, Decision::Denied { .. }));
    }
}
