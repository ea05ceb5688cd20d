//! Who gets which answer from which route: roles, former members, strangers, blocked users and nobody (THREATS.md D1).

use http::Method;
use serde_json::{Value, json};

use super::town::{Person, people};
use crate::http::router;
use crate::http::tests::world::World;

/// One of everybody, and a group they stand to in their ways.
struct Scene<'a> {
    /// Owner, admin, member, removed member, banned user, stranger, somebody the owner blocks.
    people: [Person<'a>; 7],
    group: String,
    /// A plain member, and a user who is none, to do things to.
    target: Person<'a>,
}

const WHO: [&str; 7] = [
    "owner", "admin", "member", "removed", "banned", "stranger", "blocked",
];

/// The member, while the owner blocks them: in groups and rooms that changes nothing, nor who is in a direct conversation
/// (S-135).
const BLOCKED_MEMBER: &str = "blocked member";

impl<'a> Scene<'a> {
    async fn set(world: &'a World) -> Scene<'a> {
        let [owner, admin, member, removed, banned, stranger, blocked, target] = people(world).await;
        let group = owner.makes("team", &[&admin, &member, &removed, &target]).await;
        owner.makes_of(&group, &admin, "admin").await;
        owner.removes(&group, &removed).await;
        let ban = format!("/api/conversations/{group}/bans/{}", banned.id);
        owner.put(&ban, &json!({})).await;
        world.blocks(owner.id, blocked.id).await;
        Scene {
            people: [owner, admin, member, removed, banned, stranger, blocked],
            group,
            target,
        }
    }
}

/// Method and path of a route of one conversation, a body that keeps the rules, and the answers: in a group to owner, admin
/// and member, in a direct conversation to either side, in a room to a moderator and a member. For everybody else the
/// conversation isn't there.
type Route = (
    &'static str,
    &'static str,
    fn(&Scene<'_>) -> Value,
    [u16; 3],
    u16,
    [u16; 2],
);

const ROUTES: &[Route] = &[
    (
        "get",
        "/api/conversations/{id}",
        |_| Value::Null,
        [200, 200, 200],
        200,
        [200, 200],
    ),
    (
        "put",
        "/api/conversations/{id}",
        |_| json!({ "name": "renamed" }),
        [200, 200, 403],
        400,
        [200, 403],
    ),
    (
        "delete",
        "/api/conversations/{id}",
        |_| Value::Null,
        [204, 403, 403],
        400,
        [403, 403],
    ),
    (
        "get",
        "/api/conversations/{id}/participants",
        |_| Value::Null,
        [200, 200, 200],
        200,
        [200, 200],
    ),
    (
        "post",
        "/api/conversations/{id}/participants",
        |scene| json!({ "userId": scene.people[5].id }),
        [200, 200, 403],
        400,
        [400, 400],
    ),
    (
        "delete",
        "/api/conversations/{id}/participants/{userId}",
        |_| Value::Null,
        [204, 204, 403],
        400,
        [400, 400],
    ),
    (
        "put",
        "/api/conversations/{id}/participants/{userId}/role",
        |_| json!({ "role": "admin" }),
        [200, 200, 403],
        400,
        [400, 400],
    ),
    (
        "post",
        "/api/conversations/{id}/join",
        |_| json!({}),
        [200, 200, 200],
        200,
        [200, 200],
    ),
    (
        "post",
        "/api/conversations/{id}/leave",
        |_| json!({}),
        [204, 204, 204],
        400,
        [204, 204],
    ),
    (
        "put",
        "/api/conversations/{id}/bans/{userId}",
        |_| json!({}),
        [204, 204, 403],
        400,
        [204, 403],
    ),
    (
        "delete",
        "/api/conversations/{id}/bans/{userId}",
        |_| Value::Null,
        [204, 204, 403],
        400,
        [204, 403],
    ),
    (
        "post",
        "/api/conversations/{id}/invites",
        |_| json!({}),
        [201, 201, 403],
        400,
        [400, 400],
    ),
    (
        "delete",
        "/api/conversations/{id}/invites",
        |_| Value::Null,
        [204, 204, 403],
        400,
        [400, 400],
    ),
    (
        "put",
        "/api/conversations/{id}/hidden",
        |_| json!({}),
        [204, 204, 204],
        204,
        [204, 204],
    ),
    (
        "put",
        "/api/conversations/{id}/notifications",
        |_| json!({ "level": "none" }),
        [200, 200, 200],
        200,
        [200, 200],
    ),
];

/// Routes of conversations that others prove.
const ELSEWHERE: [&str; 4] = ["/messages", "/read", "/direct", "/group"];

#[tokio::test]
async fn d1_every_route_answers_by_role_and_to_others_as_if_there_were_no_conversation() {
    for (method, path, body, members, ..) in ROUTES {
        for (index, who) in WHO.into_iter().enumerate().chain([(2, BLOCKED_MEMBER)]) {
            // Each in a world of its own: most routes change it.
            let world = World::new();
            let scene = Scene::set(&world).await;
            if who == BLOCKED_MEMBER {
                world.blocks(scene.people[0].id, scene.people[2].id).await;
            }
            let person = &scene.people[index];
            let expected = match members.get(index) {
                Some(expected) => *expected,
                // Who was a member once may leave again.
                None if path.ends_with("/leave") && matches!(who, "removed") => 204,
                None => 404,
            };
            let path = path.replace("{id}", &scene.group);
            let path = path.replace("{userId}", &scene.target.id.to_string());
            let before = scene.people[0].sees(&scene.group).await.body;
            let body = body(&scene);
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = person
                .ask(method.clone(), &path, (!body.is_null()).then_some(&body))
                .await;
            assert_eq!(
                answer.status, expected,
                "{method} {path} as {who}: {}",
                answer.body
            );
            if answer.status == 404 {
                // Not to be told from a conversation that isn't there.
                let nowhere = path.replace(&scene.group, "0123456789abcdef01234567");
                let nothing = person
                    .ask(method.clone(), &nowhere, (!body.is_null()).then_some(&body))
                    .await;
                let (told, untold) = (&answer.body["error"], &nothing.body["error"]);
                assert_eq!(told, untold, "{method} {path} as {who}");
            }
            if answer.status >= 400 {
                assert_eq!(
                    scene.people[0].sees(&scene.group).await.body,
                    before,
                    "{method} {path} as {who}"
                );
                let nobody = world.ask(method.clone(), &path).json(&body).send().await;
                assert_eq!(nobody.refusal(), (401, "UNAUTHENTICATED"), "{method} {path}");
            }
            let malformed = path.replace(&scene.group, "nonsense");
            let answer = person
                .ask(method.clone(), &malformed, (!body.is_null()).then_some(&body))
                .await;
            assert_eq!(
                answer.refusal(),
                (400, "INVALID_ID"),
                "{method} {malformed} as {who}"
            );
        }
    }
}

/// Of routes that are not as the table says, all at the end.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    async fn ask(&mut self, scene: &Scene<'_>, who: usize, id: &str, row: &Route, expected: u16) {
        let (method, path, body, ..) = row;
        let path = path
            .replace("{id}", id)
            .replace("{userId}", &scene.target.id.to_string());
        let body = body(scene);
        let method: Method = method.to_uppercase().parse().unwrap();
        let answer = scene.people[who]
            .ask(method, &path, (!body.is_null()).then_some(&body))
            .await;
        if answer.status != expected {
            self.0.push(format!(
                "{} {} as {who}: {expected} expected, got {} {}",
                row.0, row.1, answer.status, answer.body
            ));
        }
    }

    fn tell(&self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

#[tokio::test]
async fn d1_every_route_of_a_direct_conversation_answers_either_side_and_nobody_else() {
    let mut wrong = Wrong::default();
    for row in ROUTES {
        let sides = [
            (0, false, row.4),
            (2, false, row.4),
            (0, true, row.4),
            (2, true, row.4),
        ];
        for (who, is_blocked, expected) in sides.into_iter().chain([(5, false, 404)]) {
            let world = World::new();
            let scene = Scene::set(&world).await;
            let direct = scene.people[0].opens(&scene.people[2]).await;
            if is_blocked {
                world.blocks(scene.people[0].id, scene.people[2].id).await;
            }
            wrong.ask(&scene, who, &direct, row, expected).await;
        }
    }
    wrong.tell();
}

#[tokio::test]
async fn d1_every_route_of_a_room_answers_moderators_and_members_and_by_its_id_nobody_else() {
    let mut wrong = Wrong::default();
    for row in ROUTES {
        let [moderator, member] = row.5;
        for (who, expected) in [
            (0, moderator),
            (2, member),
            (3, 404),
            (4, 404),
            (5, 404),
            (6, member),
        ] {
            // Anybody may join a room, unless they are banned.
            let expected = match (row.1.ends_with("/join"), who) {
                (true, 4) => 403,
                (true, _) => 200,
                (false, _) => expected,
            };
            let world = World::new();
            let scene = Scene::set(&world).await;
            let made = scene.people[0]
                .post("/api/rooms", &json!({ "name": "lounge" }))
                .await;
            let room = made.body["conversationId"].as_str().unwrap().to_owned();
            let [_, _, member, left, banned, _, blocked] = &scene.people;
            for member in [member, left, banned, blocked, &scene.target] {
                assert_eq!(member.joins(&room, &json!({})).await.status, 200);
            }
            left.leaves(&room).await;
            let ban = format!("/api/conversations/{room}/bans/{}", banned.id);
            assert_eq!(scene.people[0].put(&ban, &json!({})).await.status, 204);
            wrong.ask(&scene, who, &room, row, expected).await;
        }
    }
    wrong.tell();
}

#[test]
fn d1_the_matrix_has_every_route_of_a_conversation() {
    for (method, path, _) in router::routes() {
        let is_elsewhere = ELSEWHERE.iter().any(|part| path.contains(part));
        if path.starts_with("/api/conversations/") && !is_elsewhere {
            let known = ROUTES
                .iter()
                .any(|(known, at, ..)| (*known, *at) == (method, path));
            assert!(known, "{method} {path} is in no row");
        }
    }
}

#[tokio::test]
async fn g3_approaches_to_others_have_a_bucket_of_their_own() {
    let world = World::with(crate::http::tests::world::Options {
        contacts: Some(crate::ports::rate_limit::Quota {
            capacity: 2,
            refill_per_sec: 0.001,
        }),
        ..crate::http::tests::world::Options::default()
    });
    let [ann, bob, cid] = people(&world).await;
    let group = ann.makes("team", &[]).await;
    assert_eq!(ann.adds(&group, &bob).await.status, 200);
    let refused = ann.adds(&group, &cid).await;
    assert_eq!(refused.refusal(), (429, "RATE_LIMITED"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(ann.sees(&group).await.body["participantCount"], 2);
    assert_eq!(bob.opens(&cid).await.len(), 24, "everybody has their own");
}
