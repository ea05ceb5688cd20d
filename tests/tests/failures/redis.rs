//! Redis dies, forgets and falls asleep: no message, no session and no job is in it alone (I9).

use std::time::Duration;

use chatterbox_tests::{ClusterSetup, RedisSort, redis_says};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_replaced_by_the_one_that_a_sentinel_names() {
    let setup = ClusterSetup::new().with_redis(RedisSort::Sentinel);
    let mut play = Play::begin("kill -9 of Redis' primary, with a sentinel", setup).await;
    play.cluster.redis.kill().await;
    play.people_go().await;
    play.everybody_sends(20).await;
    // The one that was killed stays away: without its replica presence could not get right.
    play.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_master_of_a_cluster_is_replaced_by_its_replica() {
    let setup = ClusterSetup::new().with_redis(RedisSort::Cluster);
    let mut play = Play::begin("kill -9 of a master of a Redis cluster", setup).await;
    play.cluster.redis.kill().await;
    play.people_go().await;
    play.everybody_sends(20).await;
    play.ends().await;
}
