//! Identifiers: 12 bytes in ObjectId shape, time-ordered, 24 hex digits outside (SPEC.md section 1).

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::clock::{Clock, SystemClock};

/// The 12 bytes of an id: seconds since 1970 (4), a random number of the process (5), a counter (3), big endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawId(pub [u8; 12]);

/// A text that is not 24 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of 24 hex digits")]
pub struct InvalidId;

impl FromStr for RawId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<RawId, InvalidId> {
        let digits: &[u8; 24] = text.as_bytes().try_into().map_err(|_| InvalidId)?;
        let mut bytes = [0; 12];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_value(pair[0])? << 4 | hex_value(pair[1])?;
        }
        Ok(RawId(bytes))
    }
}

fn hex_value(digit: u8) -> Result<u8, InvalidId> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(InvalidId),
    }
}

impl fmt::Display for RawId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 24];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xF)];
        }
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for RawId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! id_types {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub RawId);

        impl $name {
            /// A fresh one.
            pub fn new(ids: &dyn IdSource) -> $name {
                $name(ids.next())
            }

            /// The bytes, for storage.
            pub fn as_bytes(&self) -> &[u8; 12] {
                &self.0.0
            }

            /// From stored bytes.
            pub fn from_bytes(bytes: [u8; 12]) -> $name {
                $name(RawId(bytes))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<$name, InvalidId> {
                text.parse().map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

id_types! {
    /// A user's account.
    UserId,
    /// A login: one device's family of refresh tokens.
    SessionId,
    /// A direct, group or room conversation.
    ConversationId,
    /// A log entry; of a message entry, the message's public id.
    EntryId,
    /// A queued job.
    JobId,
    /// A process of the cluster, new at every start.
    NodeId,
    /// One access token.
    TokenId,
}

impl UserId {
    /// The server itself, as the author of what operators do.
    pub const SERVER: UserId = UserId(RawId([0; 12]));
}

/// Where ids come from. Ids of one source never repeat, and grow with time to the second.
pub trait IdSource: Send + Sync {
    /// The next id.
    fn next(&self) -> RawId;
}

/// Ids from the machine's clock, a random number of this process and a counter.
#[derive(Debug)]
pub struct SystemIds {
    process: [u8; 5],
    counter: AtomicU32,
}

impl SystemIds {
    /// A source with a process number and a start of the counter from the system's random source.
    pub fn new() -> SystemIds {
        let mut random = [0; 8];
        crate::auth::fill_random(&mut random);
        let [.., x, y, z] = random;
        let mut process = [0; 5];
        process.copy_from_slice(&random[..5]);
        SystemIds {
            process,
            counter: AtomicU32::new(u32::from_be_bytes([0, x, y, z])),
        }
    }
}

impl Default for SystemIds {
    fn default() -> SystemIds {
        SystemIds::new()
    }
}

impl IdSource for SystemIds {
    fn next(&self) -> RawId {
        let seconds = u32::try_from(SystemClock.now().as_secs()).unwrap_or(u32::MAX);
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..9].copy_from_slice(&self.process);
        bytes[9..].copy_from_slice(&count.to_be_bytes()[1..]);
        RawId(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips_and_rejects_everything_else() {
        let id: UserId = "0123456789abcdef01234567".parse().unwrap();
        assert_eq!(id.to_string(), "0123456789abcdef01234567");
        for wrong in [
            "",
            "0123",
            "0123456789abcdef0123456g",
            "0123456789abcdef012345678",
            "é123456789abcdef0123456",
        ] {
            assert_eq!(wrong.parse::<UserId>(), Err(InvalidId), "{wrong}");
        }
    }

    #[test]
    fn ids_of_one_source_differ() {
        let ids = SystemIds::new();
        let made: std::collections::HashSet<_> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(made.len(), 10_000);
    }
}
