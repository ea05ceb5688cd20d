//! How things are called in Redis: `prefix:purpose:…`, what belongs to one slot of a cluster with the same `{tag}`.
//!
//! | name | what | slot |
//! | - | - | - |
//! | `prefix:bus:db:channel` | a channel of the bus; no key, so the number of the database is in its name | |
//! | `prefix:{limits}:key` | a token bucket | one for all |
//! | `prefix:presence:tenures` | every node's tenure by when its lease ends | any |
//! | `prefix:presence:{node}:…` | a node's present tenure, its leases and users | one per node |
//! | `prefix:presence:{user}:nodes`, `…:seen` | where a user is, and when they were seen last | one per user |
//! | `prefix:presence:{room}:watchers` | who watches a room, by until when they count | one per room |
//! | `prefix:{jobs}:…` | jobs on their way to workers | one for all |

use std::fmt::Display;
use std::sync::Arc;

/// Makes names; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: Arc<str>,
    bus: Arc<str>,
}

impl Keys {
    /// Names in a numbered database.
    pub(super) fn new(prefix: &str, database: i64) -> Keys {
        Keys {
            prefix: prefix.into(),
            bus: format!("{prefix}:bus:{database}:").into(),
        }
    }

    /// As Redis knows a channel of the bus.
    pub(super) fn channel(&self, channel: &str) -> String {
        format!("{}{channel}", self.bus)
    }

    /// The channel of the bus that Redis knows under this name.
    pub(super) fn channel_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&*self.bus)
    }

    /// Buckets are taken from in any combination, all or none, by one script: so they share a slot.
    pub(super) fn bucket(&self, key: &str) -> String {
        format!("{}:{{limits}}:{key}", self.prefix)
    }

    pub(super) fn tenures(&self) -> String {
        format!("{}:presence:tenures", self.prefix)
    }

    pub(super) fn of_node(&self, node: impl Display, what: &str) -> String {
        format!("{}:presence:{{{node}}}:{what}", self.prefix)
    }

    pub(super) fn of_user(&self, user: impl Display, what: &str) -> String {
        format!("{}:presence:{{{user}}}:{what}", self.prefix)
    }

    pub(super) fn of_room(&self, room: impl Display, what: &str) -> String {
        format!("{}:presence:{{{room}}}:{what}", self.prefix)
    }

    pub(super) fn jobs(&self, what: &str) -> String {
        format!("{}:{{jobs}}:{what}", self.prefix)
    }
}
