use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::town::{Person, parsed, people};
use crate::clock::Timestamp;
use crate::domain::change::{Delete, Edit};
use crate::domain::entry::{EntryKind, Seq};
use crate::http::tests::world::{World, text};
use crate::ids::{ConversationId, EntryId};
use crate::log::Proposal;
use crate::ports::storage::HiddenMessage;
use crate::testkit::samples::new_group;

/// Names of groups in the order of the list, with the number of unread messages.
async fn listed(person: &Person<'_>, query: &str) -> String {
    let answer = person.get(&format!("/api/conversations?{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    names(&answer.body)
}

fn names(page: &Value) -> String {
    let items = page["items"].as_array().unwrap();
    let line = |item: &Value| {
        let name = item["name"]
            .as_str()
            .or_else(|| item["roomName"].as_str())
            .unwrap_or("direct");
        format!("{name}:{}", item["unreadCount"])
    };
    items.iter().map(line).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn s_062_the_list_is_in_order_of_activity_with_last_message_and_unread_count() {
    let world = World::new();
    let [ann, bob] = people(&world).await;
    let mut groups = Vec::new();
    for name in ["one", "two", "three"] {
        groups.push(ann.makes(name, &[&bob]).await);
        world.clock.advance(std::time::Duration::from_secs(1));
    }
    let direct = bob.opens(&ann).await;
    world.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(listed(&ann, "").await, "direct:0 three:0 two:0 one:0");
    for text in ["hi", "there"] {
        bob.says(&groups[0], text).await;
    }
    world.clock.advance(std::time::Duration::from_secs(1));
    ann.says(&groups[1], "mine").await;
    assert_eq!(listed(&ann, "").await, "two:0 one:2 direct:0 three:0");
    assert_eq!(listed(&bob, "").await, "two:1 one:0 direct:0 three:0");
    assert_eq!(listed(&ann, "type=group").await, "two:0 one:2 three:0");
    assert_eq!(listed(&ann, "type=direct").await, "direct:0");
    assert_eq!(listed(&ann, "type=room").await, "");
    assert_eq!(listed(&ann, "limit=2&page=2").await, "direct:0 three:0");

    let page = ann.get("/api/conversations").await.body;
    let one = &page["items"][1];
    assert_eq!(one["lastMessage"]["content"], "there");
    assert_eq!(one["lastMessage"]["sender"]["username"], "bob");
    assert_eq!((&one["headSeq"], &one["readSeq"]), (&json!(2), &json!(0)));
    assert_eq!(
        (&one["myRole"], &one["participantCount"]),
        (&json!("owner"), &json!(2))
    );
    assert_eq!(one["participants"].as_array().unwrap().len(), 2);
    assert_eq!(one["notifications"], json!({ "level": "all", "muteUntil": null }));
    assert_eq!(page["items"][3]["lastMessage"], Value::Null);
    assert_eq!(ann.sees(&direct).await.body["type"], "direct");
}

#[tokio::test]
async fn s_062_the_last_message_is_shown_as_it_stands_for_the_caller() {
    let world = World::new();
    let [ann, bob] = people(&world).await;
    let id = ann.makes("team", &[&bob]).await;
    bob.says(&id, "teh").await;
    let last = async |person: &Person<'_>| {
        person.get("/api/conversations").await.body["items"][0]["lastMessage"].clone()
    };
    let written = last(&ann).await;
    let message: EntryId = written["id"].as_str().unwrap().parse().unwrap();
    let entry = world.stores.log.get(parsed(&id), message).await.unwrap().unwrap();
    let submit = async |kind: EntryKind| {
        let proposal = Proposal::new(EntryId::new(&*world.ids), bob.id, move |_| Ok(kind.clone()));
        world.log.submit(parsed(&id), proposal).unwrap().await.unwrap();
    };
    submit(EntryKind::Edit(Edit {
        message,
        message_seq: entry.seq,
        sent_at: entry.created_at,
        reply_to: None,
        content: "the".to_owned(),
        mentions: Vec::new(),
        redacted_at: None,
    }))
    .await;
    assert_eq!(last(&ann).await["content"], "the");
    assert!(last(&ann).await["editedAt"].is_string());
    let hidden = HiddenMessage {
        conversation: parsed(&id),
        seq: entry.seq,
        message,
        at: Timestamp::EPOCH,
    };
    world.stores.messages.hide(ann.id, hidden, 10).await.unwrap();
    assert_eq!(
        last(&ann).await,
        Value::Null,
        "deleted by the caller for themselves"
    );
    assert_eq!(last(&bob).await["content"], "the");
    submit(EntryKind::Delete(Delete {
        message,
        message_seq: entry.seq,
        author: bob.id,
    }))
    .await;
    assert_eq!(last(&bob).await["content"], "");
    assert_eq!(
        listed(&ann, "").await,
        "team:0",
        "a deleted message is not unread"
    );
}

#[tokio::test]
async fn s_062_and_edge_22_pages_neither_repeat_nor_skip_what_stays_where_it_is() {
    let world = World::new();
    let [ann, bob] = people(&world).await;
    let mut groups = Vec::new();
    for number in 0..7 {
        groups.push(ann.makes(&format!("g{number}"), &[&bob]).await);
        // Two at a time are of the same moment.
        if number % 2 == 1 {
            world.clock.advance(std::time::Duration::from_secs(1));
        }
    }
    let first = ann.get("/api/conversations?limit=3").await.body;
    assert_eq!(names(&first), "g6:0 g5:0 g4:0");
    assert_eq!((&first["hasMore"], &first["limit"]), (&json!(true), &json!(3)));
    // One that was to come moves to the front: its event tells.
    world.clock.advance(std::time::Duration::from_secs(9));
    bob.says(&groups[2], "news").await;
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = ann
        .get(&format!("/api/conversations?limit=3&cursor={cursor}"))
        .await
        .body;
    assert_eq!(names(&second), "g3:0 g1:0 g0:0");
    assert_eq!(
        (&second["hasMore"], &second["nextCursor"]),
        (&json!(false), &Value::Null)
    );

    let other_list = format!("/api/conversations?type=group&cursor={cursor}");
    for (person, path) in [
        (&ann, other_list.as_str()),
        (&bob, &format!("/api/conversations?cursor={cursor}")),
        (&ann, "/api/conversations?cursor=AAAA"),
        (&ann, "/api/conversations?cursor="),
    ] {
        assert_eq!(
            person.get(path).await.refusal(),
            (400, "INVALID_CURSOR"),
            "{path}"
        );
    }
    for query in [
        "limit=0",
        "limit=-1",
        "limit=abc",
        "type=all",
        "hidden=1",
        "page=0",
        "page=1&cursor=x",
    ] {
        let answer = ann.get(&format!("/api/conversations?{query}")).await;
        assert_eq!(answer.refusal(), (400, "VALIDATION"), "{query}");
    }
    assert_eq!(
        ann.get("/api/conversations?limit=1000000000").await.body["limit"],
        100
    );
}

#[tokio::test]
async fn s_065_participants_come_in_pages() {
    let world = World::new();
    let [ann, bob, cid, dan, eve] = people(&world).await;
    let id = ann.makes("team", &[&bob, &cid, &dan]).await;
    let path = format!("/api/conversations/{id}/participants");
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = bob.get(&format!("{path}?limit=3{cursor}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        all.extend(
            page.body["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["username"].clone()),
        );
        match page.body["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(all, ["ann", "bob", "cid", "dan"]);
    let other = eve.makes("other", &[]).await;
    let foreign = format!("/api/conversations/{other}/participants?limit=3{cursor}");
    assert_eq!(eve.get(&foreign).await.refusal(), (400, "INVALID_CURSOR"));
    assert_eq!(eve.get(&path).await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(bob.sees(&id).await.body["nextParticipantsCursor"], Value::Null);
}

#[tokio::test]
async fn s_122_which_messages_notify_is_each_members_own_affair() {
    let world = World::new();
    let [ann, bob] = people(&world).await;
    let id = ann.makes("team", &[&bob]).await;
    let path = format!("/api/conversations/{id}/notifications");
    let device = ann.device(&[]).await;
    let wanted = json!({ "level": "mentions", "muteUntil": "2030-01-01T00:00:00.000Z" });
    assert_eq!(ann.put(&path, &wanted).await.body, wanted);
    assert_eq!(ann.sees(&id).await.body["notifications"], wanted);
    assert_eq!(bob.sees(&id).await.body["notifications"]["level"], "all");
    let heard = device.heard();
    assert_eq!(heard[0].0, "conversation-notifications");
    assert_eq!(heard[0].1["level"], "mentions");
    for body in [
        json!({}),
        json!({ "level": "loud" }),
        json!({ "level": "all", "muteUntil": "tomorrow" }),
        json!({ "level": "all", "muteUntil": 5 }),
    ] {
        assert_eq!(
            ann.put(&path, &body).await.refusal(),
            (400, "VALIDATION"),
            "{body}"
        );
    }
    assert_eq!(
        ann.put(&path, &json!({ "level": "all" })).await.body["muteUntil"],
        Value::Null
    );
}

#[tokio::test]
async fn s_062_all_conversations_are_listed_however_many_there_are() {
    let world = World::new();
    let [ann] = people(&world).await;
    let mut expected = BTreeSet::new();
    for _ in 0..2_345 {
        let group = new_group(&*world.ids, ann.id);
        expected.insert(group.id.to_string());
        world.stores.conversations.create_group(group).await.unwrap();
    }
    let (mut found, mut query) = (BTreeSet::new(), "limit=100".to_owned());
    loop {
        let page = ann.get(&format!("/api/conversations?{query}")).await.body;
        for item in page["items"].as_array().unwrap() {
            assert!(
                found.insert(item["id"].as_str().unwrap().to_owned()),
                "listed twice"
            );
        }
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        query = format!("limit=100&cursor={cursor}");
    }
    assert_eq!(found, expected);
    let me = ann.digest(None).await;
    assert_eq!(
        me.conversations.len(),
        expected.len(),
        "one that is missing is gone (S-109)"
    );
}

#[tokio::test]
async fn s_109_all_deletions_for_oneself_are_listed_if_need_be_by_the_next_digest() {
    let world = World::new();
    let [ann] = people(&world).await;
    let since = world.now();
    let group = ConversationId::new(&*world.ids);
    let mut expected = BTreeSet::new();
    for number in 1..=5_432 {
        let hidden = HiddenMessage {
            conversation: group,
            seq: Seq(number),
            message: EntryId::new(&*world.ids),
            at: since.plus(Duration::from_secs(2 * u64::from(number))),
        };
        expected.insert(hidden.message);
        world.stores.messages.hide(ann.id, hidden, 10_000).await.unwrap();
    }
    world.clock.advance(Duration::from_hours(24));
    let first = ann.digest(Some(since)).await;
    assert!(first.at < world.now());
    let second = ann.digest(Some(first.at)).await;
    assert_eq!(second.at, world.now());
    let listed = [first, second].map(|digest| digest.deleted_for_me).concat();
    assert!(listed.len() < expected.len() + 100, "few of them twice");
    let listed: BTreeSet<EntryId> = listed.iter().map(|one| one.message_id).collect();
    assert_eq!(listed, expected);
}

/// SPEC.md section 1, Pagination: `page` is for older clients, in every list.
#[tokio::test]
async fn every_list_is_also_read_by_page_numbers() {
    let world = World::new();
    let [ann, bob, cid, dan] = people(&world).await;
    let id = ann.makes("team", &[&bob, &cid, &dan]).await;
    let path = format!("/api/conversations/{id}");
    let mut messages: Vec<String> = Vec::new();
    for answered in [None, None, Some(0), Some(0), Some(0)] {
        let answered = answered.map(|index: usize| messages[index].clone());
        let body = json!({ "content": "tea", "replyTo": answered });
        let sent = ann.post(&format!("{path}/messages"), &body).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        messages.push(text(&sent.body, "id"));
    }
    for reader in [&bob, &cid, &dan] {
        assert_eq!(reader.post(&format!("{path}/read"), &json!({})).await.status, 200);
    }
    for name in ["parlour", "library"] {
        let made = ann.post("/api/rooms", &json!({ "name": name })).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    for whom in [&bob, &cid, &dan] {
        world.blocks(ann.id, whom.id).await;
    }
    for list in [
        "/api/conversations?".to_owned(),
        format!("{path}/participants?"),
        format!("{path}/messages?"),
        format!("{path}/messages/{}/thread?", messages[0]),
        format!("{path}/messages/{}/readers?", messages[0]),
        "/api/rooms?".to_owned(),
        "/api/rooms/parlour/messages?".to_owned(),
        "/api/users?q=b&".to_owned(),
        "/api/users/blocked?".to_owned(),
        "/api/search/messages?q=tea&".to_owned(),
    ] {
        let page = async |query: &str| {
            let page = ann.get(&format!("{list}limit=1&{query}")).await;
            assert_eq!(page.status, 200, "{list}{query}: {page:?}");
            page.body
        };
        let first = page("").await;
        assert_eq!(page("page=1").await["items"], first["items"], "{list}");
        if let Some(cursor) = first["nextCursor"].as_str() {
            let second = page(&format!("cursor={cursor}")).await;
            let numbered = page("page=2").await;
            assert_eq!(numbered["items"], second["items"], "{list}");
            assert_ne!(numbered["items"], first["items"], "{list}");
            assert_eq!(numbered["hasMore"], second["hasMore"], "{list}");
            let both = ann.get(&format!("{list}page=2&cursor={cursor}")).await;
            assert_eq!(both.refusal(), (400, "VALIDATION"), "{list}");
        }
        let beyond = page("page=20").await;
        assert_eq!(
            (&beyond["items"], &beyond["hasMore"]),
            (&json!([]), &json!(false)),
            "{list}"
        );
        for number in ["0", "21", "x"] {
            let refused = ann.get(&format!("{list}page={number}")).await;
            assert_eq!(refused.refusal(), (400, "VALIDATION"), "{list} {number}");
        }
    }
}
