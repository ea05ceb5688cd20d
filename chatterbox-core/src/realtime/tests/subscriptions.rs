//! Who receives (SPEC.md section 1), and what becomes of it when memberships begin and end.

use serde_json::json;

use super::world::{Client, Cluster, settle};

#[tokio::test(start_paused = true)]
async fn s_097_directs_and_groups_are_heard_from_the_login_on_and_rooms_are_asked_for() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let group = node.group(&ann, &[&bob]).await;
    let direct = node.direct(&ann, &bob).await;
    node.call(&bob, json!({"command": "joinRoom", "roomName": "tech"}))
        .await;
    node.call(&ann, json!({"command": "joinRoom", "roomName": "tech"}))
        .await;
    let mut phone = node.client(&bob).await;
    node.says(&ann, &group, "to all").await;
    node.says(&ann, &direct, "to you").await;
    let in_room = json!({"command": "sendRoomMessage", "roomName": "tech", "content": "in the room"});
    node.call(&ann, in_room.clone()).await;
    assert_eq!(phone.hears("new-message").await["content"], "to all");
    assert_eq!(phone.hears("new-message").await["content"], "to you");
    phone.hears_nothing().await;

    let joined = phone.ask("join-room", json!({"roomName": "tech"})).await;
    assert_eq!((&joined["ok"], &joined["seq"]), (&json!(true), &json!(1)));
    node.call(&ann, in_room).await;
    assert_eq!(phone.hears("room-message").await["content"], "in the room");
}

#[tokio::test(start_paused = true)]
async fn s_105_who_is_added_hears_it_first_and_then_everything_on_a_node_that_did_not_watch() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob, eve] = one.people(["ann", "bob", "eve"]).await;
    let group = one.group(&ann, &[&bob]).await;
    one.says(&ann, &group, "before").await;
    let mut phones = [one.client(&eve).await, two.client(&eve).await];
    let add = json!({"command": "addMembers", "conversationId": group, "userId": eve.id});
    one.call(&ann, add).await;
    one.says(&ann, &group, "welcome").await;
    settle().await;
    for phone in &mut phones {
        let added = phone.hears("participant-added").await;
        assert_eq!(added["user"]["id"], json!(eve.id));
        assert_eq!(added["conversation"]["id"], json!(group));
        assert_eq!(phone.hears("new-message").await["content"], "welcome");
        phone.hears_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s_064_members_of_a_new_group_hear_of_it_and_then_everything_on_every_node() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let mut phones = [
        one.client(&bob).await,
        two.client(&bob).await,
        one.client(&ann).await,
    ];
    let group = one.group(&ann, &[&bob]).await;
    // Written on the node where nobody had heard of it.
    two.says(&bob, &group, "hello").await;
    settle().await;
    for phone in &mut phones {
        let created = phone.hears("conversation-created").await;
        assert_eq!(created["conversation"]["id"], json!(group));
        assert_eq!(phone.hears("new-message").await["content"], "hello");
        phone.hears_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s_063_a_direct_conversation_is_heard_by_both_as_soon_as_it_is_opened() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let (mut at_one, mut at_two) = (one.client(&ann).await, two.client(&bob).await);
    let direct = one.direct(&ann, &bob).await;
    one.says(&ann, &direct, "hi").await;
    settle().await;
    for phone in [&mut at_one, &mut at_two] {
        phone.hears("conversation-created").await;
        assert_eq!(phone.hears("new-message").await["content"], "hi");
    }
}

#[tokio::test(start_paused = true)]
async fn s_068_i5_who_is_removed_hears_of_it_last_on_every_node() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let group = one.group(&ann, &[&bob]).await;
    let mut phones: Vec<Client> = vec![one.client(&bob).await, two.client(&bob).await];
    for phone in &mut phones {
        phone
            .ask("join-conversation", json!({"conversationId": group}))
            .await;
    }
    let mut at_ann = two.client(&ann).await;
    cluster.wait_secs(2).await;
    for phone in &mut phones {
        phone.hears("presence:online").await;
    }
    one.bus.hold();
    one.says(&ann, &group, "still here").await;
    let remove = json!({"command": "removeMember", "conversationId": group, "userId": bob.id});
    one.call(&ann, remove).await;
    one.says(&ann, &group, "among us").await;
    // The newest first.
    one.bus.release_reversed().await.unwrap();
    settle().await;
    at_ann.emits("typing", json!({"conversationId": group})).await;
    for phone in &mut phones {
        assert_eq!(phone.hears("new-message").await["content"], "still here");
        let removed = phone.hears("participant-removed").await;
        assert_eq!((&removed["userId"], &removed["seq"]), (&json!(bob.id), &json!(2)));
        phone.hears_nothing().await;
        let refused = phone.ask("typing", json!({"conversationId": group})).await;
        assert_eq!(refused["error"]["code"], "NOT_FOUND");
        let refused = phone
            .ask("join-conversation", json!({"conversationId": group}))
            .await;
        assert_eq!(refused["error"]["code"], "NOT_FOUND");
    }
    assert_eq!(at_ann.seqs().await, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn edge_4_who_is_removed_and_added_again_hears_everything_from_then_on() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let group = one.group(&ann, &[&bob]).await;
    let mut phone = two.client(&bob).await;
    let remove = json!({"command": "removeMember", "conversationId": group, "userId": bob.id});
    let add = json!({"command": "addMembers", "conversationId": group, "userId": bob.id});
    one.call(&ann, remove).await;
    one.says(&ann, &group, "among us").await;
    one.call(&ann, add).await;
    one.says(&ann, &group, "welcome back").await;
    settle().await;
    assert_eq!(phone.seqs().await, [1, 3, 4]);
    // What was said meanwhile is his to read now, and a resume brings just that.
    let ack = phone.ask("resume", json!({"cursors": {group: 1}})).await;
    assert_eq!(ack["recovered"], true);
    assert_eq!(phone.seqs().await, [2]);
}

#[tokio::test(start_paused = true)]
async fn s_085_all_devices_hear_that_a_room_was_left_and_then_nothing_of_it() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let room = json!({"roomName": "tech"});
    let mut at_ann = one.client(&ann).await;
    at_ann.ask("join-room", room.clone()).await;
    at_ann.all().await;
    let (mut here, mut there, mut aside) = (
        one.client(&bob).await,
        two.client(&bob).await,
        two.client(&bob).await,
    );
    here.ask("join-room", room.clone()).await;
    there.ask("join-room", room.clone()).await;
    settle().await;
    // Also the device that doesn't watch the room.
    for phone in [&mut aside, &mut there, &mut at_ann] {
        assert_eq!(phone.hears("user-joined-room").await["user"]["id"], json!(bob.id));
        phone.hears_nothing().await;
    }
    here.all().await;
    assert_eq!(here.ask("leave-room", room.clone()).await["ok"], true);
    at_ann
        .ask("send-room-message", json!({"roomName": "tech", "content": "bye"}))
        .await;
    settle().await;
    for phone in [&mut here, &mut there, &mut aside] {
        assert_eq!(phone.hears("user-left-room").await["user"]["id"], json!(bob.id));
        phone.hears_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s_100_who_leaves_a_room_by_a_former_name_is_told_of_by_the_current_one() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let made = node
        .call(&ann, json!({"command": "createRoom", "name": "lounge"}))
        .await;
    let mut at_ann = node.client(&ann).await;
    let mut at_bob = node.client(&bob).await;
    for phone in [&mut at_ann, &mut at_bob] {
        phone.ask("join-room", json!({"roomName": "lounge"})).await;
    }
    let renamed =
        json!({"command": "updateConversation", "conversationId": made["conversationId"], "name": "parlour"});
    node.call(&ann, renamed).await;
    settle().await;
    at_ann.all().await;
    let left = at_bob.ask("leave-room", json!({"roomName": "lounge"})).await;
    assert_eq!(left["roomName"], "parlour");
    settle().await;
    assert_eq!(at_ann.hears("user-left-room").await["roomName"], "parlour");
}

#[tokio::test(start_paused = true)]
async fn a_membership_that_begins_while_its_announcement_is_lost_is_heard_by_the_next_one() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let group = one.group(&ann, &[]).await;
    let mut phone = two.client(&bob).await;
    settle().await;
    // The entry gets lost, the call to enter comes through.
    one.bus.drop_next(1);
    let add = json!({"command": "addMembers", "conversationId": group, "userId": bob.id});
    one.call(&ann, add).await;
    settle().await;
    assert_eq!(
        phone.hears("participant-added").await["user"]["id"],
        json!(bob.id)
    );
    one.says(&ann, &group, "hi").await;
    settle().await;
    assert_eq!(phone.hears("new-message").await["content"], "hi");
}

#[tokio::test(start_paused = true)]
async fn s_127_leaving_a_conversation_keeps_membership_and_delivery() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let group = node.group(&ann, &[&bob]).await;
    let mut phone = node.client(&bob).await;
    let looks = json!({"conversationId": group});
    assert_eq!(
        phone.ask("join-conversation", looks.clone()).await["recovered"],
        true
    );
    assert_eq!(phone.ask("leave-conversation", looks).await["ok"], true);
    node.says(&ann, &group, "hi").await;
    assert_eq!(phone.hears("new-message").await["content"], "hi");
    let odd = phone
        .ask("leave-conversation", json!({"conversationId": "x"}))
        .await;
    assert_eq!(odd["error"]["code"], "INVALID_ID");
}

#[tokio::test(start_paused = true)]
async fn i9_memberships_that_the_bus_never_told_of_are_heard_once_it_is_back() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let mut phone = two.client(&bob).await;
    settle().await;
    one.bus.drop_next(usize::MAX);
    let group = one.group(&ann, &[&bob]).await;
    one.says(&ann, &group, "lost").await;
    phone.hears_nothing().await;
    one.bus.drop_next(0);
    two.server.chat().deliveries.resubscribe_later();
    settle().await;
    assert_eq!(phone.hears("new-message").await["content"], "lost");
    one.says(&ann, &group, "heard").await;
    assert_eq!(phone.hears("new-message").await["content"], "heard");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_meets_a_removal_ends_with_what_is_right() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    for steps in 0..40 {
        let group = node.group(&ann, &[&bob]).await;
        let mut phone = node.guest().await;
        phone.begins("auth", &json!({"token": bob.token()}));
        for _ in 0..steps {
            phone.turn_once().await;
        }
        let remove = json!({"command": "removeMember", "conversationId": group, "userId": bob.id});
        let command = serde_json::from_value::<crate::app::Command>(remove).unwrap();
        let call = crate::app::Call::new(ann.actor(), command);
        let stack = node.server.stack().clone();
        let removal = node.tasks.spawn(async move { stack.run(call).await.unwrap() });
        phone.turn().await;
        removal.await.unwrap();
        node.says(&ann, &group, "among us").await;
        let heard = phone.seqs().await;
        assert!(heard.is_empty() || heard == [1], "after {steps} steps: {heard:?}");
        phone.closes().await;
    }
}
