use std::sync::atomic::{AtomicU64, Ordering};

/// What went wrong between this process and Redis since its start. Shared; read by whoever shows metrics.
#[derive(Debug, Default)]
pub struct RedisCounters {
    calls_failed: AtomicU64,
    calls_timed_out: AtomicU64,
    calls_not_made: AtomicU64,
    connections_lost: AtomicU64,
    bus_reconnects: AtomicU64,
    bus_messages_dropped: AtomicU64,
}

/// The numbers of [`RedisCounters`] at one moment, by the names they have as metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RedisCounts {
    /// `chatterbox_redis_calls_failed_total`: answered with an error, or not at all because the connection broke.
    pub calls_failed: u64,
    /// `chatterbox_redis_calls_timed_out_total`: not answered in time.
    pub calls_timed_out: u64,
    /// `chatterbox_redis_calls_not_made_total`: not even tried, because Redis was away or too many calls waited.
    pub calls_not_made: u64,
    /// `chatterbox_redis_connections_lost_total`: connections of the pool that were given up.
    pub connections_lost: u64,
    /// `chatterbox_redis_bus_reconnects_total`: how often the subscriptions were renewed.
    pub bus_reconnects: u64,
    /// `chatterbox_redis_bus_messages_dropped_total`: messages of other nodes that this one was too slow for.
    pub bus_messages_dropped: u64,
}

impl RedisCounters {
    /// All of them.
    pub fn read(&self) -> RedisCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RedisCounts {
            calls_failed: read(&self.calls_failed),
            calls_timed_out: read(&self.calls_timed_out),
            calls_not_made: read(&self.calls_not_made),
            connections_lost: read(&self.connections_lost),
            bus_reconnects: read(&self.bus_reconnects),
            bus_messages_dropped: read(&self.bus_messages_dropped),
        }
    }

    pub(super) fn call_failed(&self) {
        count(&self.calls_failed);
    }

    pub(super) fn call_timed_out(&self) {
        count(&self.calls_timed_out);
    }

    pub(super) fn call_not_made(&self) {
        count(&self.calls_not_made);
    }

    pub(super) fn connection_lost(&self) {
        count(&self.connections_lost);
    }

    pub(super) fn bus_reconnected(&self) {
        count(&self.bus_reconnects);
    }

    pub(super) fn bus_message_dropped(&self) {
        count(&self.bus_messages_dropped);
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
