//! Edge cases of SPEC.md section 10, as sockets meet them.

use std::time::Duration;

use serde_json::json;

use super::world::{Client, Cluster, settle};
use crate::app::{Call, Command};
use crate::domain::change::Leave;
use crate::domain::entry::{Entry, EntryKind, Seq};
use crate::engine::CloseReason;
use crate::ids::ConversationId;
use crate::ports::rate_limit::Quota;

fn end_of(user: crate::ids::UserId, log: &[Entry]) -> Seq {
    let left = |kind: &EntryKind| matches!(kind, EntryKind::Leave(Leave { user: gone, .. }) if *gone == user);
    let entry = log.iter().find(|entry| left(&entry.kind));
    entry.expect("the removal is in the log").seq
}

/// S-088, I5: a send that meets the removal of its sender on another node stands before it in the log or is refused.
#[tokio::test(start_paused = true)]
async fn edge_3_a_send_that_races_its_senders_removal_is_before_it_or_refused() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node().await, cluster.node().await);
    let [ann, bob] = one.people(["ann", "bob"]).await;
    let (mut stored, mut refused) = (0, 0);
    for steps in 0..40 {
        let group = one.group(&ann, &[&bob]).await;
        let id: ConversationId = group.parse().unwrap();
        let mut phone = two.client(&bob).await;
        let remove = json!({"command": "removeMember", "conversationId": group, "userId": bob.id});
        let remove: Command = serde_json::from_value(remove).unwrap();
        let call = Call::new(ann.actor(), remove);
        let stack = one.server.stack().clone();
        let removes = async move { stack.run(call).await.unwrap() };
        let send = json!({"conversationId": group, "content": "still here?"});
        // Each of them has a head start in half of the rounds.
        let (removal, sent) = if steps % 2 == 0 {
            let sent = phone.asks("send-message", &send);
            for _ in 0..steps / 2 {
                phone.turn_once().await;
            }
            (one.tasks.spawn(removes), sent)
        } else {
            let removal = one.tasks.spawn(removes);
            for _ in 0..steps / 2 {
                tokio::task::yield_now().await;
            }
            (removal, phone.asks("send-message", &send))
        };
        let ack = phone.answer_to(sent).await;
        removal.await.unwrap();
        one.says(&ann, &group, "among us").await;
        settle().await;

        let log = cluster.stores.log.read_after(id, Seq::ZERO, 100).await.unwrap();
        let end = end_of(bob.id, &log);
        let his: Vec<Seq> = log
            .iter()
            .filter(|entry| entry.kind.is_message() && entry.sender == bob.id)
            .map(|entry| entry.seq)
            .collect();
        if ack["ok"] == true {
            stored += 1;
            assert_eq!(json!(his), json!([ack["message"]["seq"]]), "after {steps} steps");
            assert!(his[0] < end, "after {steps} steps: {log:?}");
        } else {
            refused += 1;
            assert_eq!(ack["error"]["code"], "NOT_FOUND", "after {steps} steps");
            assert!(his.is_empty(), "refused, and stored all the same: {log:?}");
        }
        let heard = phone.all().await;
        let (last, data) = heard
            .iter()
            .rfind(|(_, data)| data["seq"].is_u64())
            .expect("he hears of his removal");
        assert_eq!(
            (last.as_str(), &data["seq"]),
            ("participant-removed", &json!(end))
        );
        phone.closes().await;
    }
    assert!(
        stored > 0 && refused > 0,
        "{stored} stored, {refused} refused: no race"
    );
}

/// S-091: too many ids are refused as a whole.
#[tokio::test(start_paused = true)]
async fn edge_12_ten_thousand_ids_in_mark_read_are_refused_and_move_nothing() {
    let cluster = Cluster::new();
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let group = node.group(&ann, &[&bob]).await;
    let first = node.says(&ann, &group, "one").await["message"]["id"].clone();
    node.says(&ann, &group, "two").await;
    let (mut phone, mut anns) = (node.client(&bob).await, node.client(&ann).await);
    let get = json!({"command": "getConversation", "conversationId": group});
    let before = node.call(&bob, get.clone()).await;
    for count in [501, 10_000] {
        let ids = vec![first.clone(); count];
        let marks = json!({"conversationId": group, "messageIds": ids});
        let ack = phone.ask("mark-read", marks).await;
        assert_eq!(ack["error"]["code"], "VALIDATION", "{count}");
        assert_eq!(node.call(&bob, get.clone()).await, before, "{count}");
    }
    anns.hears_nothing().await;
    let marks = json!({"conversationId": group, "messageIds": vec![first; 500]});
    let ack = phone.ask("mark-read", marks).await;
    assert_eq!((&ack["ok"], &ack["readSeq"]), (&json!(true), &json!(1)));
}

/// The rate is the user's, over all sockets, and so is the patience with those who don't mind it.
#[tokio::test(start_paused = true)]
async fn s_142_who_is_too_fast_over_several_sockets_is_closed_as_over_one() {
    let mut cluster = Cluster::new();
    cluster.message_quota = Some(Quota {
        capacity: 20,
        refill_per_sec: 10.0,
    });
    let node = cluster.node().await;
    let [ann, bob] = node.people(["ann", "bob"]).await;
    let group = node.group(&ann, &[&bob]).await;
    let send = json!({"conversationId": group, "content": "x"});
    let mut bobs = [node.client(&bob).await];
    let mut anns = Vec::new();
    for _ in 0..5 {
        anns.push(node.client(&ann).await);
    }
    let closed = |clients: &[Client]| {
        let reasons = clients.iter().filter_map(Client::close_reason);
        reasons.filter(|reason| *reason == CloseReason::Abuse).count()
    };
    // 40 messages a second of Ann, 8 on each socket; 18 of Bob, who is too fast as well, but not for long enough.
    for second in 0..20 {
        for (clients, each) in [(&mut anns[..], 8), (&mut bobs[..], 18)] {
            for client in clients {
                for _ in 0..each {
                    client.asks("send-message", &send);
                }
                client.turn().await;
            }
        }
        assert!(second > 2 || closed(&anns) == 0, "after {second} s");
        cluster.wait(Duration::from_secs(1)).await;
    }
    // What she has left is slow enough.
    assert_eq!((closed(&anns), closed(&bobs)), (3, 0));
}
