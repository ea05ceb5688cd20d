//! Who gets which answer from which event (THREATS.md D1): one table for each kind of conversation, and what is refused
//! changes nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::world::{Client, Cluster, Node, Person};
use crate::domain::entry::Seq;
use crate::engine::chat::event_names;
use crate::ids::ConversationId;

const OK: &str = "ok";
const NO: &str = "FORBIDDEN";
const NONE: &str = "NOT_FOUND";
const OUT: &str = "NOT_A_MEMBER";
const BLOCKED: &str = "BLOCKED";
const GUEST: &str = "UNAUTHENTICATED";
const BAD: &str = "VALIDATION";

/// Everybody there is, and what they talk in. Made anew whenever something was not refused.
struct Scene {
    cluster: Cluster,
    node: Node,
    /// In the order of [`WHO`].
    people: Vec<Person>,
    /// A plain member to do things to.
    target: Person,
    group: String,
    /// Of the owner and the member.
    direct: String,
    /// Of the owner and the one the owner blocks.
    spoiled: String,
    /// A message of the owner in each.
    message: Value,
    direct_message: Value,
    spoiled_message: Value,
    room_message: Value,
    room: String,
}

const WHO: [&str; 8] = [
    "owner",
    "admin",
    "member",
    "blocked-member",
    "removed",
    "banned",
    "stranger",
    "blocked",
];
const OWNER: usize = 0;
const ADMIN: usize = 1;
const MEMBER: usize = 2;
/// A member of the group whom the owner blocks: there that changes nothing (S-135).
const FOLDED: usize = 3;
const REMOVED: usize = 4;
const BANNED: usize = 5;
const STRANGER: usize = 6;
const SPOILED: usize = 7;

impl Scene {
    async fn set() -> Scene {
        let cluster = Cluster::new();
        let node = cluster.node().await;
        let mut people = Vec::new();
        for name in WHO {
            people.push(node.person(&format!("the-{name}")).await);
        }
        let target = node.person("the-target").await;
        let group = node
            .group(
                &people[OWNER],
                &[
                    &people[ADMIN],
                    &people[MEMBER],
                    &people[FOLDED],
                    &people[REMOVED],
                    &target,
                ],
            )
            .await;
        let owner = &people[OWNER];
        let about = |command: &str, whom: &Person, conversation: &str| json!({"command": command, "conversationId": conversation, "userId": whom.id, "role": "admin"});
        node.call(owner, about("setRole", &people[ADMIN], &group)).await;
        node.call(owner, about("removeMember", &people[REMOVED], &group))
            .await;
        node.call(owner, about("banMember", &people[BANNED], &group))
            .await;
        let direct = node.direct(owner, &people[MEMBER]).await;
        let spoiled = node.direct(owner, &people[SPOILED]).await;
        let made = node
            .call(owner, json!({"command": "createRoom", "name": "lounge"}))
            .await;
        let room = made["conversationId"].as_str().unwrap_or_default().to_owned();
        for guest in [ADMIN, MEMBER, REMOVED, BANNED, SPOILED] {
            node.call(
                &people[guest],
                json!({"command": "joinRoom", "roomName": "lounge"}),
            )
            .await;
        }
        let leave = json!({"command": "leaveRoom", "roomName": "lounge"});
        node.call(&people[REMOVED], leave).await;
        node.call(owner, about("banMember", &people[BANNED], &room)).await;
        let id = |sent: Value| sent["message"]["id"].clone();
        let message = id(node.says(owner, &group, "a").await);
        let direct_message = id(node.says(owner, &direct, "a").await);
        let spoiled_message = id(node.says(owner, &spoiled, "a").await);
        let room_message = id(node.says(owner, &room, "a").await);
        for blocked in [FOLDED, SPOILED] {
            let block = json!({"command": "blockUser", "user": people[blocked].id});
            node.call(owner, block).await;
        }
        Scene {
            cluster,
            node,
            people,
            target,
            group,
            direct,
            spoiled,
            message,
            direct_message,
            spoiled_message,
            room_message,
            room,
        }
    }

    /// Where the logs end.
    async fn heads(&self) -> Vec<Seq> {
        let mut heads = Vec::new();
        for id in [&self.group, &self.direct, &self.spoiled, &self.room] {
            let id: ConversationId = id.parse().unwrap();
            heads.push(self.cluster.stores.log.head(id).await.unwrap().seq);
        }
        heads
    }
}

/// An event about a conversation: name, payload by conversation and message, and the answers.
type Row<const N: usize> = (&'static str, fn(&Scene, &str, &Value) -> Value, [&'static str; N]);

fn of_message(_: &Scene, conversation: &str, message: &Value) -> Value {
    json!({"conversationId": conversation, "messageId": message, "emoji": "👍", "content": "b", "scope": "all"})
}

fn of_conversation(_: &Scene, conversation: &str, _: &Value) -> Value {
    json!({"conversationId": conversation, "content": "b"})
}

fn of_target(scene: &Scene, conversation: &str, _: &Value) -> Value {
    json!({"conversationId": conversation, "userId": scene.target.id, "role": "admin"})
}

fn of_read(_: &Scene, conversation: &str, message: &Value) -> Value {
    json!({"conversationId": conversation, "messageIds": [message]})
}

fn of_room(_: &Scene, _: &str, _: &Value) -> Value {
    json!({"roomName": "lounge", "content": "b"})
}

/// Answers to owner, admin and member, whether somebody blocks them or not. For everybody else the group isn't there.
const GROUP: &[Row<3>] = &[
    ("send-message", of_conversation, [OK, OK, OK]),
    ("mark-read", of_read, [OK, OK, OK]),
    ("add-reaction", of_message, [OK, OK, OK]),
    ("remove-reaction", of_message, [OK, OK, OK]),
    ("edit-message", of_message, [OK, NO, NO]),
    ("delete-message", of_message, [OK, OK, NO]),
    (
        "add-participant",
        |scene, group, _| json!({"conversationId": group, "userId": scene.people[STRANGER].id}),
        [OK, OK, NO],
    ),
    ("remove-participant", of_target, [OK, OK, NO]),
    ("update-participant-role", of_target, [OK, OK, NO]),
    ("typing", of_conversation, [OK, OK, OK]),
    ("join-conversation", of_conversation, [OK, OK, OK]),
];

/// Answers to both of a pair, to both of a pair of whom one blocks the other, and to a stranger.
const DIRECT: &[Row<5>] = &[
    ("send-message", of_conversation, [OK, OK, BLOCKED, BLOCKED, NONE]),
    ("mark-read", of_read, [OK, OK, OK, OK, NONE]),
    ("add-reaction", of_message, [OK, OK, BLOCKED, BLOCKED, NONE]),
    ("remove-reaction", of_message, [OK, OK, OK, OK, NONE]),
    ("edit-message", of_message, [OK, NO, BLOCKED, BLOCKED, NONE]),
    ("delete-message", of_message, [OK, NO, OK, NO, NONE]),
    ("add-participant", of_target, [BAD, BAD, BAD, BAD, NONE]),
    ("remove-participant", of_target, [BAD, BAD, BAD, BAD, NONE]),
    ("update-participant-role", of_target, [BAD, BAD, BAD, BAD, NONE]),
    ("typing", of_conversation, [OK, OK, OK, OK, NONE]),
    ("join-conversation", of_conversation, [OK, OK, OK, OK, NONE]),
];

/// Answers to the moderator, a member, a member whom the moderator blocks, one who has left, somebody banned and a
/// stranger. By its id, a room one is not in is not there; by its name it is.
const ROOM: &[Row<6>] = &[
    ("join-room", of_room, [OK, OK, OK, OK, NO, OK]),
    ("leave-room", of_room, [OK, OK, OK, OK, OK, OK]),
    ("send-room-message", of_room, [OK, OK, OK, OUT, OUT, OUT]),
    ("send-message", of_conversation, [OK, OK, OK, NONE, NONE, NONE]),
    ("mark-read", of_read, [OK, OK, OK, NONE, NONE, NONE]),
    ("add-reaction", of_message, [OK, OK, OK, NONE, NONE, NONE]),
    ("remove-reaction", of_message, [OK, OK, OK, NONE, NONE, NONE]),
    ("edit-message", of_message, [OK, NO, NO, NONE, NONE, NONE]),
    ("delete-message", of_message, [OK, NO, NO, NONE, NONE, NONE]),
    ("add-participant", of_target, [BAD, BAD, BAD, NONE, NONE, NONE]),
    ("remove-participant", of_target, [BAD, BAD, BAD, NONE, NONE, NONE]),
    (
        "update-participant-role",
        of_target,
        [BAD, BAD, BAD, NONE, NONE, NONE],
    ),
    ("typing", of_conversation, [OK, OK, OK, NONE, NONE, NONE]),
    (
        "join-conversation",
        of_conversation,
        [OK, OK, OK, NONE, NONE, NONE],
    ),
];

/// Events that name a room: only rooms have them.
const BY_NAME: [&str; 3] = ["join-room", "leave-room", "send-room-message"];

/// Events that are about no single conversation, or keep only what the socket itself has said: answered to everybody alike.
const OF_ONESELF: [&str; 5] = ["auth", "heartbeat", "leave-conversation", "resume", "stop-typing"];

/// Answers that are not as the table says, all told at the end.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn check(&mut self, answer: &Value, expected: &str, row: &str) {
        if outcome(answer) != expected {
            self.0.push(format!("{row}: {expected} expected, got {answer}"));
        }
    }

    fn tell(&self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

fn outcome(answer: &Value) -> &str {
    if answer["ok"] == true {
        OK
    } else {
        answer["error"]["code"].as_str().unwrap_or("no code")
    }
}

/// Asks, and holds that a refusal changes nothing.
async fn asks(scene: &Scene, who: usize, event: &str, payload: &Value) -> (Client, Value) {
    let mut client = scene.node.client(&scene.people[who]).await;
    let before = scene.heads().await;
    let answer = client.ask(event, payload.clone()).await;
    if outcome(&answer) != OK {
        assert_eq!(scene.heads().await, before, "{event} as {}", WHO[who]);
    }
    (client, answer)
}

#[tokio::test(start_paused = true)]
async fn d1_every_event_of_a_group_answers_by_role_and_to_others_as_if_there_were_no_group() {
    let mut wrong = Wrong::default();
    for (event, payload, members) in GROUP {
        let mut scene = Scene::set().await;
        for (who, name) in WHO.iter().enumerate() {
            let payload = payload(&scene, &scene.group, &scene.message);
            let (mut client, answer) = asks(&scene, who, event, &payload).await;
            let role = if who == FOLDED { MEMBER } else { who };
            let expected = members.get(role).copied().unwrap_or(NONE);
            wrong.check(&answer, expected, &format!("{event} as {name}"));
            let is_done = outcome(&answer) == OK;
            if who > FOLDED {
                // Not to be told from a group that isn't there.
                let mut nowhere = payload.clone();
                nowhere["conversationId"] = json!("0123456789abcdef01234567");
                assert_eq!(
                    client.ask(event, nowhere).await["error"],
                    answer["error"],
                    "{event} as {name}"
                );
            }
            let mut malformed = payload.clone();
            malformed["conversationId"] = json!("nonsense");
            let answer = client.ask(event, malformed).await;
            assert_eq!(outcome(&answer), "INVALID_ID", "{event} as {name}");
            if is_done {
                scene = Scene::set().await;
            }
        }
    }
    wrong.tell();
}

#[tokio::test(start_paused = true)]
async fn d1_every_event_of_a_direct_conversation_answers_both_sides_a_block_and_strangers() {
    let mut wrong = Wrong::default();
    for (event, payload, expected) in DIRECT {
        let mut scene = Scene::set().await;
        let sides = [
            (OWNER, false),
            (MEMBER, false),
            (OWNER, true),
            (SPOILED, true),
            (STRANGER, false),
        ];
        for ((who, spoiled), expected) in sides.into_iter().zip(expected) {
            let (id, message) = if spoiled {
                (&scene.spoiled, &scene.spoiled_message)
            } else {
                (&scene.direct, &scene.direct_message)
            };
            let (_, answer) = asks(&scene, who, event, &payload(&scene, id, message)).await;
            wrong.check(
                &answer,
                expected,
                &format!("{event} as {}, blocked: {spoiled}", WHO[who]),
            );
            if outcome(&answer) == OK {
                scene = Scene::set().await;
            }
        }
    }
    wrong.tell();
}

#[tokio::test(start_paused = true)]
async fn d1_every_event_of_a_room_answers_moderators_members_banned_and_strangers() {
    let mut wrong = Wrong::default();
    for (event, payload, expected) in ROOM {
        let mut scene = Scene::set().await;
        let everybody = [OWNER, MEMBER, SPOILED, REMOVED, BANNED, STRANGER];
        for (who, expected) in everybody.into_iter().zip(expected) {
            let payload = payload(&scene, &scene.room, &scene.room_message);
            let (_, answer) = asks(&scene, who, event, &payload).await;
            wrong.check(&answer, expected, &format!("{event} as {}", WHO[who]));
            if outcome(&answer) == OK {
                scene = Scene::set().await;
            }
        }
    }
    wrong.tell();
}

#[tokio::test(start_paused = true)]
async fn d1_nobody_gets_anything_from_any_event_but_auth() {
    let scene = Scene::set().await;
    for event in event_names().filter(|event| *event != "auth") {
        let mut guest = scene.node.guest().await;
        let before = scene.heads().await;
        let payload = json!({
            "conversationId": scene.group, "roomName": "lounge", "messageId": scene.message, "messageIds": [], "content": "b",
            "emoji": "👍", "userId": scene.target.id, "role": "admin", "cursors": {},
        });
        assert_eq!(outcome(&guest.ask(event, payload).await), GUEST, "{event}");
        assert_eq!(scene.heads().await, before, "{event}");
    }
}

#[test]
fn d1_each_table_has_every_event_of_its_kind() {
    let of_rooms: BTreeSet<&str> = event_names()
        .filter(|event| !OF_ONESELF.contains(event))
        .collect();
    let mut of_others = of_rooms.clone();
    of_others.retain(|event| !BY_NAME.contains(event));
    assert_eq!(GROUP.iter().map(|row| row.0).collect::<BTreeSet<_>>(), of_others);
    assert_eq!(DIRECT.iter().map(|row| row.0).collect::<BTreeSet<_>>(), of_others);
    assert_eq!(ROOM.iter().map(|row| row.0).collect::<BTreeSet<_>>(), of_rooms);
}
