//! How far somebody has read, and who hears of it (S-009).

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{Chat, breathe, heard, names};
use crate::domain::entry::Seq;

impl Chat {
    async fn marks(&self, who: &str, body: Value) -> super::Answer {
        self.ask(Method::POST, who, "/read", Some(body)).await
    }

    /// What is unread, counted message by message.
    async fn recount(&self, who: &str) -> usize {
        let row = self
            .world
            .stores
            .conversations
            .member(self.id, self.person(who))
            .await
            .unwrap();
        let above = row.unwrap().read_seq;
        let unread = self.log().await.into_iter().filter(|entry| {
            let is_deleted = match &entry.kind {
                crate::domain::entry::EntryKind::Message(body) => body.redacted_at.is_some(),
                _ => true,
            };
            entry.seq > above && !is_deleted
        });
        unread.count()
    }
}

#[tokio::test(start_paused = true)]
async fn edge_12_a_read_pointer_goes_to_the_newest_that_counts_and_never_back() {
    let mut chat = Chat::group(&["ann", "bob"], &["eve"]).await;
    let mut messages = Vec::new();
    for number in 0..6 {
        messages.push(chat.says("ann", &format!("m{number}")).await);
    }
    let id = |number: usize| messages[number]["id"].clone();
    let seq = |number: usize| messages[number]["seq"].clone();
    let deleted = format!("/messages/{}", id(4).as_str().unwrap());
    chat.ask(Method::DELETE, "ann", &deleted, None).await;
    let own = chat.says("bob", "mine").await;
    let newest = chat.says("ann", "m6").await;
    // Another conversation, whose ids are foreign here.
    let group = chat.id;
    chat.id = chat.open_direct("ann", "bob").await;
    let foreign = chat.says("ann", "elsewhere").await["id"].clone();
    chat.id = group;
    // A pointer that has moved with the own message stays; so begin with somebody who hasn't written.
    chat.world.log.settle(&[chat.id]).await.unwrap();
    let unknown = json!("00000000000000000000000f");
    for (who, ids, read_seq, ignored) in [
        ("bob", vec![id(0)], own["seq"].clone(), json!(null)),
        ("bob", vec![own["id"].clone()], own["seq"].clone(), json!(null)),
        (
            "bob",
            vec![foreign.clone(), unknown.clone()],
            own["seq"].clone(),
            json!([foreign, unknown]),
        ),
        ("bob", vec![], own["seq"].clone(), json!(null)),
        (
            "bob",
            vec![newest["id"].clone(), foreign.clone(), id(1), newest["id"].clone()],
            newest["seq"].clone(),
            json!([foreign]),
        ),
        ("bob", vec![id(1)], newest["seq"].clone(), json!(null)),
    ] {
        let marked = chat.marks(who, json!({ "messageIds": ids })).await;
        assert_eq!(marked.status, 200, "{}", marked.body);
        assert_eq!(
            (&marked.body["readSeq"], &marked.body["ignored"]),
            (&read_seq, &ignored),
            "{ids:?}"
        );
        assert_eq!(
            marked.body["unreadCount"],
            json!(chat.recount(who).await),
            "{ids:?}"
        );
    }
    // The author's own messages don't count; what others wrote does. Ids of deleted messages work.
    let chat2 = Chat::group(&["ann", "bob"], &[]).await;
    let first = chat2.says("ann", "a").await;
    let second = chat2.says("ann", "b").await;
    chat2.says("ann", "c").await;
    chat2
        .ask(
            Method::DELETE,
            "ann",
            &format!("/messages/{}", second["id"].as_str().unwrap()),
            None,
        )
        .await;
    let marked = chat2
        .marks("bob", json!({ "messageIds": [second["id"], first["id"]] }))
        .await;
    assert_eq!(
        (&marked.body["readSeq"], &marked.body["unreadCount"]),
        (&second["seq"], &json!(1))
    );
    let before = chat.snapshot().await;
    for (body, code, field) in [
        (
            json!({ "messageIds": vec![id(0); 501] }),
            "VALIDATION",
            "messageIds",
        ),
        (
            json!({ "messageIds": vec!["0123456789abcdef01234567"; 2000] }),
            "VALIDATION",
            "messageIds",
        ),
        (json!({ "messageIds": ["x"] }), "INVALID_ID", ""),
        (
            json!({ "messageIds": [id(0), {"$gt": ""}] }),
            "VALIDATION",
            "messageIds",
        ),
        (json!({ "messageIds": "x" }), "VALIDATION", "messageIds"),
        (json!({ "upToMessageId": foreign }), "VALIDATION", "upToMessageId"),
        (json!({ "upToMessageId": unknown }), "VALIDATION", "upToMessageId"),
        (json!({ "upToMessageId": "x" }), "INVALID_ID", ""),
        (json!({ "upToSeq": -1 }), "VALIDATION", "upToSeq"),
        (json!({ "upToSeq": 1.5 }), "VALIDATION", "upToSeq"),
        (json!({ "upToSeq": "3" }), "VALIDATION", "upToSeq"),
        (
            json!({ "upToSeq": 1, "upToMessageId": id(0) }),
            "VALIDATION",
            "upToSeq",
        ),
    ] {
        let answer = chat.marks("bob", body.clone()).await;
        assert_eq!(answer.refusal(), (400, code), "{body:.60}");
        assert!(
            field.is_empty() || answer.fields() == [field],
            "{:?}",
            answer.fields()
        );
    }
    assert_eq!(chat.marks("eve", json!({})).await.refusal(), (404, "NOT_FOUND"));
    chat.unchanged(&before).await;
    assert_eq!(seq(5), messages[5]["seq"]);
}

#[tokio::test]
async fn edge_12_ten_thousand_ids_are_refused_on_the_socket_before_they_are_kept() {
    let ids = vec!["0123456789abcdef01234567"; 10_000];
    let payload = json!({ "conversationId": "0123456789abcdef01234567", "messageIds": ids }).to_string();
    assert!(serde_json::from_str::<crate::app::messages::MarkRead>(&payload).is_err());
}

#[tokio::test]
async fn s_073_reading_by_number_by_id_and_to_the_newest() {
    let chat = Chat::group(&["ann", "bob"], &[]).await;
    let mut messages = Vec::new();
    for number in 0..4 {
        messages.push(chat.says("ann", &format!("m{number}")).await);
    }
    let seq = |number: usize| messages[number]["seq"].clone();
    for (body, read_seq, unread) in [
        (json!({ "upToSeq": 0 }), json!(0), 4),
        (json!({ "upToSeq": seq(0) }), seq(0), 3),
        (json!({ "upToMessageId": messages[1]["id"] }), seq(1), 2),
        (json!({ "upToSeq": seq(0) }), seq(1), 2),
        (json!({ "upToSeq": null, "upToMessageId": null }), seq(3), 0),
        (json!({ "upToSeq": 4_000_000_000_000u64 }), seq(3), 0),
    ] {
        let marked = chat.marks("bob", body.clone()).await.body;
        assert_eq!(
            marked,
            json!({ "readSeq": read_seq, "unreadCount": unread }),
            "{body}"
        );
    }
    chat.says("ann", "more").await;
    let head = chat.head().await;
    let without_body = chat.ask(Method::POST, "bob", "/read", None).await;
    assert_eq!(without_body.body, json!({ "readSeq": head, "unreadCount": 0 }));
    // Sending moves the sender's pointer; deleted ones are not unread.
    let last = chat.says("bob", "mine").await;
    let marked = chat.marks("bob", json!({ "upToSeq": 1 })).await.body;
    assert_eq!(marked["readSeq"], last["seq"]);
    let (one, _) = (chat.says("ann", "x").await, chat.says("ann", "y").await);
    chat.ask(
        Method::DELETE,
        "ann",
        &format!("/messages/{}", one["id"].as_str().unwrap()),
        None,
    )
    .await;
    let marked = chat.marks("bob", json!({ "upToSeq": 1 })).await.body;
    assert_eq!(marked["unreadCount"], json!(1));
}

#[tokio::test(start_paused = true)]
async fn s_108_receipts_are_told_at_once_and_then_joined() {
    let chat = Chat::group(&["ann", "bob"], &[]).await;
    for number in 0..5 {
        chat.says("ann", &format!("m{number}")).await;
    }
    let (phone, own) = (chat.device("ann").await, chat.device("bob").await);
    let head = chat.head().await;
    for seq in 1..=head.0 {
        chat.marks("bob", json!({ "upToSeq": seq })).await;
    }
    breathe().await;
    let first = heard(&phone);
    assert_eq!(names(&first), ["messages-read"]);
    assert_eq!(first[0].1["readSeq"], json!(1));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let joined = heard(&phone);
    assert_eq!(names(&joined), ["messages-read"]);
    let event = &joined[0].1;
    assert_eq!(
        (&event["readSeq"], &event["userId"]),
        (&json!(head), &json!(chat.person("bob")))
    );
    assert!(
        event["readAt"].is_string() && event.get("seq").is_none(),
        "receipts are not in the log"
    );
    assert_eq!(heard(&own).len(), 2, "the reader's other devices learn it too");
    // What moves nothing is not told.
    tokio::time::sleep(Duration::from_secs(5)).await;
    chat.marks("bob", json!({ "upToSeq": 1 })).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(names(&heard(&phone)), [""; 0]);
    chat.says("ann", "next").await;
    chat.marks("bob", json!({})).await;
    breathe().await;
    assert_eq!(
        names(&heard(&phone)),
        ["new-message", "messages-read"],
        "quiet for long: told at once"
    );
}

#[tokio::test(start_paused = true)]
async fn s_108_blocks_and_large_audiences_keep_receipts_from_others() {
    let chat = Chat::direct("ann", "bob", &[]).await;
    chat.says("ann", "a").await;
    chat.world.blocks(chat.person("ann"), chat.person("bob")).await;
    let (peer, own) = (chat.device("ann").await, chat.device("bob").await);
    assert_eq!(chat.marks("bob", json!({})).await.status, 200);
    breathe().await;
    assert_eq!(
        (names(&heard(&peer)), names(&heard(&own))),
        (vec![], vec!["messages-read"])
    );

    let mut options = super::Options::default();
    options.quotas.audience_large = 2;
    let mut large = Chat::of(&["ann", "bob", "cid"], options).await;
    let create = json!({ "command": "createRoom", "name": "tea" });
    let room = large.does("ann", create).await.unwrap();
    large.id = room["id"].as_str().unwrap().parse().unwrap();
    for who in ["bob", "cid"] {
        large
            .does(who, json!({ "command": "joinRoom", "roomName": "tea" }))
            .await
            .unwrap();
    }
    let message = large.says("ann", "a").await;
    let (others, own) = (large.device("ann").await, large.device("bob").await);
    large.marks("bob", json!({})).await;
    breathe().await;
    assert_eq!(
        (names(&heard(&others)), names(&heard(&own))),
        (vec![], vec!["messages-read"])
    );
    // They are asked for instead.
    let path = format!("/messages/{}/readers", message["id"].as_str().unwrap());
    let readers = large.get("ann", &path).await.body;
    assert_eq!(
        readers["items"],
        json!([{ "user": { "id": large.person("bob"), "username": "bob" }, "readSeq": message["seq"] }])
    );
}

#[tokio::test]
async fn s_108_readers_come_in_pages() {
    let chat = Chat::group(&["ann", "bob", "cid", "dan"], &["eve"]).await;
    let first = chat.says("ann", "a").await;
    let second = chat.says("ann", "b").await;
    for who in ["bob", "cid", "dan"] {
        chat.marks(who, json!({ "upToMessageId": first["id"] })).await;
    }
    chat.marks("cid", json!({})).await;
    let path = |message: &Value| format!("/messages/{}/readers", message["id"].as_str().unwrap());
    let page = chat.get("ann", &format!("{}?limit=2", path(&first))).await.body;
    let rest = format!("{}?cursor={}", path(&first), page["nextCursor"].as_str().unwrap());
    let rest_page = chat.get("ann", &rest).await.body;
    let mut ids: Vec<Value> = [&page, &rest_page]
        .iter()
        .flat_map(|page| {
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["user"]["username"].clone())
        })
        .collect();
    ids.sort_by_key(Value::to_string);
    assert_eq!(
        (json!(ids), &rest_page["hasMore"]),
        (json!(["bob", "cid", "dan"]), &json!(false))
    );
    let page = chat.get("bob", &path(&second)).await.body;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let foreign = chat.get("ann", &format!("{}?cursor=abc", path(&first))).await;
    assert_eq!(foreign.refusal(), (400, "INVALID_CURSOR"));
    assert_eq!(chat.get("eve", &path(&first)).await.refusal(), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn more_than_a_thousand_unread_are_counted_as_a_thousand_and_one() {
    let chat = Chat::room(&["ann", "bob"], &[]).await;
    let texts = (0..1100).map(|number| number.to_string());
    chat.world.write(chat.person("ann"), "tea", texts).await;
    let marked = chat.marks("bob", json!({ "upToSeq": 1 })).await.body;
    assert_eq!(marked["unreadCount"], json!(1001));
    let marked = chat.marks("bob", json!({ "upToSeq": 100 })).await.body;
    assert_eq!(marked, json!({ "readSeq": Seq(100), "unreadCount": 1000 }));
}

#[tokio::test(start_paused = true)]
async fn s_108_who_hides_receipts_is_seen_by_nobody_and_sees_nobodys() {
    let chat = Chat::group(&["ann", "bob", "cid"], &[]).await;
    let message = chat.says("ann", "a").await;
    let hide = json!({ "command": "updateProfile", "readReceipts": false });
    chat.does("bob", hide).await.unwrap();
    let [ann, bob, cid] = [
        chat.device("ann").await,
        chat.device("bob").await,
        chat.device("cid").await,
    ];
    chat.marks("bob", json!({})).await;
    breathe().await;
    let all = [&ann, &bob, &cid].map(|device| heard(device).len());
    assert_eq!(all, [0, 1, 0], "only the user's own devices");
    chat.marks("cid", json!({})).await;
    breathe().await;
    let all = [&ann, &bob, &cid].map(|device| heard(device).len());
    assert_eq!(all, [1, 0, 1], "all but who hides theirs");
    let path = format!("/messages/{}/readers", message["id"].as_str().unwrap());
    assert_eq!(chat.get("bob", &path).await.refusal(), (403, "FORBIDDEN"));
    let readers = chat.get("ann", &path).await.body;
    assert_eq!(readers["items"].as_array().unwrap().len(), 1);
    assert_eq!(readers["items"][0]["user"]["username"], "cid");
}

#[tokio::test]
async fn s_056_the_account_tells_how_much_is_unread_in_all() {
    let mut chat = Chat::group(&["ann", "bob"], &[]).await;
    let deleted = chat.says("ann", "a").await;
    for text in ["b", "c"] {
        chat.says("ann", text).await;
    }
    chat.ask(
        Method::DELETE,
        "ann",
        &format!("/messages/{}", deleted["id"].as_str().unwrap()),
        None,
    )
    .await;
    chat.id = chat.open_direct("ann", "bob").await;
    chat.says("ann", "d").await;
    for (who, expected) in [("ann", 0), ("bob", 3)] {
        let me = chat.ask_at(Method::GET, who, "/api/auth/me", None).await.body;
        assert_eq!(me["unreadTotal"], json!(expected), "{who}");
    }
    chat.marks("bob", json!({})).await;
    let me = chat.ask_at(Method::GET, "bob", "/api/auth/me", None).await.body;
    assert_eq!(me["unreadTotal"], json!(2));
}
