use std::time::Instant;

/// A token bucket of one connection: cheap, local, counted in its own time.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    tokens: f32,
    capacity: f32,
    per_second: f32,
    counted_at: Instant,
}

impl Bucket {
    /// Full.
    pub(super) fn new(capacity: f32, per_second: f32, now: Instant) -> Bucket {
        Bucket {
            tokens: capacity,
            capacity,
            per_second,
            counted_at: now,
        }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.counted_at).as_secs_f32();
        self.counted_at = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.capacity);
        let has_one = self.tokens >= 1.0;
        if has_one {
            self.tokens -= 1.0;
        }
        has_one
    }
}
