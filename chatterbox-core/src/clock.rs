//! Time as a port: the wall clock for stamps, the monotonic clock for leases and timers.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment on the wall clock, in milliseconds since 1970 UTC.
///
/// Written as RFC 3339 with milliseconds everywhere outside (SPEC.md section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The start of 1970.
    pub const EPOCH: Timestamp = Timestamp(0);

    /// From milliseconds since 1970 UTC; moments before 1970 count as 1970.
    pub fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis.max(0))
    }

    /// Milliseconds since 1970 UTC.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970 UTC, as JWT claims count.
    pub fn as_secs(self) -> i64 {
        self.0 / 1000
    }

    /// This moment plus `duration`, capped at the end of time.
    pub fn plus(self, duration: Duration) -> Timestamp {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(millis))
    }

    /// So much earlier.
    pub fn minus(self, duration: Duration) -> Timestamp {
        Timestamp(
            self.0
                .saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // humantime ends at the year 9999; nothing of ours lies beyond.
        let millis = u64::try_from(self.0).unwrap_or(0).min(253_402_300_799_999);
        humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let time = humantime::parse_rfc3339(&text).map_err(de::Error::custom)?;
        Ok(from_system_time(time))
    }
}

/// Where time comes from. Object-safe; the only readers of real clocks are its adapters.
pub trait Clock: Send + Sync {
    /// The wall clock, for stamps that leave the process.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else is to ask"
    )]
    fn now(&self) -> Timestamp {
        from_system_time(SystemTime::now())
    }
}

fn from_system_time(time: SystemTime) -> Timestamp {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_rfc_3339_with_milliseconds() {
        let stamp = Timestamp::from_millis(1_763_769_600_007);
        assert_eq!(
            serde_json::to_string(&stamp).unwrap(),
            "\"2025-11-22T00:00:00.007Z\""
        );
        assert_eq!(
            serde_json::from_str::<Timestamp>("\"2025-11-22T00:00:00.007Z\"").unwrap(),
            stamp
        );
    }
}
