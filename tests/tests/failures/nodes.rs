//! Nodes that die, and nodes that are replaced.

use std::time::Duration;

use chatterbox_tests::{ClusterSetup, NODES};
use tokio::time::sleep;

use crate::play::Play;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_takes_nothing_with_it() {
    let mut play = Play::begin("kill -9 of a node", ClusterSetup::new()).await;
    play.kill_node(0).await;
    play.people_go().await;
    // The others go on without it.
    play.everybody_sends(20).await;
    play.restart_node(0).await;
    play.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_send() {
    let setup = ClusterSetup::new().with("DRAIN_DELAY", "500ms");
    let mut play = Play::begin("rolling restart", setup).await;
    for node in 0..NODES {
        play.drain_node(node).await;
        if node == 0 {
            play.people_go().await;
        }
        play.restart_node(node).await;
        play.everybody_sends(10).await;
    }
    let sent = play.ends().await;
    for sent in sent {
        assert!(sent.refused.is_empty(), "no send fails: {:?}", sent.refused);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_cut_off_from_redis_keeps_up() {
    let mut play = Play::begin("a node without Redis for 10 s", ClusterSetup::new()).await;
    play.cluster.way_to_redis(1).falls_silent();
    play.people_go().await;
    sleep(Duration::from_secs(10)).await;
    play.cluster.way_to_redis(1).speaks();
    play.ends().await;
}
