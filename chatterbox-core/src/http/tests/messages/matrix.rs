//! Who gets which answer from which route and event (THREATS.md D1): one table, both doors.

use http::Method;
use serde_json::{Value, json};

use super::Chat;
use crate::http::router;

/// Members, in the order of the answers below: the author of the message, the owner, an admin, and a member.
const MEMBERS: [&str; 4] = ["ann", "bob", "cid", "dan"];
/// For them the conversation isn't there: somebody removed, somebody banned, a stranger.
const OTHERS: [&str; 3] = ["eve", "fay", "gus"];
const THUMB: &str = "%F0%9F%91%8D";

/// A route, its body, the command that an event of the same meaning makes, and the answers to members.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    [u16; 4],
);

const ROWS: &[Row] = &[
    ("get", "/messages", "", None, [200; 4]),
    (
        "post",
        "/messages",
        r#"{"content":"b"}"#,
        Some("sendMessage"),
        [201; 4],
    ),
    ("get", "/messages/{message}", "", Some("getMessage"), [200; 4]),
    (
        "patch",
        "/messages/{message}",
        r#"{"content":"b"}"#,
        Some("editMessage"),
        [200, 403, 403, 403],
    ),
    (
        "delete",
        "/messages/{message}",
        "",
        Some("deleteMessage"),
        [204, 204, 204, 403],
    ),
    ("get", "/messages/{message}/thread", "", None, [200; 4]),
    ("get", "/messages/{message}/readers", "", None, [200; 4]),
    (
        "put",
        "/messages/{message}/reactions/{emoji}",
        r#"{"emoji":"👍"}"#,
        Some("addReaction"),
        [200; 4],
    ),
    (
        "delete",
        "/messages/{message}/reactions/{emoji}",
        r#"{"emoji":"👍"}"#,
        Some("removeReaction"),
        [204; 4],
    ),
    ("post", "/read", "{}", Some("markRead"), [200; 4]),
];

async fn scene() -> Chat {
    let members = ["bob", "ann", "cid", "dan", "eve", "fay"];
    let chat = Chat::group(&members, &["gus"]).await;
    let about = |command: &str, who: &str, role: Value| {
        let user = chat.person(who);
        json!({ "command": command, "conversationId": chat.id, "userId": user, "role": role })
    };
    chat.does("bob", about("setRole", "cid", json!("admin")))
        .await
        .unwrap();
    chat.does("bob", about("removeMember", "eve", Value::Null))
        .await
        .unwrap();
    chat.does("bob", about("banMember", "fay", Value::Null))
        .await
        .unwrap();
    chat
}

#[tokio::test]
async fn d1_every_route_and_event_answers_by_role_and_to_others_as_if_there_were_no_conversation() {
    let chat = scene().await;
    for (method, path, body, command, expected) in ROWS {
        for who in MEMBERS.into_iter().chain(OTHERS) {
            let message = super::text(&chat.says("ann", "a").await, "id");
            let method: Method = method.to_uppercase().parse().unwrap();
            let row = format!("{method} {path} as {who}");
            let path = path.replace("{message}", &message).replace("{emoji}", THUMB);
            let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
            let expected = MEMBERS
                .iter()
                .position(|member| *member == who)
                .map_or(404, |member| expected[member]);
            let before = chat.snapshot().await;
            // The socket's door first where nothing changes, so that both see the same.
            if let (Some(command), true) = (command, expected >= 400) {
                let mut call = json!({ "command": command, "conversationId": chat.id, "messageId": message });
                call.as_object_mut()
                    .unwrap()
                    .extend(body.as_object().cloned().unwrap_or_default());
                let refused = chat.does(who, call).await.unwrap_err();
                assert_eq!(
                    refused.code(),
                    if expected == 404 { "NOT_FOUND" } else { "FORBIDDEN" },
                    "{row}"
                );
            }
            let sent = (!matches!(method, Method::GET | Method::DELETE)).then_some(body);
            let answer = chat.ask(method.clone(), who, &path, sent.clone()).await;
            assert_eq!(answer.status, expected, "{row}: {}", answer.body);
            if expected >= 400 {
                chat.unchanged(&before).await;
            }
            let at = |id: &str| format!("/api/conversations/{id}{path}");
            if expected == 404 {
                // Not to be told from a conversation that isn't there.
                let nowhere = chat
                    .ask_at(method.clone(), who, &at("0123456789abcdef01234567"), sent.clone())
                    .await;
                assert_eq!(answer.body["error"], nowhere.body["error"], "{row}");
                let nobody = chat
                    .world
                    .ask(method.clone(), &at(&chat.id.to_string()))
                    .json(&json!({ "content": "b" }));
                assert_eq!(nobody.send().await.refusal(), (401, "UNAUTHENTICATED"), "{row}");
            }
            let malformed = chat
                .ask_at(method.clone(), who, &at("nonsense"), sent.clone())
                .await;
            assert_eq!(malformed.refusal(), (400, "INVALID_ID"), "{row}");
            if path.contains(&message) {
                for (id, expected) in [
                    ("nonsense", (400, "INVALID_ID")),
                    ("0123456789abcdef01234567", (404, "NOT_FOUND")),
                ] {
                    let other = chat
                        .ask(method.clone(), who, &path.replace(&message, id), sent.clone())
                        .await;
                    assert_eq!(other.refusal(), expected, "{row} of {id}");
                }
            }
        }
    }
}

#[test]
fn d1_the_matrix_has_every_route_of_messages() {
    for (method, path, _) in router::routes() {
        let Some(path) = path.strip_prefix("/api/conversations/{id}") else {
            continue;
        };
        if path.starts_with("/messages") || path == "/read" {
            let known = ROWS.iter().any(|(known, at, ..)| (*known, *at) == (method, path));
            assert!(known, "{method} {path} is in no row");
        }
    }
}
