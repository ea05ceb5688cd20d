use futures_util::future::join_all;
use serde_json::json;

use super::town::{people, with_group_max};
use crate::http::tests::world::{World, text};
use crate::ids::UserId;

#[tokio::test]
async fn edge_1_of_twenty_parallel_openings_from_both_sides_one_is_new() {
    let world = World::new();
    let [ann, bob] = people(&world).await;
    let (with_ann, with_bob) = (json!({ "userId": ann.id }), json!({ "userId": bob.id }));
    let answers = join_all((0..20).map(|number| {
        let (who, body) = if number % 2 == 0 {
            (&ann, &with_bob)
        } else {
            (&bob, &with_ann)
        };
        who.post("/api/conversations/direct", body)
    }))
    .await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!((&statuses[..19], statuses[19]), (&[200; 19][..], 201));
    assert!(
        answers
            .iter()
            .all(|answer| answer.body["id"] == answers[0].body["id"])
    );
    assert_eq!(
        ann.get("/api/conversations").await.body["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn s_003_who_a_direct_conversation_is_opened_with() {
    let world = World::new();
    let [ann, bob, cid] = people(&world).await;
    world.blocks(bob.id, ann.id).await;
    world.blocks(ann.id, cid.id).await;
    let unknown = UserId::new(&*world.ids).to_string();
    for (body, expected) in [
        (json!({ "userId": ann.id }), (201, "")),
        (json!({ "userId": ann.id }), (200, "")),
        (json!({ "userId": bob.id }), (403, "BLOCKED")),
        (json!({ "userId": cid.id }), (403, "BLOCKED")),
        (json!({ "userId": unknown }), (404, "NOT_FOUND")),
        (json!({ "userId": "ann" }), (400, "INVALID_ID")),
        (json!({ "userId": { "$gt": "" } }), (400, "VALIDATION")),
        (json!({}), (400, "VALIDATION")),
    ] {
        let answer = ann.post("/api/conversations/direct", &body).await;
        assert_eq!((answer.status, answer.code()), expected, "{body}");
    }
    let notes = ann.opens(&ann).await;
    let notes = ann.sees(&notes).await.body;
    assert_eq!(
        (&notes["participantCount"], &notes["myRole"]),
        (&json!(1), &json!("member"))
    );
}

#[tokio::test]
async fn s_063_a_hidden_conversation_comes_back_by_writing_or_opening() {
    let world = World::new();
    let [ann, bob] = people(&world).await;
    let id = ann.opens(&bob).await;
    let listed = async |query: &str| {
        let answer = ann.get(&format!("/api/conversations?{query}")).await;
        answer.body["items"].as_array().unwrap().len()
    };
    let path = format!("/api/conversations/{id}/hidden");
    let device = ann.device(&[]).await;
    for bring_back in ["writing", "opening", "asking"] {
        assert_eq!(ann.put(&path, &json!({})).await.status, 204);
        assert_eq!(
            device.heard().pop().unwrap().1,
            json!({ "conversationId": id, "hidden": true })
        );
        assert_eq!((listed("").await, listed("hidden=true").await), (0, 1));
        assert_eq!(
            bob.get("/api/conversations").await.body["items"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        match bring_back {
            "writing" => bob.says(&id, "are you there?").await,
            "opening" => assert_eq!(ann.opens(&bob).await, id),
            _ => assert_eq!(ann.put(&path, &json!({ "hidden": false })).await.status, 204),
        }
        assert_eq!(
            (listed("").await, listed("hidden=true").await),
            (1, 0),
            "{bring_back}"
        );
    }
    assert_eq!(device.names(), ["conversation-hidden"]);
}

#[tokio::test]
async fn s_064_a_group_is_made_once_and_all_its_members_hear_of_it() {
    let world = World::new();
    let [ann, bob, cid, dan] = people(&world).await;
    let devices = [
        ann.device(&[]).await,
        bob.device(&[]).await,
        bob.device(&[]).await,
    ];
    let stranger = dan.device(&[]).await;
    let body = json!({
        "name": " Team ", "description": "ours", "visibility": "public", "history": "since-join",
        "participantIds": [bob.id, cid.id, bob.id, ann.id],
        "role": "admin", "ownerId": bob.id, "seq": 7, "createdAt": 0
    });
    let make = async |body: &serde_json::Value, key: &str| {
        let ask = world.post("/api/conversations/group", body).token(&ann.token);
        ask.header("idempotency-key", key).send().await
    };
    let made = make(&body, "key-1").await;
    assert_eq!(made.status, 201, "{made:?}");
    let group = &made.body;
    assert_eq!(
        (&group["name"], &group["type"]),
        (&json!("Team"), &json!("group"))
    );
    assert_eq!(
        (&group["visibility"], &group["history"]),
        (&json!("public"), &json!("since-join"))
    );
    assert_eq!(
        (&group["participantCount"], &group["notAdded"]),
        (&json!(3), &json!([]))
    );
    let id = text(group, "id");
    assert_eq!(ann.roles(&id).await, "ann:owner bob:member cid:member");
    for device in &devices {
        let heard = device.heard();
        let [(name, payload)] = &heard[..] else {
            panic!("{heard:?}")
        };
        assert_eq!(name, "conversation-created");
        assert_eq!(payload["conversation"]["id"], id.as_str());
        assert_eq!(
            payload["conversation"]["participants"].as_array().unwrap().len(),
            3
        );
        assert_eq!(payload["createdBy"], ann.id.to_string());
    }
    assert_eq!(stranger.names(), [""; 0]);

    let again = make(&body, "key-1").await;
    assert_eq!((again.status, &again.body["id"]), (200, &json!(id)));
    assert_eq!(devices[0].names(), [""; 0]);
    let mut other = body.clone();
    other["name"] = json!("Another");
    assert_eq!(make(&other, "key-1").await.refusal(), (409, "CONFLICT"));
    let mut fewer = body.clone();
    fewer["participantIds"] = json!([bob.id]);
    assert_eq!(make(&fewer, "key-1").await.refusal(), (409, "CONFLICT"));
    assert_eq!(make(&body, "key-2").await.status, 201);
    assert_eq!(make(&body, &"k".repeat(65)).await.fields(), ["Idempotency-Key"]);
    let twice = world.post("/api/conversations/group", &body).token(&ann.token);
    let twice = twice
        .header("idempotency-key", "key-1")
        .header("idempotency-key", "key-1");
    assert_eq!(twice.send().await.fields(), ["Idempotency-Key"]);
    // Keys are the caller's own.
    let of_bob = world.post("/api/conversations/group", &other).token(&bob.token);
    assert_eq!(of_bob.header("idempotency-key", "key-1").send().await.status, 201);
}

#[tokio::test]
async fn s_064_of_racing_creations_with_one_key_one_makes_the_group() {
    let world = World::new();
    let [ann, bob] = people(&world).await;
    let body = json!({ "name": "Team", "participantIds": [bob.id] });
    let answers = join_all((0..10).map(|_| {
        let ask = world.post("/api/conversations/group", &body).token(&ann.token);
        ask.header("idempotency-key", "k").send()
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.body["id"] == answers[0].body["id"])
    );
}

#[tokio::test]
async fn s_004_what_a_group_may_be() {
    let world = with_group_max(3);
    let [ann, bob, cid, dan] = people(&world).await;
    let unknown = UserId::new(&*world.ids);
    for (body, expected, fields) in [
        (
            json!({ "participantIds": [] }),
            (400, "VALIDATION"),
            &["name"][..],
        ),
        (json!({ "name": "  " }), (400, "VALIDATION"), &["name"]),
        (
            json!({ "name": "\u{202e}\u{200b}" }),
            (400, "VALIDATION"),
            &["name"],
        ),
        (json!({ "name": "x".repeat(101) }), (400, "VALIDATION"), &["name"]),
        (json!({ "name": { "$ne": 1 } }), (400, "VALIDATION"), &["name"]),
        (
            json!({ "name": "a", "description": "x".repeat(251) }),
            (400, "VALIDATION"),
            &["description"],
        ),
        (
            json!({ "name": "a", "visibility": "secret" }),
            (400, "VALIDATION"),
            &["visibility"],
        ),
        (
            json!({ "name": "a", "history": 1 }),
            (400, "VALIDATION"),
            &["history"],
        ),
        (
            json!({ "name": "a", "participantIds": "x" }),
            (400, "VALIDATION"),
            &["participantIds"],
        ),
        (
            json!({ "name": "a", "participantIds": [1] }),
            (400, "VALIDATION"),
            &["participantIds"],
        ),
        (
            json!({ "name": "a", "participantIds": vec![bob.id; 1001] }),
            (400, "VALIDATION"),
            &["participantIds"],
        ),
        (
            json!({ "name": "a", "participantIds": ["bob"] }),
            (400, "INVALID_ID"),
            &[],
        ),
        (
            json!({ "name": "a", "participantIds": [bob.id, unknown] }),
            (400, "VALIDATION"),
            &["participantIds"],
        ),
        (
            json!({ "name": "a", "participantIds": [bob.id, cid.id, dan.id] }),
            (409, "GROUP_FULL"),
            &[],
        ),
    ] {
        let answer = ann.post("/api/conversations/group", &body).await;
        assert_eq!(answer.refusal(), expected, "{body:.80}");
        assert_eq!(answer.fields(), fields, "{body:.80}");
    }
    let refusal = ann
        .post(
            "/api/conversations/group",
            &json!({ "name": "a", "participantIds": [unknown] }),
        )
        .await;
    assert!(
        refusal.body["error"]["details"][0]["rule"]
            .as_str()
            .unwrap()
            .contains(&unknown.to_string())
    );
    assert_eq!(ann.get("/api/conversations").await.body["items"], json!([]));
    let exactly = json!({ "name": "é".repeat(100), "participantIds": vec![bob.id, cid.id, ann.id, cid.id] });
    assert_eq!(ann.post("/api/conversations/group", &exactly).await.status, 201);
}

#[tokio::test]
async fn s_135_nobody_is_put_into_a_group_by_somebody_they_block() {
    let world = World::new();
    let [ann, bob, cid, dan] = people(&world).await;
    world.blocks(bob.id, ann.id).await;
    world.blocks(ann.id, cid.id).await;
    let body = json!({ "name": "Team", "participantIds": [bob.id, cid.id, dan.id] });
    let made = ann.post("/api/conversations/group", &body).await;
    let id = text(&made.body, "id");
    assert_eq!(ann.roles(&id).await, "ann:owner dan:member");
    let refused = |person: UserId| json!({ "userId": person, "code": "BLOCKED" });
    assert_eq!(made.body["notAdded"], json!([refused(bob.id), refused(cid.id)]));
    for person in [&bob, &cid] {
        assert_eq!(ann.adds(&id, person).await.refusal(), (403, "BLOCKED"));
    }
    // Dan is an admin now, and blocks nobody.
    ann.makes_of(&id, &dan, "admin").await;
    assert_eq!(dan.adds(&id, &bob).await.status, 200);
}
