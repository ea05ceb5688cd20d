//! Token buckets.

use std::time::Duration;

use async_trait::async_trait;

/// The size and speed of a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// Tokens of a full bucket: the burst.
    pub capacity: u32,
    /// Tokens that come back in a second.
    pub refill_per_sec: f64,
}

impl Quota {
    /// `capacity` tokens, all back after `period`.
    pub fn per(capacity: u32, period: Duration) -> Quota {
        Quota {
            capacity,
            refill_per_sec: f64::from(capacity) / period.as_secs_f64(),
        }
    }
}

/// One bucket and how many tokens to take from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// Which bucket, for example `api:user:0123…`. At most 200 bytes.
    pub key: String,
    /// Its size and speed; the same for every call with this key.
    pub quota: Quota,
    /// Tokens to take.
    pub cost: u32,
}

/// The answer of a rate limiter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision {
    /// All tokens were taken.
    Allowed {
        /// Tokens left in the fullest-used of the buckets asked (the one with the fewest left).
        remaining: u32,
        /// Until that bucket is full again.
        full_after: Duration,
    },
    /// Nothing was taken from any bucket.
    Denied {
        /// Index of the first bucket that lacked tokens.
        bucket: usize,
        /// When that bucket will have the tokens, if nobody else takes any; [`Duration::MAX`] when it never will.
        retry_after: Duration,
        /// Until that bucket is full again.
        full_after: Duration,
    },
}

/// The limiter can't answer; the caller falls back to local buckets (S-022) and never to "open".
#[derive(Debug, thiserror::Error)]
#[error("the rate limiter is unavailable")]
pub struct RateLimitError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Token buckets shared by everyone who uses the same limiter. A bucket nobody has touched is full; one that is full
/// again costs no memory.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Takes from all buckets or from none, atomically, in one step by the limiter's own clock (1 to 8 buckets).
    async fn take(&self, buckets: &[Take]) -> Result<Decision, RateLimitError>;
}
