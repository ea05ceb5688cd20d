//! S-068: the reply to a removal waits for every node, at most 5 s.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::{Client, Cluster, Node, Person, settle};
use crate::app::{Call, Command};

const AT_ONCE: Duration = Duration::from_millis(100);

/// A group of Ann and Bob; Bob is connected to the second node.
struct Scene {
    cluster: Cluster,
    one: Node,
    two: Node,
    ann: Person,
    bob: Person,
    group: String,
    bobs: Client,
}

impl Scene {
    async fn new() -> Scene {
        let cluster = Cluster::new();
        let (one, two) = (cluster.node().await, cluster.node().await);
        let [ann, bob] = one.people(["ann", "bob"]).await;
        let group = one.group(&ann, &[&bob]).await;
        let bobs = two.client(&bob).await;
        Scene {
            cluster,
            one,
            two,
            ann,
            bob,
            group,
            bobs,
        }
    }

    fn removal(&self) -> Value {
        json!({"command": "removeMember", "conversationId": self.group, "userId": self.bob.id})
    }

    /// How long Ann waits for the reply to a command.
    async fn takes(&self, command: Value) -> Duration {
        let command: Command = serde_json::from_value(command).unwrap();
        let began = Instant::now();
        let call = Call::new(self.ann.actor(), command);
        self.one.server.stack().run(call).await.unwrap();
        began.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn s_068_the_reply_comes_when_the_other_node_has_dropped_the_sockets() {
    let mut scene = Scene::new().await;
    let took = scene.takes(scene.removal()).await;
    assert!(took < AT_ONCE, "{took:?}");
    scene.bobs.hears("participant-removed").await;
    // I5.
    scene.one.says(&scene.ann, &scene.group, "he is gone").await;
    scene.bobs.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_068_what_the_other_node_did_not_hear_it_reads_before_it_answers() {
    let mut scene = Scene::new().await;
    // The announcement of the removal.
    scene.one.bus.drop_next(1);
    let took = scene.takes(scene.removal()).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    scene.bobs.hears("participant-removed").await;
}

#[tokio::test(start_paused = true)]
async fn s_068_a_lost_answer_costs_five_seconds_and_no_more() {
    let scene = Scene::new().await;
    // Neither what it asks nor what it answers gets through.
    for node in [&scene.one, &scene.two] {
        node.bus.drop_next(1_000);
        let took = scene.takes(scene.removal()).await;
        assert_eq!(took.as_secs(), 5, "{took:?}");
        node.bus.drop_next(0);
        let add = json!({"command": "addMembers", "conversationId": scene.group, "userId": scene.bob.id});
        scene.one.call(&scene.ann, add).await;
        scene.cluster.wait_secs(6).await;
    }
}

#[tokio::test(start_paused = true)]
async fn s_068_a_reply_waits_while_the_answer_is_under_way() {
    let scene = Scene::new().await;
    scene.two.bus.hold();
    let (took, ()) = tokio::join!(scene.takes(scene.removal()), async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.two.bus.release().await.unwrap();
    });
    assert_eq!(took.as_secs(), 2, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn s_068_nobody_waits_for_nodes_that_are_gone_or_were_never_there() {
    let scene = Scene::new().await;
    // Killed: it is waited for until it was silent for 15 s.
    scene.two.tasks.stop().await;
    assert_eq!(scene.takes(scene.removal()).await.as_secs(), 5);
    scene.cluster.wait_secs(16).await;
    let ban = json!({"command": "banMember", "conversationId": scene.group, "userId": scene.bob.id});
    assert!(scene.takes(ban).await < AT_ONCE);

    // One that drains says so.
    let scene = Scene::new().await;
    scene.two.server.drain(Duration::ZERO).await;
    settle().await;
    scene.two.tasks.stop().await;
    assert!(scene.takes(scene.removal()).await < AT_ONCE);

    // Alone.
    let cluster = Cluster::new();
    let one = cluster.node().await;
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let group = one.group(&ann, &[&bob]).await;
    let began = Instant::now();
    let leave = json!({"command": "leaveConversation", "conversationId": group});
    one.call(&bob, leave).await;
    assert!(began.elapsed() < AT_ONCE);
}
