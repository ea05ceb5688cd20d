//! The Redis adapter on the single server at REDIS_URL: it behaves as every adapter does, and nobody waits for a Redis
//! that is away.

#![cfg(feature = "redis")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is test code; a failure is to end the test"
)]

mod common;
mod faults;
mod nodes;
mod proxy;

use std::sync::Arc;
use std::time::Duration;

use chatterbox_core::memory::MemoryQueue;
use chatterbox_core::ports::bus::Bus;
use chatterbox_core::ports::presence::Presence;
use chatterbox_core::ports::queue::Queue;
use chatterbox_core::ports::rate_limit::RateLimiter;
use chatterbox_server::adapters::redis::Redis;
use common::{On, World, address};

fn world() -> World {
    World::new(address("REDIS_URL"))
}

async fn two_nodes() -> [On<dyn Bus>; 2] {
    let world = world();
    [world.node(Redis::bus).await, world.node(Redis::bus).await]
}

chatterbox_core::bus_conformance!(two_nodes);

async fn limiter() -> On<dyn RateLimiter> {
    world().node(Redis::rate_limiter).await
}

chatterbox_core::rate_limiter_conformance!(real_time, limiter);

async fn presence() -> On<dyn Presence> {
    world().node(Redis::presence).await
}

chatterbox_core::presence_conformance!(presence);

/// The suite's time does not pass by Redis' clock: rows are looked for at every claim.
async fn queue() -> On<dyn Queue> {
    let rows = Arc::new(MemoryQueue::new(1_000));
    world()
        .node(|redis| redis.queue_swept(rows, Duration::ZERO))
        .await
}

chatterbox_core::queue_conformance!(queue);

/// The same with the embedded store's rows.
#[cfg(feature = "embedded")]
mod on_sqlite {
    use std::ops::Deref;

    use chatterbox_server::adapters::embedded::EmbeddedStore;
    use tempfile::TempDir;

    use super::{Duration, On, Queue, world};

    /// A queue whose rows lie in a directory that goes with it.
    struct InTempDir {
        queue: On<dyn Queue>,
        _dir: TempDir,
    }

    impl Deref for InTempDir {
        type Target = dyn Queue;

        fn deref(&self) -> &(dyn Queue + 'static) {
            &*self.queue
        }
    }

    async fn queue() -> InTempDir {
        let dir = tempfile::tempdir().unwrap();
        let rows = EmbeddedStore::open(dir.path()).unwrap().queue();
        InTempDir {
            queue: world()
                .node(|redis| redis.queue_swept(rows, Duration::ZERO))
                .await,
            _dir: dir,
        }
    }

    chatterbox_core::queue_conformance!(queue);
}
