use std::time::Instant;

/// A token bucket in this process: cheap, local, counted in its own time.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    tokens: f32,
    capacity: f32,
    per_second: f32,
    counted_at: Instant,
}

impl Bucket {
    /// Full.
    pub(crate) fn new(capacity: f32, per_second: f32, now: Instant) -> Bucket {
        Bucket {
            tokens: capacity,
            capacity,
            per_second,
            counted_at: now,
        }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.tokens = self.tokens_at(now);
        self.counted_at = now;
        let has_one = self.tokens >= 1.0;
        if has_one {
            self.tokens -= 1.0;
        }
        has_one
    }

    /// Whether everything taken has come back.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.tokens_at(now) >= self.capacity
    }

    fn tokens_at(&self, now: Instant) -> f32 {
        let passed = now.saturating_duration_since(self.counted_at).as_secs_f32();
        (self.tokens + passed * self.per_second).min(self.capacity)
    }
}
