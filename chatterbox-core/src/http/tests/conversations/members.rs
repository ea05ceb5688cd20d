use serde_json::{Value, json};

use super::town::{parsed, people, with_group_max};
use crate::app::{Call, Command};
use crate::http::tests::world::{Options, World, text};
use crate::ids::UserId;
use crate::ports::rate_limit::Quota;

#[tokio::test]
async fn s_067_admins_add_members_and_each_has_a_result() {
    let world = with_group_max(5);
    let [ann, bob, cid, dan, eve, fay, gus] = people(&world).await;
    let id = ann.makes("team", &[&bob]).await;
    let path = format!("/api/conversations/{id}/participants");
    let hears = bob.device(&[&id]).await;
    assert_eq!(bob.adds(&id, &cid).await.refusal(), (403, "FORBIDDEN"));
    assert_eq!(eve.adds(&id, &cid).await.refusal(), (404, "NOT_FOUND"));
    let added = ann.adds(&id, &cid).await;
    let result =
        |user: UserId, already: bool| json!({ "userId": user, "ok": true, "alreadyMember": already });
    assert_eq!(added.body, json!({ "results": [result(cid.id, false)] }));
    assert_eq!(
        ann.adds(&id, &cid).await.body,
        json!({ "results": [result(cid.id, true)] })
    );

    world.blocks(fay.id, ann.id).await;
    ann.put(&format!("/api/conversations/{id}/bans/{}", gus.id), &json!({}))
        .await;
    let unknown = UserId::new(&*world.ids);
    let refused = |user: UserId, code: &str| json!({ "userId": user, "ok": false, "alreadyMember": false, "code": code });
    let some = json!({ "userIds": [dan.id, cid.id, unknown, fay.id, gus.id, dan.id] });
    assert_eq!(
        ann.post(&path, &some).await.body["results"],
        json!([
            result(dan.id, false),
            result(cid.id, true),
            refused(unknown, "NOT_FOUND"),
            refused(fay.id, "BLOCKED"),
            refused(gus.id, "FORBIDDEN"),
        ])
    );
    for (whom, expected) in [(&fay, (403, "BLOCKED")), (&gus, (403, "FORBIDDEN"))] {
        assert_eq!(ann.adds(&id, whom).await.refusal(), expected);
    }
    assert_eq!(
        ann.post(&path, &json!({ "userId": unknown })).await.refusal(),
        (404, "NOT_FOUND")
    );
    // Who is in it already stays, whoever blocks whom.
    world.blocks(cid.id, ann.id).await;
    world.blocks(ann.id, bob.id).await;
    for whom in [&bob, &cid] {
        let again = ann.adds(&id, whom).await;
        assert_eq!(again.body, json!({ "results": [result(whom.id, true)] }));
    }

    // Four are in it, one more fits, two don't, and then nobody is added.
    let hal = world.register("hal").await;
    let two = json!({ "userIds": [eve.id, hal["user"]["id"]] });
    assert_eq!(ann.post(&path, &two).await.refusal(), (409, "GROUP_FULL"));
    assert_eq!(ann.sees(&id).await.body["participantCount"], 4);
    assert_eq!(ann.adds(&id, &eve).await.status, 200);
    assert_eq!(
        ann.adds(&id, &cid).await.status,
        200,
        "who is in it already takes no place"
    );

    let heard = hears.heard();
    let names: Vec<&str> = heard.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "participant-added",
            "participant-removed",
            "participant-added",
            "participant-added"
        ]
    );
    let first = &heard[0].1;
    assert_eq!(
        (&first["user"]["username"], &first["role"]),
        (&json!("cid"), &json!("member"))
    );
    assert_eq!((&first["addedBy"], &first["seq"]), (&json!(ann.id), &json!(1)));
    assert_eq!(
        (&first["conversation"]["name"], &first["message"]["type"]),
        (&json!("team"), &json!("system"))
    );
    for body in [
        json!({}),
        json!({ "userId": cid.id, "userIds": [] }),
        json!({ "userIds": [] }),
        json!({ "userIds": vec![cid.id.to_string(); 1001] }),
        json!({ "userIds": { "$in": [] } }),
        json!({ "userId": 5 }),
    ] {
        assert_eq!(
            ann.post(&path, &body).await.refusal(),
            (400, "VALIDATION"),
            "{body:.60}"
        );
    }
    for body in [json!({ "userId": "x" }), json!({ "userIds": [cid.id, "x"] })] {
        assert_eq!(
            ann.post(&path, &body).await.refusal(),
            (400, "INVALID_ID"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn s_068_members_are_removed_by_who_may() {
    let world = World::new();
    let [ann, bob, cid, dan, eve] = people(&world).await;
    let id = ann.makes("team", &[&bob, &cid, &dan]).await;
    ann.makes_of(&id, &bob, "admin").await;
    ann.makes_of(&id, &cid, "admin").await;
    let device = dan.device(&[&id]).await;
    for (by, whom, expected) in [
        (&dan, &bob, (403, "FORBIDDEN")),
        (&bob, &cid, (403, "FORBIDDEN")),
        (&bob, &ann, (403, "FORBIDDEN")),
        (&bob, &eve, (404, "NOT_FOUND")),
        (&dan, &eve, (403, "FORBIDDEN")),
        (&eve, &dan, (404, "NOT_FOUND")),
        (&bob, &dan, (204, "")),
        (&bob, &dan, (204, "")),
        (&ann, &cid, (204, "")),
        (&bob, &bob, (204, "")),
        (&bob, &bob, (204, "")),
        (&ann, &bob, (204, "")),
    ] {
        let answer = by.removes(&id, whom).await;
        assert_eq!((answer.status, answer.code()), expected);
    }
    assert_eq!(ann.roles(&id).await, "ann:owner");
    // I5: the removal is the last that a removed member hears.
    ann.says(&id, "gone?").await;
    let heard = device.heard();
    let [(name, payload)] = &heard[..] else {
        panic!("{heard:?}")
    };
    assert_eq!(name, "participant-removed");
    assert_eq!(
        (&payload["userId"], &payload["removedBy"]),
        (&json!(dan.id), &json!(bob.id))
    );
    assert_eq!(
        (&payload["reason"], &payload["banned"]),
        (&json!("removed"), &json!(false))
    );
    for path in ["", "/participants"] {
        let answer = dan.get(&format!("/api/conversations/{id}{path}")).await;
        assert_eq!(answer.refusal(), (404, "NOT_FOUND"));
    }
    assert_eq!(dan.get("/api/conversations").await.body["items"], json!([]));
}

#[tokio::test]
async fn edge_4_who_is_added_again_has_the_history_by_policy_and_a_sane_read_pointer() {
    let world = World::new();
    let [ann, bob] = people(&world).await;
    for (history, unread_before) in [("all", 1), ("since-join", 1)] {
        let id = ann.makes("team", &[&bob]).await;
        ann.put(
            &format!("/api/conversations/{id}"),
            &json!({ "history": history }),
        )
        .await;
        ann.says(&id, "before").await;
        assert_eq!(bob.sees(&id).await.body["unreadCount"], unread_before);
        ann.removes(&id, &bob).await;
        ann.says(&id, "meanwhile").await;
        ann.adds(&id, &bob).await;
        let seen = bob.sees(&id).await.body;
        // Everything up to the join counts as read, and nothing of it comes back.
        assert_eq!(seen["unreadCount"], 0, "{history}");
        assert_eq!(seen["readSeq"], seen["headSeq"], "{history}");
        let (joined, access) = {
            let member = world
                .stores
                .conversations
                .member(parsed(&id), bob.id)
                .await
                .unwrap()
                .unwrap();
            let conversation = world
                .stores
                .conversations
                .get(parsed(&id))
                .await
                .unwrap()
                .unwrap();
            (member.joined_seq, member.sees_above(&conversation))
        };
        match history {
            "all" => assert_eq!(access.0, 0),
            _ => assert_eq!(access.0, joined.0 - 1, "the entry of the join is theirs"),
        }
        ann.says(&id, "after").await;
        assert_eq!(bob.sees(&id).await.body["unreadCount"], 1, "{history}");
    }
}

#[tokio::test]
async fn s_069_roles_change_as_the_rules_say() {
    let world = World::new();
    let [ann, bob, cid, dan, eve] = people(&world).await;
    let id = ann.makes("team", &[&bob, &cid, &dan]).await;
    ann.makes_of(&id, &bob, "admin").await;
    for (by, whom, role, expected) in [
        (&dan, &cid, "admin", (403, "FORBIDDEN")),
        (&dan, &eve, "admin", (403, "FORBIDDEN")),
        (&eve, &cid, "admin", (404, "NOT_FOUND")),
        (&bob, &cid, "admin", (200, "")),
        (&bob, &cid, "admin", (200, "")),
        (&bob, &cid, "member", (403, "FORBIDDEN")),
        (&bob, &bob, "member", (403, "FORBIDDEN")),
        (&bob, &bob, "owner", (403, "FORBIDDEN")),
        (&bob, &ann, "member", (403, "FORBIDDEN")),
        (&bob, &eve, "admin", (404, "NOT_FOUND")),
        (&ann, &ann, "admin", (409, "LAST_OWNER")),
        (&ann, &ann, "member", (409, "LAST_OWNER")),
        (&ann, &ann, "owner", (200, "")),
        (&ann, &eve, "owner", (404, "NOT_FOUND")),
        (&ann, &cid, "member", (200, "")),
        (&ann, &cid, "boss", (400, "VALIDATION")),
        (&ann, &cid, "moderator", (400, "VALIDATION")),
        (&ann, &cid, "", (400, "VALIDATION")),
    ] {
        let answer = by.makes_of(&id, whom, role).await;
        assert_eq!((answer.status, answer.code()), expected, "{role}");
    }
    assert_eq!(ann.roles(&id).await, "ann:owner bob:admin cid:member dan:member");

    // S-107: a hand-over is told twice, in order.
    let device = dan.device(&[&id]).await;
    assert_eq!(ann.makes_of(&id, &dan, "owner").await.status, 200);
    assert_eq!(ann.roles(&id).await, "ann:admin bob:admin cid:member dan:owner");
    let heard = device.heard();
    let told: Vec<Value> = heard
        .iter()
        .map(|(name, payload)| {
            assert_eq!(name, "participant-role-updated");
            json!([
                payload["userId"],
                payload["role"],
                payload["previousRole"],
                payload["updatedBy"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!([dan.id, "owner", "member", ann.id]),
            json!([ann.id, "admin", "owner", ann.id])
        ]
    );
    assert_eq!(
        heard[1].1["seq"].as_u64(),
        heard[0].1["seq"].as_u64().map(|seq| seq + 1)
    );
    assert_eq!(
        ann.makes_of(&id, &bob, "member").await.refusal(),
        (403, "FORBIDDEN")
    );
}

#[tokio::test]
async fn s_072_and_edge_2_a_group_always_has_one_owner_until_its_last_member_leaves() {
    let world = World::new();
    let [ann, bob, cid, dan] = people(&world).await;
    let id = ann.makes("team", &[&bob, &cid]).await;
    ann.adds(&id, &dan).await;
    ann.makes_of(&id, &dan, "admin").await;
    let device = cid.device(&[&id]).await;
    // To the admin, though he came last.
    assert_eq!(ann.leaves(&id).await.status, 204);
    assert_eq!(ann.leaves(&id).await.status, 204, "left before");
    assert_eq!(bob.roles(&id).await, "bob:member cid:member dan:owner");
    assert_eq!(
        device.names(),
        ["participant-removed", "participant-role-updated"]
    );
    // To the member who has been in it longest; of those who came together, the lowest id.
    assert_eq!(dan.leaves(&id).await.status, 204);
    assert_eq!(bob.roles(&id).await, "bob:owner cid:member");
    assert_eq!(bob.leaves(&id).await.status, 204);
    assert_eq!(cid.roles(&id).await, "cid:owner");
    device.names();
    assert_eq!(cid.leaves(&id).await.status, 204);
    let closed = world
        .stores
        .conversations
        .get(parsed(&id))
        .await
        .unwrap()
        .unwrap();
    assert!(closed.archived);
    assert_eq!(cid.leaves(&id).await.status, 204);
    assert_eq!(
        device.names(),
        ["participant-removed"],
        "whoever is out hears nothing more"
    );
    let never = people_of_another_group(&world).await;
    assert_eq!(never, (404, "NOT_FOUND".to_owned()));
}

async fn people_of_another_group(world: &World) -> (u16, String) {
    let stranger = world.token("stranger").await;
    let list = world.get("/api/conversations").token(&stranger).send().await;
    assert_eq!(list.body["items"], json!([]));
    let made = world
        .post("/api/conversations/group", &json!({ "name": "x" }))
        .token(&stranger)
        .send()
        .await;
    let other = world.token("another").await;
    let path = format!("/api/conversations/{}/leave", made.body["id"].as_str().unwrap());
    let answer = world.post(&path, &json!({})).token(&other).send().await;
    (answer.status, answer.code().to_owned())
}

#[tokio::test]
async fn s_072_a_direct_conversation_has_no_members_to_change() {
    let world = World::new();
    let [ann, bob, cid] = people(&world).await;
    let id = ann.opens(&bob).await;
    assert_eq!(ann.leaves(&id).await.refusal(), (400, "DIRECT_CANNOT_LEAVE"));
    assert_eq!(
        ann.removes(&id, &ann).await.refusal(),
        (400, "DIRECT_CANNOT_LEAVE")
    );
    assert_eq!(ann.removes(&id, &bob).await.refusal(), (400, "VALIDATION"));
    assert_eq!(ann.adds(&id, &cid).await.refusal(), (400, "VALIDATION"));
    assert_eq!(
        ann.makes_of(&id, &bob, "admin").await.refusal(),
        (400, "VALIDATION")
    );
    assert_eq!(cid.leaves(&id).await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(ann.roles(&id).await, "ann:member bob:member");
}

/// THREATS.md G5: whichever door is used, and however many connections.
#[tokio::test]
async fn g5_changes_of_members_have_a_bucket_of_their_own_for_both_doors() {
    let world = World::with(Options {
        changes: Some(Quota {
            capacity: 7,
            refill_per_sec: 0.001,
        }),
        ..Options::default()
    });
    let [ann, bob, cid] = people(&world).await;
    let id = ann.makes("team", &[&bob, &cid]).await;
    let does = async |command: Value| {
        let command: Command = serde_json::from_value(command).unwrap();
        world
            .stack
            .run(Call::new(world.actor(ann.id), command))
            .await
            .map(drop)
    };
    let room = ann.post("/api/rooms", &json!({ "name": "lounge" })).await;
    assert_eq!(room.status, 201);
    // What changes nothing costs nothing: whoever reconnects joins all their rooms again.
    for _ in 0..20 {
        does(json!({ "command": "joinRoom", "roomName": "lounge" }))
            .await
            .unwrap();
        does(json!({ "command": "leaveRoom", "roomName": "no-member" }))
            .await
            .unwrap_err();
    }
    let role =
        |role: &str| json!({ "command": "setRole", "conversationId": id, "userId": bob.id, "role": role });
    does(role("admin")).await.unwrap();
    assert_eq!(ann.makes_of(&id, &bob, "member").await.status, 200);
    let bans = format!("/api/conversations/{id}/bans/{}", cid.id);
    assert_eq!(ann.put(&bans, &json!({})).await.status, 204);
    assert_eq!(ann.delete(&bans).await.status, 204);
    does(json!({ "command": "leaveRoom", "roomName": "lounge" }))
        .await
        .unwrap();
    for _ in 0..20 {
        does(json!({ "command": "leaveRoom", "roomName": "lounge" }))
            .await
            .unwrap();
    }
    does(json!({ "command": "joinRoom", "roomName": "lounge" }))
        .await
        .unwrap();
    assert_eq!(ann.removes(&id, &bob).await.status, 204);

    let before = ann.roles(&id).await;
    let refused = ann.makes_of(&id, &bob, "admin").await;
    assert_eq!(refused.refusal(), (429, "RATE_LIMITED"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(ann.removes(&id, &bob).await.refusal(), (429, "RATE_LIMITED"));
    assert_eq!(ann.put(&bans, &json!({})).await.refusal(), (429, "RATE_LIMITED"));
    assert_eq!(ann.leaves(&id).await.refusal(), (429, "RATE_LIMITED"));
    for command in [
        role("admin"),
        json!({ "command": "removeMember", "conversationId": id, "userId": bob.id }),
        json!({ "command": "leaveRoom", "roomName": "lounge" }),
    ] {
        let refused = does(command.clone()).await.unwrap_err();
        assert_eq!(refused.code(), "RATE_LIMITED", "{command}");
    }
    assert_eq!(ann.roles(&id).await, before);
    assert_eq!(
        cid.joins(text(&room.body, "conversationId").as_str(), &json!({}))
            .await
            .status,
        200,
        "everybody has their own"
    );
}
