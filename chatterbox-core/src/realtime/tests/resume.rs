//! S-109, S-083 with cursors, S-087, S-092: coming back, and finding out that something is missing.

use serde_json::{Value, json};

use super::world::{Cluster, settle};
use crate::domain::limits::CONVERSATIONS_LISTED_MAX;

fn names(all: &[(String, Value)]) -> Vec<&str> {
    all.iter().map(|(name, _)| name.as_str()).collect()
}

/// Edge case 11.
#[tokio::test(start_paused = true)]
async fn s_109_everything_that_happened_meanwhile_is_replayed_in_order_behind_the_greeting() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob, eve] = node.people(["ann", "bob", "eve"]).await;
    let group = node.group(&ann, &[&bob]).await;
    let first = node.says(&ann, &group, "first").await;
    let gone = node.says(&ann, &group, "gone").await;
    let about = |message: &Value, command: &str| {
        json!({
            "command": command, "conversationId": group, "messageId": message["message"]["id"],
            "content": "changed", "emoji": "👍",
        })
    };
    node.call(&ann, about(&first, "editMessage")).await;
    node.call(&ann, about(&gone, "deleteMessage")).await;
    node.call(&ann, about(&first, "addReaction")).await;
    let add = json!({"command": "addMembers", "conversationId": group, "userId": eve.id});
    node.call(&ann, add).await;
    let role = json!({"command": "setRole", "conversationId": group, "userId": eve.id, "role": "admin"});
    node.call(&ann, role).await;
    let remove = json!({"command": "removeMember", "conversationId": group, "userId": eve.id});
    node.call(&ann, remove).await;

    let mut phone = node.client_with(&bob, json!({group.as_str(): 1})).await;
    node.says(&ann, &group, "live").await;
    let all = phone.all().await;
    assert_eq!(
        names(&all),
        [
            "authenticated",
            "resumed",
            "new-message",
            "message-updated",
            "message-deleted",
            "reaction-added",
            "participant-added",
            "participant-role-updated",
            "participant-removed",
            "new-message",
        ]
    );
    let resumed = &all[1].1;
    assert_eq!(
        (&resumed["recovered"], &resumed["gaps"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(
        resumed["digest"],
        json!([{
            "id": group, "headSeq": 8, "ordinal": 2, "readSeq": 0, "role": "member", "muted": false,
            "hidden": false,
        }])
    );
    assert_eq!(all[2].1["content"], "", "what was deleted is not brought back");
    let seqs: Vec<u64> = all[2..]
        .iter()
        .map(|(_, data)| data["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (2..=9).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn s_109_a_resume_after_live_events_replays_only_what_the_socket_has_not_had() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let group = node.group(&ann, &[&bob]).await;
    for number in 1..=5 {
        node.says(&ann, &group, &number.to_string()).await;
    }
    let mut phone = node.client(&bob).await;
    node.says(&ann, &group, "live").await;
    let ack = phone.ask("resume", json!({"cursors": {group.as_str(): 2}})).await;
    assert_eq!(ack, json!({"ok": true, "recovered": true, "gaps": []}));
    node.says(&ann, &group, "more").await;
    assert_eq!(phone.seqs().await, [6, 3, 4, 5, 7]);
    // And nothing of it again.
    phone.ask("resume", json!({"cursors": {group.as_str(): 1}})).await;
    assert_eq!(phone.seqs().await, [2]);
    phone.ask("resume", json!({"cursors": {group.as_str(): 7}})).await;
    assert!(phone.seqs().await.is_empty());
}

/// Edge case 10.
#[tokio::test(start_paused = true)]
async fn s_109_who_is_too_far_behind_is_told_to_load_it_anew_and_hears_the_rest_live() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let (long, short) = (node.group(&ann, &[&bob]).await, node.group(&ann, &[&bob]).await);
    for _ in 0..1001 {
        let command = json!({"command": "sendMessage", "conversationId": long, "content": "x"});
        let command = serde_json::from_value::<crate::app::Command>(command).unwrap();
        let call = crate::app::Call::new(ann.actor(), command);
        node.server.stack().run(call).await.unwrap();
    }
    node.says(&ann, &short, "hi").await;
    let cursors = json!({"cursors": {long.as_str(): 0, short.as_str(): 0, "0123456789abcdef01234567": 9}});
    let mut phone = node.client_with(&bob, cursors["cursors"].clone()).await;
    let all = phone.all().await;
    assert_eq!(names(&all), ["authenticated", "resumed", "new-message"]);
    assert_eq!(all[1].1["gaps"], json!([long]));
    assert_eq!(all[1].1["recovered"], false);
    assert_eq!(all[2].1["conversationId"], json!(short));
    node.says(&ann, &long, "live").await;
    assert_eq!(phone.seqs().await, [1002]);
    // Within the bound all of it comes.
    let mut tablet = node.client_with(&bob, json!({long.as_str(): 2})).await;
    assert_eq!(tablet.seqs().await, (3..=1002).collect::<Vec<_>>());
    // The ack says it as well.
    let mut desk = node.client(&bob).await;
    for (from, recovered, gaps) in [(0, false, json!([long])), (2, true, json!([]))] {
        let ack = desk
            .ask("resume", json!({"cursors": {long.as_str(): from}}))
            .await;
        let said = (&ack["ok"], &ack["recovered"], &ack["gaps"]);
        assert_eq!(said, (&json!(true), &json!(recovered), &gaps), "from {from}");
    }
}

#[tokio::test(start_paused = true)]
async fn s_109_i4_messages_that_come_during_the_replay_are_heard_once_and_in_order() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let groups = [
        one.group(&ann, &[&bob]).await,
        one.group(&ann, &[&bob]).await,
        one.group(&ann, &[&bob]).await,
    ];
    let send = |node: &super::world::Node, group: &str| {
        let command = json!({"command": "sendMessage", "conversationId": group, "content": "x"});
        let command = serde_json::from_value::<crate::app::Command>(command).unwrap();
        let call = crate::app::Call::new(ann.actor(), command);
        let stack = node.server.stack().clone();
        node.tasks.spawn(async move { stack.run(call).await.unwrap() })
    };
    let mut sent = 0;
    for _ in 0..20 {
        for group in &groups {
            send(&one, group).await.unwrap();
        }
        sent += 1;
    }
    let mut phone = two.guest().await;
    let cursors = json!({groups[0].as_str(): 3, groups[1].as_str(): 0, groups[2].as_str(): 20});
    phone.begins("auth", &json!({"token": bob.token(), "cursors": cursors}));
    // One turn of the connection at a time, with sends on both nodes in between.
    for round in 0..120 {
        phone.turn_once().await;
        if round % 3 == 0 {
            for group in &groups {
                drop(send(if round % 2 == 0 { &one } else { &two }, group));
            }
            sent += 1;
        }
    }
    settle().await;
    let all = phone.all().await;
    for (group, from) in groups.iter().zip([4, 1, 21]) {
        let seqs: Vec<u64> = all
            .iter()
            .filter(|(_, data)| data["conversationId"] == json!(group))
            .filter_map(|(_, data)| data["seq"].as_u64())
            .collect();
        assert_eq!(seqs, (from..=sent).collect::<Vec<u64>>());
    }
}

#[tokio::test(start_paused = true)]
async fn s_109_rooms_are_resumed_by_their_conversation_id_and_left_ones_are_not() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    for person in [&ann, &bob] {
        node.call(person, json!({"command": "joinRoom", "roomName": "tech"}))
            .await;
    }
    let says = json!({"command": "sendRoomMessage", "roomName": "tech", "content": "x"});
    node.call(&ann, says.clone()).await;
    let room = node
        .call(&ann, json!({"command": "getRoom", "name": "tech"}))
        .await;
    let room = room["id"].as_str().unwrap().to_owned();
    let mut phone = node.client_with(&bob, json!({room.as_str(): 0})).await;
    node.call(&ann, says.clone()).await;
    assert_eq!(phone.seqs().await, [1, 2]);

    node.call(&bob, json!({"command": "leaveRoom", "roomName": "tech"}))
        .await;
    let mut phone = node.client_with(&bob, json!({room.as_str(): 0})).await;
    node.call(&ann, says).await;
    let all = phone.all().await;
    assert_eq!(names(&all), ["authenticated", "resumed"]);
    assert_eq!(all[1].1["digest"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn s_067_new_members_of_a_group_without_history_resume_from_their_join() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let made = json!({"command": "createGroup", "name": "g", "history": "since-join"});
    let group = node.call(&ann, made).await["id"].as_str().unwrap().to_owned();
    node.says(&ann, &group, "secret").await;
    let add = json!({"command": "addMembers", "conversationId": group, "userId": bob.id});
    node.call(&ann, add).await;
    node.says(&ann, &group, "hi bob").await;
    let mut phone = node.client_with(&bob, json!({group.as_str(): 0})).await;
    assert_eq!(phone.seqs().await, [2, 3]);
    let opened = json!({"conversationId": group, "afterSeq": 0});
    assert_eq!(phone.ask("join-conversation", opened).await["recovered"], true);
    phone.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_087_opening_a_conversation_replays_what_is_above_the_clients_number_once() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob, eve] = node.people(["ann", "bob", "eve"]).await;
    let group = node.group(&ann, &[&bob]).await;
    for number in 1..=4 {
        node.says(&ann, &group, &number.to_string()).await;
    }
    let mut phone = node.client(&bob).await;
    node.says(&ann, &group, "live").await;
    let opened = phone
        .ask(
            "join-conversation",
            json!({"conversationId": group, "afterSeq": 2}),
        )
        .await;
    let expected = json!({"ok": true, "conversationId": group, "seq": 5, "recovered": true});
    assert_eq!(opened, expected);
    assert_eq!(phone.seqs().await, [5, 3, 4]);
    let beyond = json!({"conversationId": group, "afterSeq": 99});
    assert_eq!(phone.ask("join-conversation", beyond).await["recovered"], false);
    let mut stranger = node.client(&eve).await;
    let refused = stranger
        .ask("join-conversation", json!({"conversationId": group}))
        .await;
    assert_eq!(refused["error"]["code"], "NOT_FOUND");
}

#[tokio::test(start_paused = true)]
async fn s_092_a_heartbeat_names_what_has_moved_and_a_resume_brings_what_the_bus_lost() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let (group, quiet) = (one.group(&ann, &[&bob]).await, one.group(&ann, &[&bob]).await);
    let mut phone = two.client(&bob).await;
    let beat = phone.ask("heartbeat", json!({"active": true})).await;
    assert_eq!(beat.get("seqHints"), None, "{beat}");
    one.says(&ann, &group, "heard").await;
    let beat = phone.ask("heartbeat", json!({})).await;
    assert_eq!(beat["seqHints"], json!({group.as_str(): 1}));
    let beat = phone.ask("heartbeat", json!({})).await;
    assert_eq!(beat.get("seqHints"), None, "told once");
    one.bus.drop_next(1);
    one.says(&ann, &group, "lost").await;
    assert_eq!(phone.seqs().await, [1]);
    phone
        .ask(
            "resume",
            json!({"cursors": {group.as_str(): 1, quiet.as_str(): 0}}),
        )
        .await;
    assert_eq!(phone.seqs().await, [2]);
}

#[tokio::test(start_paused = true)]
async fn s_109_bad_cursors_are_refused_and_resumes_are_bounded() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let ann = node.person("ann").await;
    let mut phone = node.client(&ann).await;
    for cursors in [
        json!({"x": 1}),
        json!([1]),
        json!("x"),
        json!({"0123456789abcdef01234567": -1}),
    ] {
        let ack = phone.ask("resume", json!({"cursors": cursors})).await;
        assert_eq!(ack["error"]["code"], "VALIDATION", "{cursors}");
    }
    // As many as a digest lists, and no more.
    let many = |count: usize| -> serde_json::Map<String, Value> {
        (0..count)
            .map(|number| (format!("{number:024x}"), json!(1)))
            .collect()
    };
    let too_many = many(CONVERSATIONS_LISTED_MAX + 1);
    let ack = phone.ask("resume", json!({"cursors": too_many})).await;
    assert_eq!(ack["error"]["code"], "VALIDATION");
    let all = many(CONVERSATIONS_LISTED_MAX);
    let ack = phone
        .ask("auth", json!({"token": ann.token(), "cursors": all}))
        .await;
    assert_eq!(ack["ok"], true, "{ack}");
    let mut phone = node.client(&ann).await;
    let mut codes = Vec::new();
    for _ in 0..6 {
        let ack = phone.ask("resume", json!({"cursors": {}})).await;
        codes.push(ack["error"]["code"].as_str().unwrap_or("ok").to_owned());
    }
    assert_eq!(codes, ["ok", "ok", "ok", "ok", "ok", "RATE_LIMITED"]);
}

/// What a member sees of the time before their join changes with the group's `history`; the events replayed don't bring
/// it, nor take it away.
#[tokio::test(start_paused = true)]
async fn s_109_i4_a_change_of_history_while_away_is_a_gap_for_who_joined_later() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob, eve] = node.people(["ann", "bob", "eve"]).await;
    let group = node.group(&ann, &[&bob]).await;
    node.says(&ann, &group, "before eve").await;
    let add = json!({"command": "addMembers", "conversationId": group, "userId": eve.id});
    node.call(&ann, add).await;
    for (history, cursor) in [("since-join", 2), ("all", 3)] {
        let change = json!({"command": "updateConversation", "conversationId": group, "history": history});
        node.call(&ann, change).await;
        for (person, gaps) in [(&eve, 1), (&bob, 0)] {
            let mut phone = node.client_with(person, json!({group.as_str(): cursor})).await;
            let all = phone.all().await;
            let told: Vec<&Value> = all
                .iter()
                .filter(|(name, _)| name == "resume-gaps")
                .map(|(_, data)| &data["gaps"])
                .collect();
            assert_eq!(told, vec![&json!([group]); gaps], "{history}: {all:?}");
            let mut desk = node.client(person).await;
            let ack = desk
                .ask("resume", json!({"cursors": {group.as_str(): cursor}}))
                .await;
            assert_eq!(ack["recovered"], gaps == 0, "{history}");
            // Behind the change everything is as ever.
            let ack = desk
                .ask("resume", json!({"cursors": {group.as_str(): cursor + 1}}))
                .await;
            assert_eq!(ack["recovered"], true, "{history}");
        }
    }
}
