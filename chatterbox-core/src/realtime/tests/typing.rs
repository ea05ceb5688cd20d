//! Typing indicators (S-008): S-089, S-090, S-101, S-102, edge case 13.

use serde_json::{Value, json};

use super::world::{Client, Cluster, settle};

fn reason(event: &Value) -> &str {
    event["reason"].as_str().unwrap()
}

async fn is_refused(client: &mut Client, event: &str, data: Value) -> String {
    let ack = client.ask(event, data).await;
    ack["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn s_089_others_hear_it_on_every_node_but_not_the_typist() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let group = one.group(&ann, &[&bob]).await;
    let (mut typist, mut other_device) = (one.client(&ann).await, two.client(&ann).await);
    let mut watchers = [one.client(&bob).await, two.client(&bob).await];
    typist.emits("typing", json!({"conversationId": group})).await;
    settle().await;
    for watcher in &mut watchers {
        assert_eq!(
            watcher.hears("user-typing").await,
            json!({
                "conversationId": group, "userId": ann.id, "username": "ann", "expiresInMs": 6000,
            })
        );
    }
    typist
        .emits("stop-typing", json!({"conversationId": group}))
        .await;
    typist
        .emits("stop-typing", json!({"conversationId": group}))
        .await;
    settle().await;
    for watcher in &mut watchers {
        assert_eq!(reason(&watcher.hears("user-stop-typing").await), "stop");
        watcher.hears_nothing().await;
    }
    typist.hears_nothing().await;
    other_device.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_089_at_most_one_event_in_three_seconds_and_silence_ends_it_after_six() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let group = one.group(&ann, &[&bob]).await;
    let typing = json!({"conversationId": group});
    let mut typist = one.client(&ann).await;
    let mut watchers = [one.client(&bob).await, two.client(&bob).await];
    // Every second, for ten seconds.
    for _ in 0..10 {
        typist.emits("typing", typing.clone()).await;
        cluster.wait_secs(1).await;
    }
    for watcher in &mut watchers {
        let all = watcher.all().await;
        assert_eq!(all.len(), 4, "at 0, 3, 6 and 9 s: {all:?}");
        assert!(all.iter().all(|(name, _)| name == "user-typing"));
    }
    // The last word was at 9 s; 10 s have passed.
    cluster.wait_secs(4).await;
    for watcher in &mut watchers {
        watcher.hears_nothing().await;
    }
    cluster.wait_secs(1).await;
    for watcher in &mut watchers {
        assert_eq!(reason(&watcher.hears("user-stop-typing").await), "timeout");
        watcher.hears_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s_089_typing_and_stopping_all_the_time_tells_no_more_than_typing() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let group = node.group(&ann, &[&bob]).await;
    let (mut typist, mut watcher) = (node.client(&ann).await, node.client(&bob).await);
    for _ in 0..20 {
        typist.emits("typing", json!({"conversationId": group})).await;
        typist
            .emits("stop-typing", json!({"conversationId": group}))
            .await;
    }
    let names: Vec<String> = watcher.all().await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["user-typing", "user-stop-typing"]);
}

#[tokio::test(start_paused = true)]
async fn s_102_ones_own_message_ends_it_before_it_is_heard() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let group = one.group(&ann, &[&bob]).await;
    let mut typist = one.client(&ann).await;
    let mut watchers = [one.client(&bob).await, two.client(&bob).await];
    typist.emits("typing", json!({"conversationId": group})).await;
    // On whichever node.
    two.says(&ann, &group, "done").await;
    settle().await;
    for watcher in &mut watchers {
        watcher.hears("user-typing").await;
        assert_eq!(reason(&watcher.hears("user-stop-typing").await), "message");
        watcher.hears("new-message").await;
    }
}

#[tokio::test(start_paused = true)]
async fn s_102_a_disconnect_ends_it() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let group = one.group(&ann, &[&bob]).await;
    let mut typist = one.client(&ann).await;
    let mut watcher = two.client(&bob).await;
    typist.emits("typing", json!({"conversationId": group})).await;
    typist.closes().await;
    watcher.hears("user-typing").await;
    assert_eq!(reason(&watcher.hears("user-stop-typing").await), "disconnect");
}

#[tokio::test(start_paused = true)]
async fn edge_13_when_the_typists_node_dies_others_hear_the_end() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let group = one.group(&ann, &[&bob]).await;
    let mut typist = one.client(&ann).await;
    let mut watcher = two.client(&bob).await;
    typist.emits("typing", json!({"conversationId": group})).await;
    settle().await;
    watcher.hears("user-typing").await;
    one.bus.drop_next(usize::MAX);
    one.tasks.stop_token().cancel();
    cluster.wait_secs(10).await;
    assert_eq!(reason(&watcher.hears("user-stop-typing").await), "timeout");
}

#[tokio::test(start_paused = true)]
async fn s_089_in_a_room_it_is_named_and_large_audiences_are_spared() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let (mut typist, mut watcher) = (node.client(&ann).await, node.client(&bob).await);
    let room = json!({"roomName": "Tech"});
    assert_eq!(is_refused(&mut typist, "typing", room.clone()).await, "NOT_FOUND");
    typist.ask("join-room", room.clone()).await;
    watcher.ask("join-room", room.clone()).await;
    watcher.all().await;
    assert_eq!(typist.ask("typing", room.clone()).await["ok"], true);
    assert_eq!(watcher.hears("user-typing").await["roomName"], "tech");
    typist.ask("stop-typing", room.clone()).await;
    watcher.all().await;
    cluster.wait_secs(4).await;
    // Large are five in these tests.
    for name in ["carl", "dora", "emil", "fred"] {
        let person = node.person(name).await;
        node.call(&person, json!({"command": "joinRoom", "roomName": "tech"}))
            .await;
    }
    watcher.all().await;
    assert_eq!(typist.ask("typing", room).await["ok"], true);
    watcher.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_135_typing_is_not_told_between_people_of_whom_one_blocks_the_other() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let direct = node.direct(&ann, &bob).await;
    let group = node.group(&ann, &[&bob]).await;
    let (mut at_ann, mut at_bob) = (node.client(&ann).await, node.client(&bob).await);
    cluster.blocks(&bob, &ann).await;
    for (typist, watcher) in [(&mut at_ann, &mut at_bob)] {
        typist.emits("typing", json!({"conversationId": direct})).await;
        watcher.hears_nothing().await;
        typist.emits("typing", json!({"conversationId": group})).await;
        watcher.hears("user-typing").await;
    }
    at_bob.emits("typing", json!({"conversationId": direct})).await;
    at_ann.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_089_bad_input_changes_nothing() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob, eve] = node.people(["ann", "bob", "eve"]).await;
    let group = node.group(&ann, &[&bob]).await;
    let mut watcher = node.client(&bob).await;
    let mut stranger = node.client(&eve).await;
    for (payload, code) in [
        (json!({"conversationId": group}), "NOT_FOUND"),
        (json!({"conversationId": "x"}), "INVALID_ID"),
        (json!({}), "VALIDATION"),
        (json!({"conversationId": group, "roomName": "tech"}), "VALIDATION"),
        (json!({"conversationId": {"$gt": ""}}), "VALIDATION"),
    ] {
        assert_eq!(
            is_refused(&mut stranger, "typing", payload.clone()).await,
            code,
            "{payload}"
        );
    }
    watcher.hears_nothing().await;
}
