//! Redis dies, forgets and falls asleep: no message, no session and no job is in it alone (I9).

use std::time::Duration;

use chatterbox_tests::{ClusterSetup, redis_says};
use tokio::time::sleep;

use crate::play::Play;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_that_comes_back_empty_costs_nothing() {
    let mut play = Play::begin("kill -9 of Redis", ClusterSetup::new()).await;
    play.cluster.redis.kill().await;
    play.people_go().await;
    play.everybody_sends(20).await;
    play.cluster.redis.restart().await;
    play.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_redis_costs_nothing() {
    let mut play = Play::begin("FLUSHALL", ClusterSetup::new()).await;
    assert_eq!(
        redis_says(play.cluster.redis.address(), "FLUSHALL").await,
        "+OK\r\n"
    );
    play.people_go().await;
    play.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_paused_for_10_s_costs_nothing() {
    let mut play = Play::begin("SIGSTOP of Redis for 10 s", ClusterSetup::new()).await;
    play.cluster.redis.pause().await;
    play.people_go().await;
    sleep(Duration::from_secs(10)).await;
    play.everybody_sends(10).await;
    play.cluster.redis.resume().await;
    play.ends().await;
}
