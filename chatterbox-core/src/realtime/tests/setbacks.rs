//! What fails for one conversation: its client is told so, and everybody else goes on.

use serde_json::{Value, json};

use super::picky::PickyLog;
use super::world::{Client, Cluster, Node, Person, settle};
use crate::ids::ConversationId;
use crate::testkit::SeededIds;

/// More than the journal keeps.
const MUCH: usize = 1_100;

fn gaps_of(events: &[(String, Value)]) -> Vec<&Value> {
    let told = events.iter().filter(|(name, _)| name == "resume-gaps");
    told.map(|(_, data)| data).collect()
}

/// So much that nobody knows any more who left what.
fn much_happens(node: &Node, person: &Person) {
    let ids = SeededIds::new(77);
    for _ in 0..MUCH {
        let elsewhere = ConversationId::new(&ids);
        node.server.chat().deliveries.exit(elsewhere, person.id);
    }
}

/// Two groups of Ann and Bob with two messages each.
async fn two_groups(node: &Node, ann: &Person, bob: &Person) -> [String; 2] {
    let groups = [node.group(ann, &[bob]).await, node.group(ann, &[bob]).await];
    for group in &groups {
        node.says(ann, group, "one").await;
        node.says(ann, group, "two").await;
    }
    groups
}

#[tokio::test(start_paused = true)]
async fn s_109_i4_a_replay_that_fails_behind_auth_is_told_and_the_rest_is_heard_live() {
    let (cluster, log) = Cluster::picky();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let [bad, good] = two_groups(&node, &ann, &bob).await;
    log.refuse([&bad]);
    let cursors = json!({bad.as_str(): 1, good.as_str(): 1});
    let mut phone = node.client_with(&bob, cursors.clone()).await;
    let all = phone.all().await;
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["authenticated", "resumed", "new-message", "resume-gaps"]);
    assert_eq!(all[1].1["recovered"], true, "nothing had failed yet");
    assert_eq!(gaps_of(&all), [&json!({"recovered": false, "gaps": [bad]})]);
    node.says(&ann, &bad, "live").await;
    assert_eq!(phone.seqs().await, [3], "as docs/WEBSOCKET.md promises of gaps");
    // The ack of `resume` says it as well.
    let mut desk = node.client(&bob).await;
    let ack = desk.ask("resume", json!({"cursors": cursors})).await;
    assert_eq!((&ack["recovered"], &ack["gaps"]), (&json!(false), &json!([bad])));
    assert_eq!(gaps_of(&desk.all().await).len(), 1);
    // And nobody takes what was not replayed for delivered later.
    log.refuse([]);
    let ack = desk.ask("resume", json!({"cursors": cursors})).await;
    assert_eq!(ack["recovered"], true);
    assert!(desk.seqs().await.contains(&2));
}

/// Bob comes back to two groups; while the first of them is read, more happens than the journal keeps.
async fn comes_back_slowly(
    cluster: &Cluster,
    log: &PickyLog,
    meanwhile: impl AsyncFn(&Node, &Person, &[String; 2]),
) -> (Node, Person, [String; 2], Client) {
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let groups = two_groups(&node, &ann, &bob).await;
    log.hold(true);
    let mut phone = node.guest().await;
    let cursors = json!({groups[0].as_str(): 1, groups[1].as_str(): 1});
    phone.begins("auth", &json!({"token": bob.token(), "cursors": cursors}));
    phone.turn().await;
    much_happens(&node, &ann);
    meanwhile(&node, &bob, &groups).await;
    log.hold(false);
    settle().await;
    (node, ann, groups, phone)
}

#[tokio::test(start_paused = true)]
async fn s_109_i4_a_resume_during_which_much_happens_hears_everything() {
    let (cluster, log) = Cluster::picky();
    let (node, ann, groups, mut phone) = comes_back_slowly(&cluster, &log, async |_, _, _| ()).await;
    let all = phone.all().await;
    assert!(gaps_of(&all).is_empty(), "{all:?}");
    assert_eq!(all.iter().filter(|(name, _)| name == "new-message").count(), 2);
    for group in &groups {
        node.says(&ann, group, "live").await;
        assert_eq!(phone.seqs().await, [3]);
    }
}

#[tokio::test(start_paused = true)]
async fn s_109_i5_a_resume_during_which_much_happens_hears_nothing_of_what_its_user_has_left() {
    let (cluster, log) = Cluster::picky();
    let (node, ann, groups, mut phone) = comes_back_slowly(&cluster, &log, async |node, bob, groups| {
        for group in groups {
            let leave = json!({"command": "leaveConversation", "conversationId": group});
            node.call(bob, leave).await;
        }
        // Forgotten by the journal as well.
        much_happens(node, bob);
    })
    .await;
    let all = phone.all().await;
    let gaps = gaps_of(&all);
    let ended = all.iter().filter(|(name, _)| name == "participant-removed");
    let told = ended.count()
        + gaps
            .iter()
            .flat_map(|data| data["gaps"].as_array().unwrap())
            .count();
    assert_eq!(told, 2, "each is told by its removal or as a gap: {all:?}");
    for group in &groups {
        node.says(&ann, group, "among us").await;
    }
    phone.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_109_what_cannot_be_heard_yet_is_a_gap_and_heard_as_soon_as_the_store_answers() {
    let (cluster, log) = Cluster::picky();
    let (node, ann, groups, mut phone) = comes_back_slowly(&cluster, &log, async |_, _, groups| {
        log.refuse(groups);
    })
    .await;
    let all = phone.all().await;
    let told: Vec<Value> = gaps_of(&all)
        .into_iter()
        .map(|data| data["gaps"].clone())
        .collect();
    assert_eq!(told.len(), 1, "{all:?}");
    assert_eq!(told[0].as_array().unwrap().len(), 2);
    log.refuse([]);
    cluster.wait_secs(1).await;
    let again = phone.all().await;
    assert_eq!(
        gaps_of(&again).len(),
        1,
        "what came meanwhile is to be loaded: {again:?}"
    );
    for group in &groups {
        node.says(&ann, group, "live").await;
        assert_eq!(phone.seqs().await, [3]);
    }
}

/// On a node that has heard of none of them: neither one question nor one subscription after the other.
#[tokio::test(start_paused = true)]
async fn s_109_a_resume_asks_the_log_a_fixed_number_of_questions() {
    let (cluster, log) = Cluster::picky();
    let one = cluster.node().await;
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let mut asked = Vec::new();
    let mut cursors = serde_json::Map::new();
    for count in [3, 30] {
        while cursors.len() < count {
            let group = one.group(&ann, &[&bob]).await;
            one.says(&ann, &group, "hi").await;
            cursors.insert(group, json!(1));
        }
        cluster.wait_secs(2).await;
        let cold = cluster.node().await;
        log.asked();
        let mut phone = cold.client_with(&bob, Value::Object(cursors.clone())).await;
        assert_eq!(phone.all().await[1].1["recovered"], true);
        asked.push(log.asked());
        // And everything is heard.
        let last = cursors.keys().next_back().unwrap().clone();
        one.says(&ann, &last, "live").await;
        settle().await;
        assert_eq!(phone.seqs().await, [2]);
        cursors.insert(last, json!(2));
        phone.closes().await;
        cold.tasks.stop().await;
    }
    assert_eq!(asked[0], asked[1]);
    assert_eq!(asked[0].values().sum::<usize>(), 1, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn i9_one_conversation_that_cannot_be_read_keeps_no_other_one_from_being_healed() {
    let (cluster, log) = Cluster::picky();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let mut groups = Vec::new();
    for _ in 0..6 {
        groups.push(one.group(&ann, &[&bob]).await);
    }
    let mut phone = two.client(&bob).await;
    one.bus.drop_next(usize::MAX);
    for group in &groups {
        one.says(&ann, group, "lost").await;
    }
    // Whichever comes first among them, it is neither all of the others nor none.
    log.refuse(&groups[..3]);
    two.server.chat().deliveries.compare_heads().await;
    assert_eq!(phone.seqs().await, [1, 1, 1]);
    log.refuse([]);
    two.server.chat().deliveries.compare_heads().await;
    assert_eq!(phone.seqs().await, [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn i9_one_conversation_that_cannot_be_read_keeps_no_other_one_from_being_subscribed_to() {
    let (cluster, log) = Cluster::picky();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let mut phone = two.client(&bob).await;
    one.bus.drop_next(usize::MAX);
    let mut groups = Vec::new();
    for _ in 0..6 {
        let group = one.group(&ann, &[&bob]).await;
        one.says(&ann, &group, "lost").await;
        groups.push(group);
    }
    one.bus.drop_next(0);
    log.refuse(&groups[..3]);
    two.server.chat().deliveries.resubscribe_later();
    settle().await;
    assert_eq!(phone.seqs().await, [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_server_starts_and_repairs_the_others_where_one_conversation_cannot_be_read() {
    let (cluster, log) = Cluster::picky();
    let one = cluster.node().await;
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let mut groups = Vec::new();
    for _ in 0..4 {
        let group = one.group(&ann, &[&bob]).await;
        // Where senders have read up to is written later, and never by a node that is gone.
        let command = json!({"command": "sendMessage", "conversationId": group, "content": "x"});
        let command = serde_json::from_value::<crate::app::Command>(command).unwrap();
        let call = crate::app::Call::new(ann.actor(), command);
        one.server.stack().run(call).await.unwrap();
        groups.push(group);
    }
    one.tasks.stop().await;
    let lagging = || async { cluster.stores.conversations.lagging(100).await.unwrap().len() };
    assert_eq!(lagging().await, 4);
    log.refuse(&groups[..2]);
    let two = cluster.node().await;
    assert_eq!(lagging().await, 2, "those that can be read are right");
    let mut phone = two.client(&bob).await;
    two.says(&ann, &groups[3], "served").await;
    assert_eq!(phone.seqs().await, [2]);
}
