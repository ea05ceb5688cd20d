//! What becomes of a message, over both doors, on the durable store.

use std::time::Duration;

use chatterbox_tests::{Person, TestServer};
use serde_json::{Value, json};

/// A group of two, whom it was told to.
async fn group(ann: &mut Person, bob: &mut Person) -> Value {
    let bob_id = bob.rest.get("/api/auth/me").await.ok()["id"].clone();
    let new = json!({"name": "Team", "participantIds": [bob_id]});
    let made = ann.rest.post("/api/conversations/group", new).await.ok();
    for person in [ann, bob] {
        person.hears("conversation-created").await;
    }
    made["id"].clone()
}

#[tokio::test]
async fn messages_are_changed_by_socket_as_by_rest() {
    // S-088, S-091, S-097, S-108, S-129, S-130, S-131, S-132, S-133, S-138: same rules, same events.
    let server = TestServer::start().await;
    let mut ann = server.person("ann").await;
    let mut bob = server.person("bob").await;
    let mut eve = server.person("eve").await;
    let group = group(&mut ann, &mut bob).await;
    let send = json!({"conversationId": group, "content": "frist", "clientMessageId": "k"});
    let sent = ann.does("send-message", send.clone()).await;
    let again = ann.does("send-message", send).await;
    assert_eq!(
        (&sent["duplicate"], &again["duplicate"], &sent["message"]),
        (&json!(false), &json!(true), &again["message"])
    );
    let id = sent["message"]["id"].clone();
    for person in [&mut ann, &mut bob] {
        let heard = person.hears("new-message").await;
        assert_eq!(
            (&heard["id"], &heard["content"], &heard["prev"]),
            (&id, &json!("frist"), &json!(0))
        );
    }
    let about = |more: Value| {
        let mut payload = json!({"conversationId": group, "messageId": id});
        payload
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        payload
    };
    let edit = about(json!({"content": "first"}));
    assert_eq!(ann.does("edit-message", edit.clone()).await["seq"], 2);
    assert_eq!(
        ann.does("edit-message", edit.clone()).await["seq"],
        Value::Null,
        "so already"
    );
    assert_eq!(bob.hears("message-updated").await["message"]["content"], "first");
    assert_eq!(
        bob.does("add-reaction", about(json!({"emoji": "👍"}))).await["seq"],
        3
    );
    assert_eq!(ann.hears("reaction-added").await["emoji"], "👍");
    let read = bob
        .does("mark-read", json!({"conversationId": group, "messageIds": [id]}))
        .await;
    assert_eq!((&read["readSeq"], &read["unreadCount"]), (&json!(1), &json!(0)));
    assert_eq!(ann.hears("messages-read").await["readSeq"], 1);

    for (event, payload, code) in [
        ("edit-message", edit, "FORBIDDEN"),
        ("delete-message", about(json!({})), "FORBIDDEN"),
        (
            "delete-message",
            about(json!({"scope": "everyone"})),
            "VALIDATION",
        ),
        ("add-reaction", about(json!({"emoji": "thumb"})), "VALIDATION"),
        (
            "add-reaction",
            about(json!({"messageId": "x", "emoji": "👍"})),
            "INVALID_ID",
        ),
        (
            "add-reaction",
            about(json!({"messageId": group, "emoji": "👍"})),
            "NOT_FOUND",
        ),
        ("send-message", json!({"conversationId": group}), "VALIDATION"),
        (
            "send-message",
            json!({"conversationId": group, "content": " "}),
            "VALIDATION",
        ),
        (
            "send-message",
            json!({"conversationId": "x", "content": "a"}),
            "INVALID_ID",
        ),
        (
            "send-message",
            json!({"conversationId": id, "content": "a"}),
            "NOT_FOUND",
        ),
        (
            "send-message",
            json!({"conversationId": group, "content": "a", "mentions": vec![&id; 51]}),
            "VALIDATION",
        ),
        (
            "mark-read",
            json!({"conversationId": group, "messageIds": vec![&id; 10_000]}),
            "VALIDATION",
        ),
        (
            "mark-read",
            json!({"conversationId": group, "upToMessageId": group}),
            "VALIDATION",
        ),
    ] {
        assert_eq!(
            bob.is_refused(event, payload.clone()).await,
            code,
            "{event} {payload:.100}"
        );
        let to_strangers = match code {
            "FORBIDDEN" => "NOT_FOUND",
            other => other,
        };
        if payload["messageId"] == id {
            assert_eq!(eve.is_refused(event, payload).await, to_strangers, "{event}");
        }
    }

    // By REST, the same events.
    let path = format!("/api/conversations/{}/messages", group.as_str().unwrap());
    let answer = json!({"content": "tea, then", "replyTo": id});
    let answer = bob.rest.post(&path, answer).await.ok();
    assert_eq!(ann.hears("new-message").await["replyTo"], id);
    let one = format!("{path}/{}", id.as_str().unwrap());
    let thread = ann.rest.get(&format!("{one}/thread")).await.ok();
    assert_eq!(
        (&thread["message"]["content"], &thread["items"]),
        (&json!("first"), &json!([answer]))
    );
    ann.rest.delete(&one).await;
    let deleted = bob.hears("message-deleted").await;
    assert_eq!((&deleted["message"]["id"], &deleted["seq"]), (&id, &json!(5)));
    let page = bob.rest.get(&path).await.ok();
    let tombstone = &page["items"][0];
    assert_eq!(
        (&tombstone["content"], &tombstone["reactions"]),
        (&json!(""), &json!([]))
    );
    assert_eq!(page["items"][1], answer);

    // Found soon after it was written; what was deleted, never.
    let found = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let hits = ann.rest.get("/api/search/messages?q=the+te").await.ok();
            assert_eq!(hits["items"], json!([]), "words that are not in it");
            let hits = ann.rest.get("/api/search/messages?q=then+te").await.ok();
            if hits["items"] != json!([]) {
                return hits;
            }
            tokio::task::yield_now().await;
        }
    });
    let found = found.await.expect("found within two seconds");
    assert_eq!(found["items"][0]["highlights"], json!([[0, 3], [5, 9]]));
    assert_eq!(
        ann.rest.get("/api/search/messages?q=first").await.ok()["items"],
        json!([])
    );
}
