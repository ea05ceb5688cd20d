//! The in-memory twin of every port: for tests, examples and demos, and, where one process is all there is (presence,
//! rate limits, bus), for the real thing.
//!
//! ```text
//! MemoryStores::new(entries) ──▶ Stores { users, sessions, blocks, conversations, messages, log }   each holds `entries` rows at most
//! MemoryBlobs · MemoryQueue · MemoryPresence · MemoryRateLimiter · MemoryBus ──node()──▶ Bus    bounded as each says
//! ```
//!
//! Everything is lost with the process. A twin keeps the invariants of its port by one lock per store, held for the
//! length of a look-up and never across an await; a store that is at its bound answers
//! [`StoreError::Full`](crate::ports::storage::StoreError::Full) to what would add a row and goes on serving the rest.

mod blobs;
mod blocks;
mod bus;
mod conversations;
mod log;
mod messages;
mod presence;
mod queue;
mod rate_limit;
mod sessions;
mod users;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use blobs::MemoryBlobs;
pub use blocks::MemoryBlocks;
pub use bus::{MemoryBus, MemoryBusNode};
pub use conversations::MemoryConversations;
pub use log::MemoryLog;
pub use messages::MemoryMessages;
pub use presence::MemoryPresence;
pub use queue::MemoryQueue;
pub use rate_limit::MemoryRateLimiter;
pub use sessions::MemorySessions;
pub use users::MemoryUsers;

use crate::ports::storage::Stores;

/// Makes the storage twins.
#[derive(Debug, Clone, Copy)]
pub struct MemoryStores;

impl MemoryStores {
    /// Empty stores, each of which holds at most `entries` rows (accounts, sessions, blocks, rooms and members, log entries).
    #[expect(clippy::new_ret_no_self, reason = "the twins are used through their ports")]
    pub fn new(entries: usize) -> Stores {
        let log = Arc::new(MemoryLog::new(entries));
        let messages = Arc::new(MemoryMessages::new(entries, log.clone()));
        Stores {
            users: Arc::new(MemoryUsers::new(entries)),
            sessions: Arc::new(MemorySessions::new(entries)),
            blocks: Arc::new(MemoryBlocks::new(entries)),
            conversations: Arc::new(MemoryConversations::new(entries, log.clone(), messages.clone())),
            messages,
            log,
        }
    }
}

/// A bounded twin has no room for one more.
#[derive(Debug, thiserror::Error)]
#[error("the in-memory {what} holds {entries} entries, which is its bound")]
struct AtItsBound {
    what: &'static str,
    entries: usize,
}

/// Locks; what a panicking test thread left behind is whole, since nothing here panics half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
