//! The database dies and falls asleep: what it acknowledged is there, the rest is sent again under the same key.

use std::time::Duration;

use chatterbox_tests::ClusterSetup;
use tokio::time::sleep;

use crate::play::Play;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_database_loses_nothing_it_acknowledged() {
    let mut play = Play::begin("kill -9 of the database", ClusterSetup::new().with_own_database()).await;
    play.cluster.database().kill().await;
    sleep(Duration::from_secs(2)).await;
    play.cluster.database().restart().await;
    play.people_go().await;
    play.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_database_doubles_nothing() {
    let mut play = Play::begin(
        "SIGSTOP of the database for 10 s",
        ClusterSetup::new().with_own_database(),
    )
    .await;
    play.cluster.database().pause().await;
    sleep(Duration::from_secs(10)).await;
    play.cluster.database().resume().await;
    play.people_go().await;
    play.ends().await;
}
