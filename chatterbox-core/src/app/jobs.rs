//! Work that is done beside the calls.

use serde::{Deserialize, Serialize};

/// A job. Its JSON form is kept in queues over updates: additive changes only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "camelCase")]
pub enum Job {
    /// Delete the rows of sessions that ended long ago.
    SweepSessions,
    /// Delete invites that are good no more.
    SweepInvites,
}
