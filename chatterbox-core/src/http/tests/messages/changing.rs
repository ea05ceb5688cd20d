use http::Method;
use serde_json::{Value, json};

use super::{Chat, heard, names};
use crate::domain::entry::EntryKind;

const THUMB: &str = "%F0%9F%91%8D";

impl Chat {
    async fn edits(&self, who: &str, message: &Value, content: &str) -> super::Answer {
        let body = json!({ "content": content });
        self.ask(Method::PATCH, who, &path(message), Some(body)).await
    }

    async fn deletes(&self, who: &str, message: &Value, query: &str) -> super::Answer {
        self.ask(Method::DELETE, who, &format!("{}{query}", path(message)), None)
            .await
    }

    async fn reacts(&self, method: Method, who: &str, message: &Value, emoji: &str) -> super::Answer {
        self.ask(method, who, &format!("{}/reactions/{emoji}", path(message)), None)
            .await
    }
}

fn path(message: &Value) -> String {
    format!("/messages/{}", message["id"].as_str().unwrap())
}

#[tokio::test]
async fn s_130_an_edit_shows_everywhere_and_is_told() {
    let chat = Chat::group(&["ann", "bob"], &[]).await;
    let first = chat
        .sends(
            "ann",
            json!({ "content": "frist", "mentions": [chat.person("bob")] }),
        )
        .await
        .body;
    let answer = chat
        .sends("bob", json!({ "content": "what?", "replyTo": first["id"] }))
        .await
        .body;
    let phone = chat.device("bob").await;
    let edited = chat.edits("ann", &first, " first ").await;
    assert_eq!(edited.status, 200, "{}", edited.body);
    let mut expected = first.clone();
    expected["content"] = json!("first");
    expected["editedAt"] = edited.body["editedAt"].clone();
    assert!(expected["editedAt"].is_string());
    assert_eq!(edited.body, expected, "addressed as before");
    assert_eq!(
        chat.get("bob", "/messages").await.body["items"],
        json!([expected, answer])
    );
    let seq = chat.head().await;
    let (name, event) = heard(&phone).remove(0);
    assert_eq!(name, "message-updated");
    assert_eq!(
        (&event["seq"], &event["prev"]),
        (&json!(seq.0), &json!(seq.0 - 1))
    );
    assert_eq!(
        (&event["message"]["id"], &event["message"]["seq"]),
        (&first["id"], &first["seq"])
    );
    assert_eq!(
        (&event["message"]["content"], &event["message"]["mentions"]),
        (&json!("first"), &first["mentions"])
    );
    // What is so already is no entry; other people addressed are.
    assert_eq!(chat.edits("ann", &first, "first").await.body, expected);
    assert_eq!(chat.head().await, seq);
    let nobody = json!({ "content": "first", "mentions": [] });
    let edited = chat.ask(Method::PATCH, "ann", &path(&first), Some(nobody)).await;
    assert_eq!(
        (&edited.body["mentions"], chat.head().await),
        (&json!([]), seq.next())
    );
    // The socket's door.
    let edit = json!({ "command": "editMessage", "conversationId": chat.id, "messageId": first["id"], "content": "1st" });
    let ack = chat.does("ann", edit).await.unwrap();
    assert_eq!(
        ack,
        json!({ "message": { "id": first["id"], "seq": first["seq"] }, "seq": seq.0 + 2 })
    );
    assert_eq!(chat.reads("bob").await, ["1st", "what?"]);
}

#[tokio::test]
async fn s_130_only_the_author_edits_and_only_for_a_day() {
    let chat = Chat::group(&["ann", "bob", "cid"], &["eve"]).await;
    let promote = json!({ "command": "setRole", "conversationId": chat.id, "userId": chat.person("bob"), "role": "admin" });
    chat.does("ann", promote).await.unwrap();
    let role = chat.log().await.pop().unwrap();
    let message = chat.says("cid", "mine").await;
    let before = chat.snapshot().await;
    for (who, expected) in [
        ("ann", (403, "FORBIDDEN")),
        ("bob", (403, "FORBIDDEN")),
        ("eve", (404, "NOT_FOUND")),
    ] {
        assert_eq!(chat.edits(who, &message, "x").await.refusal(), expected, "{who}");
    }
    assert_eq!(
        chat.edits("cid", &message, " ").await.refusal(),
        (400, "VALIDATION")
    );
    assert_eq!(
        chat.edits("cid", &json!({ "id": "x" }), "x").await.refusal(),
        (400, "INVALID_ID")
    );
    let unknown = json!({ "id": chat.id });
    assert_eq!(
        chat.edits("cid", &unknown, "x").await.refusal(),
        (404, "NOT_FOUND")
    );
    let system = json!({ "id": role.id });
    assert_eq!(
        chat.edits("ann", &system, "x").await.refusal(),
        (403, "FORBIDDEN"),
        "the system's words"
    );
    chat.unchanged(&before).await;
    let window = crate::app::Quotas::default().edit_window;
    let edit = |text: &str| {
        let (conversation, message) = (chat.id, &message["id"]);
        json!({ "command": "editMessage", "conversationId": conversation, "messageId": message, "content": text })
    };
    chat.world.clock.advance(window);
    chat.does("cid", edit("in time")).await.unwrap();
    chat.world.clock.advance(std::time::Duration::from_millis(1));
    let before = chat.snapshot().await;
    assert_eq!(
        chat.does("cid", edit("late")).await.unwrap_err().code(),
        "FORBIDDEN"
    );
    chat.unchanged(&before).await;
}

#[tokio::test]
async fn s_131_a_deleted_message_is_a_tombstone_and_its_words_are_nowhere() {
    let chat = Chat::group(&["ann", "bob"], &[]).await;
    let secret = "xyzzy";
    let message = chat
        .sends(
            "bob",
            json!({ "content": secret, "mentions": [chat.person("ann")] }),
        )
        .await
        .body;
    chat.edits("bob", &message, "xyzzy plugh").await;
    chat.reacts(Method::PUT, "ann", &message, THUMB).await;
    let other = chat.says("bob", "other").await;
    let phone = chat.device("ann").await;
    assert_eq!(chat.deletes("bob", &message, "").await.status, 204);
    let seq = chat.head().await;
    let events = heard(&phone);
    assert_eq!(names(&events), ["message-deleted"]);
    let event = &events[0].1;
    assert_eq!(
        event["message"],
        json!({ "id": message["id"], "seq": message["seq"] })
    );
    assert_eq!(
        (&event["seq"], &event["deletedBy"]),
        (&json!(seq.0), &json!(chat.person("bob")))
    );
    let page = chat.get("ann", "/messages").await.body;
    let tombstone = &page["items"][0];
    assert_eq!(
        (
            &tombstone["content"],
            &tombstone["mentions"],
            &tombstone["reactions"]
        ),
        (&json!(""), &json!([]), &json!([]))
    );
    assert!(tombstone["deletedAt"].is_string() && tombstone.get("editedAt").is_none());
    assert_eq!(
        (&tombstone["seq"], &page["items"][1]),
        (&message["seq"], &other),
        "it keeps its number"
    );
    let words = format!("{:?} {page}", chat.log().await);
    assert!(!words.contains(secret), "{words}");
    let found = chat
        .ask_at(Method::GET, "bob", "/api/search/messages?q=xyzzy", None)
        .await;
    assert_eq!(found.body["items"], json!([]));
    // Twice is once; nothing else can be done to it.
    assert_eq!(chat.deletes("bob", &message, "?scope=all").await.status, 204);
    assert_eq!(chat.edits("bob", &message, "back").await.refusal(), (410, "GONE"));
    assert_eq!(
        chat.reacts(Method::PUT, "ann", &message, THUMB).await.refusal(),
        (410, "GONE")
    );
    assert_eq!(chat.head().await, seq);
    // An answer to it is an answer to a message that is there.
    assert_eq!(
        chat.sends("ann", json!({ "content": "why?", "replyTo": message["id"] }))
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn s_131_who_may_delete() {
    let chat = Chat::group(&["ann", "bob", "cid"], &["eve"]).await;
    let promote = json!({ "command": "setRole", "conversationId": chat.id, "userId": chat.person("bob"), "role": "admin" });
    chat.does("ann", promote).await.unwrap();
    let role = chat.log().await.pop().unwrap();
    for (author, who, expected) in [
        ("ann", "bob", 204),
        ("cid", "bob", 204),
        ("cid", "ann", 204),
        ("bob", "bob", 204),
        ("ann", "cid", 403),
        ("bob", "cid", 403),
        ("cid", "eve", 404),
    ] {
        let message = chat.says(author, "a").await;
        let before = chat.snapshot().await;
        let answer = chat.deletes(who, &message, "").await;
        assert_eq!(
            answer.status, expected,
            "{who} deletes of {author}: {}",
            answer.body
        );
        assert_eq!(chat.snapshot().await == before, expected != 204);
    }
    assert_eq!(
        chat.deletes("ann", &json!({ "id": role.id }), "").await.refusal(),
        (403, "FORBIDDEN")
    );
    let message = chat.says("cid", "a").await;
    for query in ["?scope=", "?scope=everyone", "?scope=me&scope=all"] {
        let answer = chat.deletes("cid", &message, query).await;
        assert_eq!(
            (answer.refusal(), answer.fields()),
            ((400, "VALIDATION"), vec!["scope"]),
            "{query}"
        );
    }

    let direct = Chat::direct("ann", "bob", &[]).await;
    let message = direct.says("ann", "a").await;
    assert_eq!(
        direct.deletes("bob", &message, "").await.refusal(),
        (403, "FORBIDDEN")
    );
    assert_eq!(direct.deletes("ann", &message, "").await.status, 204);

    // Moderators and server admins in rooms; the latter without being in them.
    let room = Chat::room(&["ann", "bob"], &["eve", "zoe"]).await;
    room.world
        .stores
        .users
        .set_admin(room.person("zoe"), true)
        .await
        .unwrap();
    for (who, expected) in [("bob", 204), ("ann", 204), ("zoe", 204), ("eve", 404)] {
        let message = room.says("bob", "a").await;
        assert_eq!(room.deletes(who, &message, "").await.status, expected, "{who}");
    }
    let message = room.says("ann", "a").await;
    assert_eq!(
        room.deletes("bob", &message, "").await.refusal(),
        (403, "FORBIDDEN")
    );
}

#[tokio::test]
async fn s_131_a_message_deleted_for_oneself_is_there_for_the_others() {
    let chat = Chat::group(&["ann", "bob"], &["eve"]).await;
    let message = chat.says("ann", "one").await;
    chat.says("ann", "two").await;
    let (own, other) = (chat.device("bob").await, chat.device("ann").await);
    let head = chat.head().await;
    assert_eq!(
        chat.deletes("eve", &message, "?scope=me").await.refusal(),
        (404, "NOT_FOUND")
    );
    for _ in 0..2 {
        assert_eq!(chat.deletes("bob", &message, "?scope=me").await.status, 204);
    }
    assert_eq!(chat.reads("bob").await, ["two"]);
    assert_eq!(chat.reads("ann").await, ["one", "two"]);
    assert_eq!(
        chat.get("bob", &path(&message)).await.refusal(),
        (404, "NOT_FOUND")
    );
    let found = chat
        .ask_at(Method::GET, "bob", "/api/search/messages?q=one", None)
        .await;
    assert_eq!(found.body["items"], json!([]));
    let events = heard(&own);
    assert_eq!(events[0].0, "message-hidden");
    assert_eq!(
        events[0].1,
        json!({ "conversationId": chat.id, "message": { "id": message["id"], "seq": message["seq"] } })
    );
    assert_eq!(
        (heard(&other).len(), chat.head().await),
        (0, head),
        "nobody else hears of it"
    );
}

#[tokio::test]
async fn s_132_reactions_are_put_on_and_taken_off_once() {
    let chat = Chat::group(&["ann", "bob"], &["eve"]).await;
    let message = chat.says("ann", "a").await;
    let phone = chat.device("ann").await;
    let heart = "%E2%9D%A4";
    for (who, emoji) in [
        ("bob", THUMB),
        ("ann", THUMB),
        ("bob", heart),
        ("bob", THUMB),
        ("bob", "%E2%9D%A4%EF%B8%8F"),
    ] {
        assert_eq!(chat.reacts(Method::PUT, who, &message, emoji).await.status, 200);
    }
    let (ann, bob) = (chat.person("ann"), chat.person("bob"));
    let reactions = &chat.get("bob", &path(&message)).await.body["reactions"];
    assert_eq!(
        *reactions,
        json!([
            { "emoji": "👍", "count": 2, "userIds": [bob, ann] },
            { "emoji": "❤️", "count": 1, "userIds": [bob] },
        ])
    );
    for _ in 0..2 {
        assert_eq!(
            chat.reacts(Method::DELETE, "bob", &message, THUMB).await.status,
            204
        );
    }
    let events = heard(&phone);
    assert_eq!(
        names(&events),
        [
            "reaction-added",
            "reaction-added",
            "reaction-added",
            "reaction-removed"
        ]
    );
    let last = &events[3].1;
    assert_eq!((&last["emoji"], &last["user"]["id"]), (&json!("👍"), &json!(bob)));
    assert_eq!(
        last["message"],
        json!({ "id": message["id"], "seq": message["seq"] })
    );
    let before = chat.snapshot().await;
    for emoji in [
        "a",
        "1",
        "%F0%9F%91%8D%F0%9F%91%8D",
        "%20",
        "%3Cscript%3E",
        "%ff",
        &"x".repeat(5000),
    ] {
        for method in [Method::PUT, Method::DELETE] {
            let answer = chat.reacts(method, "bob", &message, emoji).await;
            assert_eq!(
                (answer.refusal(), answer.fields()),
                ((400, "VALIDATION"), vec!["emoji"]),
                "{emoji:.20}"
            );
        }
    }
    assert_eq!(
        chat.reacts(Method::PUT, "eve", &message, THUMB).await.refusal(),
        (404, "NOT_FOUND")
    );
    assert_eq!(
        chat.reacts(Method::PUT, "bob", &json!({ "id": "x" }), THUMB)
            .await
            .refusal(),
        (400, "INVALID_ID")
    );
    assert_eq!(
        chat.reacts(Method::PUT, "bob", &json!({ "id": chat.id }), THUMB)
            .await
            .refusal(),
        (404, "NOT_FOUND")
    );
    chat.unchanged(&before).await;
}

#[tokio::test]
async fn s_132_a_message_takes_twenty_different_emoji() {
    let chat = Chat::group(&["ann", "bob"], &[]).await;
    let message = chat.says("ann", "a").await;
    let react = |emoji: &str| json!({ "command": "addReaction", "conversationId": chat.id, "messageId": message["id"], "emoji": emoji });
    let faces: Vec<&str> = [
        "😀", "😁", "😂", "😃", "😄", "😅", "😆", "😇", "😈", "😉", "😊", "😋", "😌", "😍", "😎", "😏", "😐",
        "😑", "😒", "😓",
    ]
    .to_vec();
    for face in &faces {
        chat.does("bob", react(face)).await.unwrap();
    }
    assert_eq!(
        chat.does("ann", react("👍")).await.unwrap_err().code(),
        "QUOTA_EXCEEDED"
    );
    chat.does("ann", react(faces[0])).await.unwrap();
    // Two at once for the last place: the lane lets one in.
    let mut remove = react(faces[19]);
    remove["command"] = json!("removeReaction");
    chat.does("bob", remove).await.unwrap();
    let (one, other) = tokio::join!(chat.does("ann", react("👍")), chat.does("bob", react("👎")));
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
}

#[tokio::test]
async fn two_changes_of_one_message_at_once_are_both_decided_on_what_is_there() {
    let chat = Chat::group(&["ann", "bob"], &[]).await;
    for _ in 0..20 {
        let message = chat.says("bob", "a").await;
        let (edit, delete, react) = tokio::join!(
            chat.edits("bob", &message, "b"),
            chat.deletes("ann", &message, ""),
            chat.reacts(Method::PUT, "ann", &message, THUMB),
        );
        assert_eq!(delete.status, 204);
        assert!(matches!(edit.status, 200 | 410) && matches!(react.status, 200 | 410));
        let log = chat.log().await;
        let deleted = log
            .iter()
            .rposition(|entry| matches!(entry.kind, EntryKind::Delete(_)))
            .unwrap();
        let after = &log[deleted + 1..];
        assert!(
            after.is_empty(),
            "nothing is done to a deleted message: {after:?}"
        );
        let shown = chat.get("ann", &path(&message)).await.body;
        assert_eq!((&shown["content"], &shown["reactions"]), (&json!(""), &json!([])));
    }
}
