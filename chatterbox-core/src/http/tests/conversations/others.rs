//! Who gets which answer from the routes that are about no single conversation: people, presence, rooms by name, search,
//! invites (THREATS.md D1).

use http::Method;
use serde_json::{Value, json};

use super::town::{Person, people};
use crate::http::router;
use crate::http::tests::world::{World, text};

/// How they stand to the first of them, her private group and her room.
const WHO: [&str; 7] = [
    "herself",
    "member",
    "removed",
    "banned",
    "stranger",
    "blocked by her",
    "blocks her",
];

struct Scene<'a> {
    people: [Person<'a>; 7],
    group: String,
    invite: String,
}

impl<'a> Scene<'a> {
    async fn set(world: &'a World) -> Scene<'a> {
        let [her, member, removed, banned, stranger, blocked, blocker] = people(world).await;
        let group = her.makes("team", &[&member, &removed, &banned]).await;
        let made = her.post("/api/rooms", &json!({ "name": "lounge" })).await;
        let room = text(&made.body, "conversationId");
        for person in [&member, &removed, &banned] {
            assert_eq!(person.joins(&room, &json!({})).await.status, 200);
        }
        her.removes(&group, &removed).await;
        removed.leaves(&room).await;
        for id in [&group, &room] {
            let ban = format!("/api/conversations/{id}/bans/{}", banned.id);
            assert_eq!(her.put(&ban, &json!({})).await.status, 204);
            her.says(id, "tea").await;
        }
        let invite = her
            .post(&format!("/api/conversations/{group}/invites"), &json!({}))
            .await;
        world.blocks(her.id, blocked.id).await;
        world.blocks(blocker.id, her.id).await;
        Scene {
            people: [her, member, removed, banned, stranger, blocked, blocker],
            group,
            invite: text(&invite.body, "token"),
        }
    }
}

/// Method, path with a query behind it, body, what is looked at in the answer, and for each of [`WHO`] the status and that.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Scene<'_>) -> Value,
    fn(&Value) -> String,
    [&'static str; 7],
);

fn nothing(_: &Scene<'_>) -> Value {
    Value::Null
}

fn status_alone(_: &Value) -> String {
    String::new()
}

/// How many were found.
fn found(body: &Value) -> String {
    body["items"]
        .as_array()
        .map_or(String::new(), |items| format!(" {}", items.len()))
}

const ROWS: &[Row] = &[
    (
        "get",
        "/api/users",
        "?q=ann",
        nothing,
        found,
        ["200 1", "200 1", "200 1", "200 1", "200 1", "200 0", "200 1"],
    ),
    (
        "get",
        "/api/users/blocked",
        "",
        nothing,
        found,
        ["200 1", "200 0", "200 0", "200 0", "200 0", "200 0", "200 1"],
    ),
    ("get", "/api/users/{id}", "", nothing, status_alone, ["200"; 7]),
    (
        "put",
        "/api/users/{id}/block",
        "",
        nothing,
        status_alone,
        ["400", "204", "204", "204", "204", "204", "204"],
    ),
    (
        "delete",
        "/api/users/{id}/block",
        "",
        nothing,
        status_alone,
        ["204"; 7],
    ),
    (
        "get",
        "/api/users/{id}/presence",
        "",
        nothing,
        |body| format!(" {}", text(body, "status")),
        [
            "200 offline",
            "200 offline",
            "200 unknown",
            "200 unknown",
            "200 unknown",
            "200 unknown",
            "200 unknown",
        ],
    ),
    (
        "get",
        "/api/users/presence",
        "?ids={id}",
        nothing,
        |body| format!(" {}", text(&body["items"][0], "status")),
        [
            "200 offline",
            "200 offline",
            "200 unknown",
            "200 unknown",
            "200 unknown",
            "200 unknown",
            "200 unknown",
        ],
    ),
    ("get", "/api/rooms", "", nothing, found, ["200 1"; 7]),
    (
        "post",
        "/api/rooms",
        "",
        |_| json!({ "name": "den" }),
        status_alone,
        ["201"; 7],
    ),
    ("get", "/api/rooms/{name}", "", nothing, status_alone, ["200"; 7]),
    (
        "get",
        "/api/rooms/{name}/messages",
        "",
        nothing,
        status_alone,
        ["200", "200", "200", "403", "200", "200", "200"],
    ),
    (
        "delete",
        "/api/rooms/{name}",
        "",
        nothing,
        status_alone,
        ["403"; 7],
    ),
    (
        "get",
        "/api/search/messages",
        "?q=tea",
        nothing,
        found,
        ["200 2", "200 2", "200 0", "200 0", "200 0", "200 0", "200 0"],
    ),
    (
        "get",
        "/api/search/messages",
        "?q=tea&in={group}",
        nothing,
        found,
        ["200 1", "200 1", "404", "404", "404", "404", "404"],
    ),
    (
        "get",
        "/api/conversations",
        "",
        nothing,
        found,
        ["200 2", "200 2", "200 0", "200 0", "200 0", "200 0", "200 0"],
    ),
    (
        "post",
        "/api/conversations/direct",
        "",
        |scene| json!({ "userId": scene.people[0].id }),
        status_alone,
        ["201", "201", "201", "201", "201", "403", "403"],
    ),
    (
        "post",
        "/api/conversations/group",
        "",
        |scene| json!({ "name": "new", "participantIds": [scene.people[0].id] }),
        |body| format!(" {}", body["notAdded"].as_array().unwrap().len()),
        ["201 0", "201 0", "201 0", "201 0", "201 0", "201 1", "201 1"],
    ),
    (
        "get",
        "/api/invites/{token}",
        "",
        nothing,
        status_alone,
        ["200"; 7],
    ),
];

#[tokio::test]
async fn d1_every_route_of_no_single_conversation_answers_everybody_as_they_stand_to_each_other() {
    let mut wrong = Vec::new();
    for (method, path, query, body, look, expected) in ROWS {
        for (index, who) in WHO.into_iter().enumerate() {
            let world = World::new();
            let scene = Scene::set(&world).await;
            let path = format!("{path}{query}")
                .replace("{id}", &scene.people[0].id.to_string())
                .replace("{group}", &scene.group)
                .replace("{token}", &scene.invite)
                .replace("{name}", "lounge");
            let verb: Method = method.to_uppercase().parse().unwrap();
            let body = body(&scene);
            let sent = (!body.is_null()).then_some(&body);
            let answer = scene.people[index].ask(verb.clone(), &path, sent).await;
            let refused = answer.status >= 400;
            let seen = if refused {
                String::new()
            } else {
                look(&answer.body)
            };
            let told = format!("{}{seen}", answer.status);
            if told != expected[index] {
                wrong.push(format!(
                    "{method} {path} as {who}: {} expected, got {told} {}",
                    expected[index], answer.body
                ));
            }
            let nobody = world.ask(verb, &path).json(&body).send().await;
            assert_eq!(nobody.refusal(), (401, "UNAUTHENTICATED"), "{method} {path}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What other tables and tests prove: one's own account, one conversation, and what is for everybody.
const ELSEWHERE: [&str; 4] = [
    "/api/auth/",
    "/api/conversations/{id}",
    "/api/health",
    "/api/openapi",
];

#[test]
fn d1_the_table_has_every_route_of_no_single_conversation() {
    for (method, path, _) in router::routes() {
        let is_known = ROWS.iter().any(|row| (row.0, row.1) == (method, path));
        let is_elsewhere = ELSEWHERE.iter().any(|start| path.starts_with(start));
        assert!(is_known != is_elsewhere, "{method} {path}");
    }
}
