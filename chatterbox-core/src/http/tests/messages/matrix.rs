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

/// A route, its body, the command that an event of the same meaning makes, and the answers: in a group to its members; in
/// a direct conversation to the author and the other, and the same while one of them blocks the other; in a room to the
/// author and a moderator. Other members of a room are answered like the member of a group.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    [u16; 4],
    [u16; 4],
    [u16; 2],
);

const ROWS: &[Row] = &[
    ("get", "/messages", "", None, [200; 4], [200; 4], [200; 2]),
    (
        "post",
        "/messages",
        r#"{"content":"b"}"#,
        Some("sendMessage"),
        [201; 4],
        [201, 201, 403, 403],
        [201; 2],
    ),
    (
        "get",
        "/messages/{message}",
        "",
        Some("getMessage"),
        [200; 4],
        [200; 4],
        [200; 2],
    ),
    (
        "patch",
        "/messages/{message}",
        r#"{"content":"b"}"#,
        Some("editMessage"),
        [200, 403, 403, 403],
        [200, 403, 403, 403],
        [200, 403],
    ),
    (
        "delete",
        "/messages/{message}",
        "",
        Some("deleteMessage"),
        [204, 204, 204, 403],
        [204, 403, 204, 403],
        [204, 204],
    ),
    (
        "get",
        "/messages/{message}/thread",
        "",
        None,
        [200; 4],
        [200; 4],
        [200; 2],
    ),
    (
        "get",
        "/messages/{message}/readers",
        "",
        None,
        [200; 4],
        [200; 4],
        [200; 2],
    ),
    (
        "put",
        "/messages/{message}/reactions/{emoji}",
        r#"{"emoji":"👍"}"#,
        Some("addReaction"),
        [200; 4],
        [200, 200, 403, 403],
        [200; 2],
    ),
    (
        "delete",
        "/messages/{message}/reactions/{emoji}",
        r#"{"emoji":"👍"}"#,
        Some("removeReaction"),
        [204; 4],
        [204; 4],
        [204; 2],
    ),
    (
        "post",
        "/read",
        "{}",
        Some("markRead"),
        [200; 4],
        [200; 4],
        [200; 2],
    ),
];

/// A member whom the author and the owner block: in a group that changes nothing (S-135).
const BLOCKED: &str = "hal";

async fn block(chat: &Chat, by: &str, whom: &str) {
    chat.world.blocks(chat.person(by), chat.person(whom)).await;
}

async fn scene() -> Chat {
    let members = ["bob", "ann", "cid", "dan", "hal", "eve", "fay"];
    let chat = Chat::group(&members, &["gus"]).await;
    for by in ["ann", "bob"] {
        block(&chat, by, "hal").await;
    }
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
    for (method, path, body, command, expected, ..) in ROWS {
        for who in MEMBERS.into_iter().chain([BLOCKED]).chain(OTHERS) {
            let message = super::text(&chat.says("ann", "a").await, "id");
            let method: Method = method.to_uppercase().parse().unwrap();
            let row = format!("{method} {path} as {who}");
            let path = path.replace("{message}", &message).replace("{emoji}", THUMB);
            let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
            let role = if who == BLOCKED { "dan" } else { who };
            let expected = MEMBERS
                .iter()
                .position(|member| *member == role)
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

/// Answers that are not as the table says, all told at the end.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    async fn ask(&mut self, chat: &Chat, row: &Row, who: &str, message: &str, expected: u16) {
        let (method, path, body, ..) = row;
        let method: Method = method.to_uppercase().parse().unwrap();
        let path = path.replace("{message}", message).replace("{emoji}", THUMB);
        let sent = (!matches!(method, Method::GET | Method::DELETE))
            .then(|| serde_json::from_str(body).unwrap_or(Value::Null));
        let before = chat.snapshot().await;
        let answer = chat.ask(method.clone(), who, &path, sent).await;
        if answer.status != expected {
            let told = format!(
                "{method} {path} as {who}: {expected} expected, got {}",
                answer.body
            );
            self.0.push(told);
        }
        if answer.status >= 400 {
            chat.unchanged(&before).await;
        }
    }

    fn tell(&self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

#[tokio::test]
async fn d1_every_route_of_a_direct_conversation_answers_both_sides_a_block_and_strangers() {
    let mut wrong = Wrong::default();
    for row in ROWS {
        for (index, expected) in row.5.into_iter().chain([404, 404]).enumerate() {
            for by in ["ann", "bob"] {
                let chat = Chat::direct("ann", "bob", &["gus"]).await;
                let message = super::text(&chat.says("ann", "a").await, "id");
                if index == 2 || index == 3 || index == 5 {
                    block(&chat, by, if by == "ann" { "bob" } else { "ann" }).await;
                }
                let who = ["ann", "bob", "ann", "bob", "gus", "gus"][index];
                wrong.ask(&chat, row, who, &message, expected).await;
            }
        }
    }
    wrong.tell();
}

#[tokio::test]
async fn d1_every_route_of_a_room_answers_members_and_by_its_id_nobody_else() {
    let mut wrong = Wrong::default();
    for row in ROWS {
        let ([author, moderator], member) = (row.6, row.4[3]);
        let chat = Chat::room(&["bob", "ann", "dan", "hal", "eve", "fay"], &["gus"]).await;
        for by in ["ann", "bob"] {
            block(&chat, by, BLOCKED).await;
        }
        let leave = json!({ "command": "leaveRoom", "roomName": "tea" });
        chat.does("eve", leave).await.unwrap();
        let ban = json!({ "command": "banMember", "conversationId": chat.id, "userId": chat.person("fay") });
        chat.does("bob", ban).await.unwrap();
        for (who, expected) in [
            ("ann", author),
            ("bob", moderator),
            ("dan", member),
            (BLOCKED, member),
            ("eve", 404),
            ("fay", 404),
            ("gus", 404),
        ] {
            let message = super::text(&chat.says("ann", "a").await, "id");
            wrong.ask(&chat, row, who, &message, expected).await;
        }
    }
    wrong.tell();
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
