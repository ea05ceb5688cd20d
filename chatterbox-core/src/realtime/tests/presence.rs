//! Presence by leases and heartbeats (S-007), and what others see of it (S-018): S-103, S-104, edge case 14, I7.

use std::time::Duration;

use serde_json::json;

use super::world::Cluster;
use crate::domain::conversation::NewDirect;
use crate::ids::{ConversationId, UserId};
use crate::testkit::samples;

#[tokio::test(start_paused = true)]
async fn s_103_s_104_partners_hear_of_coming_and_going_on_every_node() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob, eve] = one.people(["ann", "bob", "eve"]).await;
    one.direct(&ann, &bob).await;
    one.group(&ann, &[&eve, &bob]).await;
    let mut partners = [one.client(&bob).await, two.client(&bob).await];
    let mut stranger = two.client(&eve).await;
    cluster.wait_secs(2).await;
    for client in &mut partners {
        client.all().await;
    }
    let phone = two.client(&ann).await;
    cluster.wait_secs(1).await;
    for client in &mut partners {
        let online = client.hears("presence:online").await;
        assert_eq!(online["userId"], json!(ann.id));
    }
    let gone_at = crate::clock::Clock::now(&*cluster.clock);
    phone.closes().await;
    cluster.wait_secs(11).await;
    for client in &mut partners {
        client.hears_nothing().await;
    }
    // I7: within 15 s.
    cluster.wait_secs(3).await;
    for client in &mut partners {
        let expected = json!({"userId": ann.id, "lastSeen": gone_at});
        assert_eq!(client.hears("presence:offline").await, expected);
        client.hears_nothing().await;
    }
    stranger.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_103_of_a_group_only_those_hear_it_who_have_it_before_their_eyes() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let group = one.group(&ann, &[&bob]).await;
    let (mut looks, mut does_not) = (two.client(&bob).await, two.client(&bob).await);
    looks
        .ask("join-conversation", json!({"conversationId": group}))
        .await;
    cluster.wait_secs(2).await;
    let phone = one.client(&ann).await;
    cluster.wait_secs(1).await;
    assert_eq!(looks.hears("presence:online").await["userId"], json!(ann.id));
    does_not.hears_nothing().await;
    looks
        .ask("leave-conversation", json!({"conversationId": group}))
        .await;
    phone.closes().await;
    cluster.wait_secs(15).await;
    looks.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn edge_14_a_reload_does_not_flap_and_the_last_of_three_devices_counts() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    one.direct(&ann, &bob).await;
    let mut partner = one.client(&bob).await;
    let (laptop, phone, tablet) = (
        one.client(&ann).await,
        one.client(&ann).await,
        two.client(&ann).await,
    );
    cluster.wait_secs(2).await;
    partner.hears("presence:online").await;
    // Reloads, also onto another node.
    laptop.closes().await;
    cluster.wait_secs(5).await;
    let laptop = two.client(&ann).await;
    phone.closes().await;
    cluster.wait_secs(20).await;
    tablet.closes().await;
    cluster.wait_secs(20).await;
    partner.hears_nothing().await;
    laptop.closes().await;
    cluster.wait_secs(14).await;
    assert_eq!(partner.hears("presence:offline").await["userId"], json!(ann.id));
}

#[tokio::test(start_paused = true)]
async fn s_104_i7_the_users_of_a_dead_node_are_offline_within_thirty_seconds() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    one.direct(&ann, &bob).await;
    let mut partner = two.client(&bob).await;
    let _phone = one.client(&ann).await;
    cluster.wait_secs(2).await;
    partner.hears("presence:online").await;
    // Killed: nothing is said any more.
    one.tasks.stop_token().cancel();
    cluster.wait_secs(30).await;
    assert_eq!(partner.hears("presence:offline").await["userId"], json!(ann.id));
    partner.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_104_i7_who_does_not_come_back_from_a_drained_node_is_offline_within_fifteen_seconds() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob, eve] = one.people(["ann", "bob", "eve"]).await;
    one.direct(&ann, &bob).await;
    one.direct(&eve, &bob).await;
    let mut partner = two.client(&bob).await;
    let sockets = [one.client(&ann).await, one.client(&eve).await];
    // A lease that was renewed a moment ago.
    cluster.wait_secs(11).await;
    for _ in &sockets {
        partner.hears("presence:online").await;
    }
    for socket in sockets {
        socket.closes().await;
    }
    one.server.drain(Duration::ZERO).await;
    one.tasks.stop().await;
    cluster.wait_secs(9).await;
    let _back = two.client(&eve).await;
    cluster.wait_secs(1).await;
    partner.hears_nothing().await;
    // I7.
    cluster.wait_secs(5).await;
    assert_eq!(partner.hears("presence:offline").await["userId"], json!(ann.id));
    cluster.wait_secs(30).await;
    partner.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_135_presence_is_not_told_between_people_of_whom_one_blocks_the_other() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob, eve] = node.people(["ann", "bob", "eve"]).await;
    node.direct(&ann, &bob).await;
    node.direct(&ann, &eve).await;
    cluster.blocks(&bob, &ann).await;
    cluster.blocks(&ann, &eve).await;
    let (mut blocker, mut blocked) = (node.client(&bob).await, node.client(&eve).await);
    cluster.wait_secs(2).await;
    let _phone = node.client(&ann).await;
    cluster.wait_secs(2).await;
    blocker.hears_nothing().await;
    blocked.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_135_who_blocks_somebody_is_not_told_of_them_in_a_common_group_either() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let (ann, eve) = (one.person("ann").await, one.person("eve").await);
    let group = one.group(&ann, &[&eve]).await;
    let mut onlookers = [one.client(&eve).await, two.client(&eve).await];
    for client in &mut onlookers {
        client
            .ask("join-conversation", json!({"conversationId": group}))
            .await;
    }
    one.call(&eve, json!({"command": "blockUser", "user": ann.id}))
        .await;
    cluster.wait_secs(2).await;
    for client in &mut onlookers {
        client.all().await;
    }
    let phone = two.client(&ann).await;
    cluster.wait_secs(2).await;
    phone.closes().await;
    cluster.wait_secs(15).await;
    for client in &mut onlookers {
        client.hears_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s_135_of_somebody_whom_thousands_block_no_blocker_hears() {
    for (blockers, group_hears) in [(1_500_u32, true), (10_500, false)] {
        let cluster = Cluster::new();
        let (one, two) = (cluster.node().await, cluster.node().await);
        let [ann, bob, eve] = one.people(["ann", "bob", "eve"]).await;
        let group = one.group(&ann, &[&bob, &eve]).await;
        one.direct(&ann, &bob).await;
        for number in 0..blockers {
            let mut id = [0; 12];
            id[..4].copy_from_slice(&number.to_be_bytes());
            let blocks = &cluster.stores.blocks;
            let stranger = UserId::from_bytes(id);
            blocks.block(stranger, ann.id, samples::now(), 10).await.unwrap();
        }
        // The last one in every order.
        cluster.blocks(&bob, &ann).await;
        let mut blocker = [one.client(&bob).await, two.client(&bob).await];
        let mut onlooker = two.client(&eve).await;
        for client in blocker.iter_mut().chain([&mut onlooker]) {
            let looks = json!({"conversationId": group});
            client.ask("join-conversation", looks).await;
        }
        cluster.wait_secs(2).await;
        for client in blocker.iter_mut().chain([&mut onlooker]) {
            client.all().await;
        }
        let _phone = one.client(&ann).await;
        cluster.wait_secs(2).await;
        for client in &mut blocker {
            client.hears_nothing().await;
        }
        assert_eq!(onlooker.all().await.len(), usize::from(group_hears), "{blockers}");
    }
}

#[tokio::test(start_paused = true)]
async fn s_103_a_partner_hears_however_many_others_there_are() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    for number in 0..1_100_u32 {
        let mut id = [0; 12];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let direct = NewDirect {
            id: ConversationId::from_bytes(id),
            creator: ann.id,
            peer: UserId::from_bytes(id),
            created_at: samples::now(),
        };
        cluster.stores.conversations.open_direct(direct).await.unwrap();
    }
    one.direct(&ann, &bob).await;
    let mut partner = [one.client(&bob).await, two.client(&bob).await];
    cluster.wait_secs(2).await;
    for client in &mut partner {
        client.all().await;
    }
    let _phone = one.client(&ann).await;
    cluster.wait_secs(2).await;
    for client in &mut partner {
        let heard = client.all().await;
        assert_eq!(heard.len(), 1, "{heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn i5_who_was_removed_hears_of_nobodys_presence_in_the_group_any_more() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let group = one.group(&ann, &[&bob]).await;
    let mut phone = two.client(&bob).await;
    phone
        .ask("join-conversation", json!({"conversationId": group}))
        .await;
    cluster.wait_secs(2).await;
    let remove = json!({"command": "removeMember", "conversationId": group, "userId": bob.id});
    one.call(&ann, remove).await;
    let _at_ann = one.client(&ann).await;
    cluster.wait_secs(2).await;
    phone.hears("participant-removed").await;
    phone.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_061_s_092_presence_is_told_to_those_who_share_a_conversation() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob, eve] = one.people(["ann", "bob", "eve"]).await;
    one.group(&ann, &[&bob]).await;
    let statuses = async |of: &super::world::Person| {
        let asked = json!({"command": "getPresence", "userIds": [ann.id, bob.id]});
        let found = two.call(of, asked).await;
        [0, 1].map(|at: usize| found["items"][at]["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(statuses(&bob).await, ["offline", "offline"]);
    let (mut laptop, mut phone) = (one.client(&ann).await, two.client(&ann).await);
    cluster.wait_secs(1).await;
    assert_eq!(statuses(&bob).await, ["online", "offline"]);
    assert_eq!(statuses(&eve).await, ["unknown", "unknown"]);
    // Away once all devices are.
    laptop.ask("heartbeat", json!({"active": false})).await;
    cluster.wait_secs(1).await;
    assert_eq!(statuses(&bob).await, ["online", "offline"]);
    phone.ask("heartbeat", json!({"active": false})).await;
    cluster.wait_secs(1).await;
    assert_eq!(statuses(&bob).await, ["away", "offline"]);
    phone.ask("heartbeat", json!({})).await;
    cluster.wait_secs(1).await;
    assert_eq!(statuses(&bob).await, ["online", "offline"]);
    phone.closes().await;
    cluster.wait_secs(15).await;
    assert_eq!(statuses(&bob).await, ["away", "offline"]);
    let gone_at = crate::clock::Clock::now(&*cluster.clock);
    laptop.closes().await;
    cluster.wait_secs(15).await;
    let asked = json!({"command": "getPresence", "userIds": [ann.id]});
    let found = two.call(&bob, asked.clone()).await;
    let expected = json!({"userId": ann.id, "status": "offline", "lastSeen": gone_at});
    assert_eq!(found["items"][0], expected);
    // Who is blocked doesn't learn that either.
    cluster.blocks(&ann, &bob).await;
    let found = two.call(&bob, asked).await;
    let expected = json!({"userId": ann.id, "status": "offline", "lastSeen": null});
    assert_eq!(found["items"][0], expected);
}

#[tokio::test(start_paused = true)]
async fn s_061_who_hides_their_presence_looks_offline_and_is_announced_to_nobody() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    node.direct(&ann, &bob).await;
    node.call(&ann, json!({"command": "updateProfile", "showPresence": false}))
        .await;
    let mut partner = node.client(&bob).await;
    cluster.wait_secs(2).await;
    let phone = node.client(&ann).await;
    cluster.wait_secs(2).await;
    let asked = json!({"command": "getPresence", "userIds": [ann.id, bob.id]});
    let hidden = json!({"userId": ann.id, "status": "offline", "lastSeen": null});
    let found = node.call(&bob, asked.clone()).await;
    assert_eq!(found["items"][0], hidden);
    assert_eq!(
        node.call(&ann, asked).await["items"][0]["status"],
        "online",
        "to herself"
    );
    phone.closes().await;
    cluster.wait_secs(15).await;
    partner.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_134_s_061_who_stops_showing_their_presence_goes_offline_for_others_and_comes_back() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    one.direct(&ann, &bob).await;
    let mut partner = two.client(&bob).await;
    let phone = one.client(&ann).await;
    cluster.wait_secs(2).await;
    partner.hears("presence:online").await;
    let shows = async |shown: bool| {
        // By a node where she is not.
        two.call(&ann, json!({"command": "updateProfile", "showPresence": shown}))
            .await;
        cluster.wait_secs(2).await;
    };
    shows(true).await;
    partner.hears_nothing().await;
    shows(false).await;
    let hidden = json!({"userId": ann.id, "lastSeen": null});
    assert_eq!(partner.hears("presence:offline").await, hidden);
    shows(false).await;
    partner.hears_nothing().await;
    shows(true).await;
    assert_eq!(partner.hears("presence:online").await["userId"], json!(ann.id));
    partner.hears_nothing().await;
    phone.closes().await;
    cluster.wait_secs(15).await;
    assert_eq!(partner.hears("presence:offline").await["userId"], json!(ann.id));
    shows(false).await;
    shows(true).await;
    partner.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_135_a_block_takes_the_two_offline_for_each_other_and_its_end_brings_them_back() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob, eve] = one.people(["ann", "bob", "eve"]).await;
    one.direct(&ann, &bob).await;
    let group = one.group(&ann, &[&eve]).await;
    let (mut at_ann, mut at_bob) = (one.client(&ann).await, two.client(&bob).await);
    let (mut looks, mut does_not) = (two.client(&eve).await, two.client(&eve).await);
    looks
        .ask("join-conversation", json!({"conversationId": group}))
        .await;
    cluster.wait_secs(2).await;
    for client in [&mut at_ann, &mut at_bob, &mut looks, &mut does_not] {
        client.all().await;
    }
    for user in [&bob, &eve] {
        for (command, own, event) in [
            ("blockUser", "user-blocked", "presence:offline"),
            ("unblockUser", "user-unblocked", "presence:online"),
        ] {
            let call = json!({"command": command, "user": user.id});
            one.call(&ann, call).await;
            cluster.wait_secs(2).await;
            assert_eq!(at_ann.hears(own).await["userId"], json!(user.id));
            let other = if user.id == bob.id {
                &mut at_bob
            } else {
                &mut looks
            };
            let heard = other.hears(event).await;
            assert_eq!(heard["userId"], json!(ann.id));
            assert!(heard["lastSeen"].is_null());
            if user.id == bob.id {
                assert_eq!(at_ann.hears(event).await["userId"], json!(user.id));
            }
            for client in [&mut at_ann, &mut at_bob, &mut looks, &mut does_not] {
                client.hears_nothing().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s_135_the_end_of_one_block_does_not_end_the_other() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    node.direct(&ann, &bob).await;
    for (by, whom) in [(&ann, &bob), (&bob, &ann)] {
        node.call(by, json!({"command": "blockUser", "user": whom.id}))
            .await;
    }
    let (mut at_ann, mut at_bob) = (node.client(&ann).await, node.client(&bob).await);
    cluster.wait_secs(2).await;
    node.call(&ann, json!({"command": "unblockUser", "user": bob.id}))
        .await;
    cluster.wait_secs(2).await;
    for client in [&mut at_ann, &mut at_bob] {
        let all = client.all().await;
        assert!(all.iter().all(|(name, _)| name != "presence:online"), "{all:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn s_092_partners_hear_who_has_left_all_devices_and_is_back() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    one.direct(&ann, &bob).await;
    let mut partner = two.client(&bob).await;
    let (mut laptop, mut phone) = (one.client(&ann).await, two.client(&ann).await);
    cluster.wait_secs(2).await;
    partner.hears("presence:online").await;
    laptop.ask("heartbeat", json!({"active": false})).await;
    cluster.wait_secs(2).await;
    partner.hears_nothing().await;
    for away in [true, false] {
        phone.ask("heartbeat", json!({"active": !away})).await;
        cluster.wait_secs(2).await;
        let heard = partner.hears("presence:away").await;
        assert_eq!((&heard["userId"], &heard["away"]), (&json!(ann.id), &json!(away)));
    }
    phone.ask("heartbeat", json!({"active": false})).await;
    phone.ask("heartbeat", json!({"active": true})).await;
    cluster.wait_secs(2).await;
    // Perhaps told of both, and in any case how it ended.
    let told = partner.all().await;
    assert!(told.len() <= 2, "{told:?}");
    assert_eq!(told.last().map(|(_, data)| &data["away"]), Some(&json!(false)));
    laptop.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn s_074_s_075_people_who_watch_a_room_are_counted_over_all_nodes_and_once() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let online = async |expected: u64| {
        for node in [&one, &two] {
            let room = node
                .call(&bob, json!({"command": "getRoom", "name": "tech"}))
                .await;
            assert_eq!(room["onlineCount"], json!(expected));
            let rooms = node
                .call(&bob, json!({"command": "listRooms", "limit": 100}))
                .await;
            let counts = rooms["items"].as_array().unwrap().iter();
            let sum: u64 = counts.map(|room| room["onlineCount"].as_u64().unwrap()).sum();
            assert_eq!(sum, expected, "nobody watches another");
        }
    };
    online(0).await;
    let mut devices = [
        one.client(&ann).await,
        one.client(&ann).await,
        two.client(&ann).await,
        two.client(&bob).await,
    ];
    for device in &mut devices {
        device.ask("join-room", json!({"roomName": "tech"})).await;
    }
    cluster.wait_secs(6).await;
    online(2).await;
    let [laptop, phone, tablet, at_bob] = devices;
    for device in [laptop, phone, at_bob] {
        device.closes().await;
    }
    // I7.
    cluster.wait_secs(15).await;
    online(1).await;
    tablet.closes().await;
    cluster.wait_secs(15).await;
    online(0).await;
}

#[tokio::test(start_paused = true)]
async fn s_074_on_one_node_who_watches_a_room_is_counted_at_once() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let ann = node.person("ann").await;
    let mut devices = [node.client(&ann).await, node.client(&ann).await];
    for device in &mut devices {
        device.ask("join-room", json!({"roomName": "tech"})).await;
    }
    let room = node
        .call(&ann, json!({"command": "getRoom", "name": "tech"}))
        .await;
    assert_eq!(room["onlineCount"], 1);
}
