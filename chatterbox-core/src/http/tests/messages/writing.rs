use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{Chat, heard, names};
use crate::domain::entry::EntryKind;

const NOBODY: &str = "000000000000000000000001";

#[tokio::test]
async fn s_129_a_message_is_sent_once_and_shown_in_one_shape() {
    let chat = Chat::group(&["ann", "bob"], &[]).await;
    let phone = chat.device("bob").await;
    let body = json!({ "content": " hi \u{0}", "clientMessageId": "k1", "mentions": [chat.person("bob")] });
    let first = chat.sends("ann", body.clone()).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let message = first.body;
    let seq = chat.head().await;
    assert_eq!(
        message,
        json!({
            "id": message["id"], "conversationId": chat.id, "seq": seq, "clientMessageId": "k1",
            "sender": { "id": chat.person("ann"), "username": "ann" }, "type": "text", "content": "hi",
            "attachments": [], "mentions": [chat.person("bob")], "reactions": [], "createdAt": message["createdAt"],
        })
    );
    // S-088: the same key, the same answer, and nothing is written.
    let again = chat.sends("ann", body).await;
    assert_eq!((again.status, &again.body), (200, &message));
    assert_eq!(chat.head().await, seq);
    // S-097: one event, the same object, with the number before.
    let mut events = heard(&phone);
    assert_eq!(names(&events), ["new-message"]);
    let mut event = events.remove(0).1;
    assert_eq!(event["prev"], json!(seq.0 - 1));
    event.as_object_mut().unwrap().remove("prev");
    assert_eq!(event, message);
    // The page and the message itself.
    assert_eq!(
        chat.get("bob", "/messages?limit=1").await.body["items"],
        json!([message])
    );
    let path = format!("/messages/{}", message["id"].as_str().unwrap());
    assert_eq!(chat.get("bob", &path).await.body, message);
}

#[tokio::test]
async fn s_098_a_room_hears_room_message_however_it_was_sent() {
    let chat = Chat::room(&["ann", "bob"], &[]).await;
    let phone = chat.device("bob").await;
    assert_eq!(chat.says("ann", "by id").await["roomName"], "tea");
    let send = json!({ "command": "sendRoomMessage", "roomName": "tea", "content": "by name" });
    chat.does("ann", send).await.unwrap();
    let events = heard(&phone);
    assert_eq!(names(&events), ["room-message", "room-message"]);
    assert!(events.iter().all(|(_, event)| event["roomName"] == "tea"));
}

#[tokio::test]
async fn s_129_the_header_is_another_name_for_the_key() {
    let chat = Chat::group(&["ann"], &[]).await;
    let path = format!("/api/conversations/{}/messages", chat.id);
    let ask = |body: Value| {
        chat.world
            .ask(Method::POST, &path)
            .token(&chat.people["ann"].token)
            .json(&body)
    };
    let first = ask(json!({ "content": "a" }))
        .header("idempotency-key", "k")
        .send()
        .await;
    let again = ask(json!({ "content": "a", "clientMessageId": "k" }))
        .send()
        .await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.body["id"], again.body["id"]);
    let both = ask(json!({ "content": "a", "clientMessageId": "k" })).header("idempotency-key", "k");
    assert_eq!(both.send().await.status, 200);
    let head = chat.head().await;
    for (headers, key, field) in [
        (&["k"][..], Some("other"), "clientMessageId"),
        (&["k", "k"], None, "Idempotency-Key"),
        (&["\u{e9}"], None, "Idempotency-Key"),
        (&[&"x".repeat(65)], None, "clientMessageId"),
    ] {
        let mut asked = ask(json!({ "content": "a", "clientMessageId": key }));
        for header in headers {
            asked = asked.header("idempotency-key", header);
        }
        let answer = asked.send().await;
        assert_eq!(
            (answer.refusal(), answer.fields()),
            ((400, "VALIDATION"), vec![field]),
            "{headers:?}"
        );
    }
    assert_eq!(chat.head().await, head);
}

#[tokio::test]
async fn edge_7_a_retry_is_answered_as_the_first_time_whatever_came_between() {
    for (what, command) in [
        (
            "removal",
            Some(json!({ "command": "removeMember", "userId": "BOB" })),
        ),
        ("ban", Some(json!({ "command": "banMember", "userId": "BOB" }))),
        (
            "deletion",
            Some(json!({ "command": "deleteMessage", "messageId": "MESSAGE" })),
        ),
        ("closing", None),
    ] {
        let chat = Chat::group(&["ann", "bob", "cid"], &[]).await;
        let body = json!({ "content": "a", "clientMessageId": "k", "mentions": [chat.person("cid")] });
        let first = chat.sends("bob", body.clone()).await;
        let id = first.body["id"].clone();
        if let Some(mut command) = command {
            command["conversationId"] = json!(chat.id);
            for value in command.as_object_mut().unwrap().values_mut() {
                match value.as_str() {
                    Some("BOB") => *value = json!(chat.person("bob")),
                    Some("MESSAGE") => *value = id.clone(),
                    _ => {}
                }
            }
            chat.does("ann", command).await.unwrap();
        } else {
            let closing = json!({ "command": "closeConversation", "conversationId": chat.id });
            chat.does("ann", closing).await.unwrap();
        }
        let head = chat.head().await;
        // Members whom this node believed in are asked about again.
        let again = chat.sends("bob", body.clone()).await;
        assert_eq!(
            (again.status, &again.body["id"], &again.body["seq"]),
            (200, &id, &first.body["seq"]),
            "{what}"
        );
        assert_eq!(chat.head().await, head, "{what}");
        // Under another key it is a message of its own, and refused where it must be.
        let other = chat
            .sends("bob", json!({ "content": "a", "clientMessageId": "l" }))
            .await;
        let expected = match what {
            "deletion" => 201,
            "closing" => 410,
            _ => 404,
        };
        assert_eq!(other.status, expected, "{what} {}", other.body);
    }
}

#[tokio::test]
async fn edge_8_a_key_belongs_to_one_sender_in_one_conversation() {
    let mut chat = Chat::group(&["ann", "bob"], &[]).await;
    let body = json!({ "content": "a", "clientMessageId": "k" });
    let first = chat.sends("ann", body.clone()).await;
    assert_eq!(first.status, 201);
    assert_eq!(
        chat.sends("bob", body.clone()).await.status,
        201,
        "another sender"
    );
    let before = chat.snapshot().await;
    for other in [
        json!({ "content": "b", "clientMessageId": "k" }),
        json!({ "content": "a", "clientMessageId": "k", "replyTo": first.body["id"] }),
        json!({ "content": "a", "clientMessageId": "k", "mentions": [chat.person("bob")] }),
    ] {
        assert_eq!(chat.sends("ann", other).await.refusal(), (409, "CONFLICT"));
    }
    chat.unchanged(&before).await;
    chat.id = chat.open_direct("ann", "bob").await;
    assert_eq!(chat.sends("ann", body).await.status, 201, "another conversation");
}

#[tokio::test]
async fn edge_21_what_a_message_may_say() {
    let chat = Chat::group(&["ann"], &[]).await;
    let marks = |count: usize| format!("a{}", "\u{301}".repeat(count));
    for (content, stored) in [
        ("hi".to_owned(), Some("hi".to_owned())),
        ("\u{202e}abc".to_owned(), Some("\u{202e}abc".to_owned())),
        ("a\u{0}b\r\n\tc".to_owned(), Some("ab\n\tc".to_owned())),
        ("😀".repeat(4000), Some("😀".repeat(4000))),
        (format!(" {} ", "x".repeat(4000)), Some("x".repeat(4000))),
        (marks(3999), Some(marks(3999))),
        ("😀".repeat(4001), None),
        (marks(10_000), None),
        (String::new(), None),
        (" \n\t ".to_owned(), None),
        ("\u{0}".to_owned(), None),
        ("\u{200b}\u{feff}".to_owned(), None),
    ] {
        let before = chat.head().await;
        let answer = chat.sends("ann", json!({ "content": content })).await;
        if let Some(stored) = stored {
            assert_eq!((answer.status, &answer.body["content"]), (201, &json!(stored)));
        } else {
            assert_eq!(
                (answer.refusal(), answer.fields()),
                ((400, "VALIDATION"), vec!["content"])
            );
            assert_eq!(chat.head().await, before);
        }
    }
    let before = chat.snapshot().await;
    let path = format!("/api/conversations/{}/messages", chat.id);
    for raw in [
        "{\"content\":\"\\ud800\"}",
        "{\"content\":\"a\",\"content\":\"b\"}",
        "[\"a\"]",
        "{",
    ] {
        let answer = chat
            .world
            .post_raw(&path, raw)
            .token(&chat.people["ann"].token)
            .send()
            .await;
        assert_eq!(answer.refusal(), (400, "VALIDATION"), "{raw}");
    }
    for (body, field) in [
        (json!({}), "content"),
        (json!({ "content": null }), "content"),
        (json!({ "content": {"$gt": ""} }), "content"),
        (json!({ "content": ["a"] }), "content"),
        (
            json!({ "content": "a", "clientMessageId": "" }),
            "clientMessageId",
        ),
        (
            json!({ "content": "a", "clientMessageId": "a\nb" }),
            "clientMessageId",
        ),
        (json!({ "content": "a", "clientMessageId": 1 }), "clientMessageId"),
        (json!({ "content": "a", "attachments": [NOBODY] }), "attachments"),
        (json!({ "content": "a", "attachments": {} }), "attachments"),
        (
            json!({ "content": "a", "mentions": vec![NOBODY; 51] }),
            "mentions",
        ),
        (json!({ "content": "a", "mentions": [1] }), "mentions"),
        (json!({ "content": "a", "mentions": [NOBODY] }), "mentions"),
        (json!({ "content": "a", "replyTo": 1 }), "replyTo"),
    ] {
        let answer = chat.sends("ann", body.clone()).await;
        assert_eq!(
            (answer.refusal(), answer.fields()),
            ((400, "VALIDATION"), vec![field]),
            "{body}"
        );
    }
    for body in [
        json!({ "content": "a", "replyTo": "x" }),
        json!({ "content": "a", "mentions": ["x"] }),
    ] {
        assert_eq!(chat.sends("ann", body).await.refusal(), (400, "INVALID_ID"));
    }
    chat.unchanged(&before).await;
}

#[tokio::test]
async fn s_088_who_may_write() {
    let chat = Chat::group(&["ann", "bob"], &["eve"]).await;
    let remove =
        json!({ "command": "removeMember", "conversationId": chat.id, "userId": chat.person("bob") });
    chat.says("bob", "still here").await;
    chat.does("ann", remove).await.unwrap();
    let before = chat.snapshot().await;
    for who in ["bob", "eve"] {
        assert_eq!(
            chat.sends(who, json!({ "content": "a" })).await.refusal(),
            (404, "NOT_FOUND"),
            "{who}"
        );
    }
    for (id, expected) in [
        (NOBODY, (404, "NOT_FOUND")),
        ("x", (400, "INVALID_ID")),
        ("%ff", (400, "INVALID_ID")),
    ] {
        let path = format!("/api/conversations/{id}/messages");
        let answer = chat
            .ask_at(Method::POST, "ann", &path, Some(json!({ "content": "a" })))
            .await;
        assert_eq!(answer.refusal(), expected, "{id}");
    }
    chat.unchanged(&before).await;
    let nobody = chat.world.post(
        &format!("/api/conversations/{}/messages", chat.id),
        &json!({ "content": "a" }),
    );
    assert_eq!(nobody.send().await.refusal(), (401, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn s_086_a_room_is_joined_before_writing() {
    let chat = Chat::room(&["ann", "bob"], &["eve"]).await;
    let by_name = || json!({ "command": "sendRoomMessage", "roomName": "tea", "content": "a" });
    assert_eq!(
        chat.does("eve", by_name()).await.unwrap_err().code(),
        "NOT_A_MEMBER"
    );
    assert_eq!(
        chat.sends("eve", json!({ "content": "a" })).await.refusal(),
        (404, "NOT_FOUND")
    );
    chat.says("bob", "a").await;
    let leave = json!({ "command": "leaveRoom", "roomName": "tea" });
    chat.does("bob", leave).await.unwrap();
    assert_eq!(
        chat.does("bob", by_name()).await.unwrap_err().code(),
        "NOT_A_MEMBER"
    );
    assert_eq!(
        chat.sends("bob", json!({ "content": "a" })).await.refusal(),
        (404, "NOT_FOUND")
    );
}

#[tokio::test]
async fn s_135_between_two_of_whom_one_blocks_the_other_nothing_new_is_said() {
    let chat = Chat::direct("ann", "bob", &[]).await;
    let message = chat.says("bob", "before").await;
    let path = format!("/messages/{}", message["id"].as_str().unwrap());
    for (blocker, blocked) in [("ann", "bob"), ("bob", "ann")] {
        chat.world
            .blocks(chat.person(blocker), chat.person(blocked))
            .await;
        let before = chat.snapshot().await;
        for who in ["ann", "bob"] {
            let sent = chat.sends(who, json!({ "content": "a" })).await;
            assert_eq!(sent.refusal(), (403, "BLOCKED"), "{who}");
            let reacted = chat
                .ask(Method::PUT, who, &format!("{path}/reactions/%F0%9F%91%8D"), None)
                .await;
            assert_eq!(reacted.refusal(), (403, "BLOCKED"), "{who}");
        }
        let edited = chat
            .ask(Method::PATCH, "bob", &path, Some(json!({ "content": "b" })))
            .await;
        assert_eq!(edited.refusal(), (403, "BLOCKED"));
        chat.unchanged(&before).await;
        assert_eq!(chat.reads("ann").await, ["before"], "what was said stays");
        let blocks = &chat.world.stores.blocks;
        blocks
            .unblock(chat.person(blocker), chat.person(blocked))
            .await
            .unwrap();
    }
    chat.says("ann", "again").await;
}

#[tokio::test]
async fn s_003_notes_to_self() {
    let mut chat = Chat::direct("ann", "bob", &[]).await;
    chat.id = chat.open_direct("ann", "ann").await;
    chat.says("ann", "milk").await;
    assert_eq!(chat.reads("ann").await, ["milk"]);
    assert_eq!(chat.get("bob", "/messages").await.refusal(), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn s_138_an_answer_is_to_a_message_of_the_conversation_that_its_author_sees() {
    let chat = Chat::group_with(&["ann", "bob"], &["cid"], json!({ "history": "since-join" })).await;
    let early = chat.says("ann", "early").await;
    let add = json!({ "command": "addMembers", "conversationId": chat.id, "userId": chat.person("cid") });
    chat.does("ann", add).await.unwrap();
    let late = chat.says("ann", "late").await;
    let join = chat
        .log()
        .await
        .into_iter()
        .find(|entry| matches!(entry.kind, EntryKind::Join(_)));
    let answer = chat
        .sends("cid", json!({ "content": "a", "replyTo": late["id"] }))
        .await;
    assert_eq!((answer.status, &answer.body["replyTo"]), (201, &late["id"]));
    let before = chat.snapshot().await;
    for (who, to) in [
        ("cid", early["id"].clone()),
        ("bob", json!(join.unwrap().id)),
        ("bob", json!(NOBODY)),
    ] {
        let answer = chat.sends(who, json!({ "content": "a", "replyTo": to })).await;
        assert_eq!(answer.refusal(), (404, "NOT_FOUND"), "{who} {to}");
    }
    let mut other = chat;
    let group = other.id;
    other.id = other.open_direct("ann", "bob").await;
    let foreign = other
        .sends("ann", json!({ "content": "a", "replyTo": late["id"] }))
        .await;
    assert_eq!(foreign.refusal(), (404, "NOT_FOUND"));
    other.id = group;
    other.unchanged(&before).await;
}

#[tokio::test(start_paused = true)]
async fn a_removal_elsewhere_is_believed_in_the_lane_and_soon_in_rooms() {
    // A membership that was read is believed for a second; in groups the log decides all the same.
    let chat = Chat::group(&["ann", "bob"], &[]).await;
    chat.says("bob", "warm").await;
    let remove =
        json!({ "command": "removeMember", "conversationId": chat.id, "userId": chat.person("bob") });
    chat.does("ann", remove).await.unwrap();
    assert_eq!(
        chat.sends("bob", json!({ "content": "a" })).await.refusal(),
        (404, "NOT_FOUND")
    );
    let room = Chat::room(&["ann", "bob"], &[]).await;
    room.says("bob", "warm").await;
    room.world
        .stores
        .conversations
        .leave_room(room.id, room.person("bob"))
        .await
        .unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(
        room.sends("bob", json!({ "content": "a" })).await.refusal(),
        (404, "NOT_FOUND")
    );
}

#[tokio::test]
async fn s_142_messages_and_their_changes_share_one_bucket_and_a_retry_is_answered_all_the_same() {
    let messages = Some(crate::ports::rate_limit::Quota {
        capacity: 4,
        refill_per_sec: 0.001,
    });
    let options = super::Options {
        messages,
        ..super::Options::default()
    };
    let mut chat = Chat::of(&["ann", "bob"], options).await;
    chat.id = chat.open_direct("ann", "bob").await;
    let body = json!({ "content": "a", "clientMessageId": "k" });
    let first = chat.sends("ann", body.clone()).await;
    let path = format!("/messages/{}", first.body["id"].as_str().unwrap());
    let edit = Some(json!({ "content": "b" }));
    assert_eq!(
        chat.ask(Method::PATCH, "ann", &path, edit.clone()).await.status,
        200
    );
    let thumb = format!("{path}/reactions/%F0%9F%91%8D");
    assert_eq!(chat.ask(Method::PUT, "ann", &thumb, None).await.status, 200);
    let by_socket = json!({ "command": "sendMessage", "conversationId": chat.id, "content": "c" });
    chat.does("ann", by_socket.clone()).await.unwrap();
    let before = chat.snapshot().await;
    for (method, path, body) in [
        (
            Method::POST,
            "/messages".to_owned(),
            Some(json!({ "content": "d" })),
        ),
        (
            Method::POST,
            "/messages".to_owned(),
            Some(json!({ "content": "d", "clientMessageId": "l" })),
        ),
        (Method::PATCH, path.clone(), edit),
        (Method::DELETE, path, None),
        (Method::PUT, thumb.clone(), None),
        (Method::DELETE, thumb, None),
    ] {
        let answer = chat.ask(method.clone(), "ann", &path, body).await;
        assert_eq!(answer.refusal(), (429, "RATE_LIMITED"), "{method}");
        assert_ne!(answer.header("retry-after"), "");
    }
    assert_eq!(
        chat.does("ann", by_socket).await.unwrap_err().code(),
        "RATE_LIMITED"
    );
    let again = chat.sends("ann", body).await;
    assert_eq!((again.status, &again.body["id"]), (200, &first.body["id"]));
    chat.unchanged(&before).await;
    chat.says("bob", "a bucket of his own").await;
}
