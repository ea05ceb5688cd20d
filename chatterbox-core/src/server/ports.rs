//! What a server needs of the outside world.

use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::ids::{IdSource, SystemIds};
use crate::memory::{MemoryBlobs, MemoryPresence, MemoryQueue, MemoryRateLimiter, MemoryStores};
use crate::ports::blob::Blobs;
use crate::ports::bus::Bus;
use crate::ports::presence::Presence;
use crate::ports::queue::Queue;
use crate::ports::rate_limit::RateLimiter;
use crate::ports::storage::Stores;

/// Files kept in this process where nothing else keeps them.
const BLOB_BYTES_MAX: u64 = 256 << 20;

/// What the server needs of the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Durable state.
    pub stores: Stores,
    /// Durable jobs.
    pub queue: Arc<dyn Queue>,
    /// Files.
    pub blobs: Arc<dyn Blobs>,
    /// Who is online.
    pub presence: Arc<dyn Presence>,
    /// Token buckets.
    pub rate_limiter: Arc<dyn RateLimiter>,
    /// The other nodes; `None` when there are none.
    pub bus: Option<Arc<dyn Bus>>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids.
    pub ids: Arc<dyn IdSource>,
}

impl Ports {
    /// Everything in this process, at most `entries` of each thing, lost at its end: for examples and tests.
    pub fn in_memory(entries: usize) -> Ports {
        Ports::of_one_process(MemoryStores::new(entries), Arc::new(MemoryQueue::new(entries)))
    }

    /// Durable storage, and the rest in this process: for a server of one node. Files are lost with it; set `blobs` to
    /// what keeps them.
    pub fn of_one_process(stores: Stores, queue: Arc<dyn Queue>) -> Ports {
        Ports {
            stores,
            queue,
            blobs: Arc::new(MemoryBlobs::new(BLOB_BYTES_MAX)),
            presence: Arc::new(MemoryPresence::new(1_000_000)),
            rate_limiter: Arc::new(MemoryRateLimiter::new(1_000_000)),
            bus: None,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds::new()),
        }
    }
}
