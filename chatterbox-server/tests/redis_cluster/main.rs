//! The Redis adapter behaves as every adapter does: on the cluster at REDIS_CLUSTER_URL.

#![cfg(feature = "redis")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is test code; a failure is to end the test"
)]

#[path = "../redis/common.rs"]
mod common;

use std::sync::Arc;
use std::time::Duration;

use chatterbox_core::memory::MemoryQueue;
use chatterbox_core::ports::bus::Bus;
use chatterbox_core::ports::presence::Presence;
use chatterbox_core::ports::queue::Queue;
use chatterbox_core::ports::rate_limit::RateLimiter;
use chatterbox_server::adapters::redis::Redis;
use common::{On, World, address};

/// As the server spells it; test environments may list a URL for each node.
fn world() -> World {
    let url = address("REDIS_CLUSTER_URL");
    World::new(if url.starts_with("redis://") {
        format!("redis+cluster://{}", url.replace("redis://", ""))
    } else {
        url
    })
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
