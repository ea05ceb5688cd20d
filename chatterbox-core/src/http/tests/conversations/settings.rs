use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::town::{parsed, people, with_group_max};
use crate::app::Actor;
use crate::app::accounts::SetAdmin;
use crate::http::tests::world::{World, text};

#[tokio::test]
async fn s_066_admins_change_the_settings_and_everybody_hears_of_it() {
    let world = World::new();
    let [ann, bob, cid] = people(&world).await;
    let id = ann.makes("team", &[&bob]).await;
    let path = format!("/api/conversations/{id}");
    let device = bob.device(&[&id]).await;
    let change = json!({ "name": " New name ", "description": "about it", "visibility": "public" });
    assert_eq!(bob.put(&path, &change).await.refusal(), (403, "FORBIDDEN"));
    assert_eq!(cid.put(&path, &change).await.refusal(), (404, "NOT_FOUND"));
    let saved = ann.put(&path, &change).await;
    assert_eq!(saved.status, 200, "{saved:?}");
    assert_eq!(
        (&saved.body["name"], &saved.body["history"]),
        (&json!("New name"), &json!("all"))
    );
    let heard = device.heard();
    assert_eq!(heard[0].0, "conversation-updated");
    assert_eq!(
        (&heard[0].1["updatedBy"], &heard[0].1["seq"]),
        (&json!(ann.id), &json!(1))
    );
    assert_eq!(heard[0].1["message"]["type"], "system");
    let seen = bob.sees(&id).await.body;
    assert_eq!(
        (&seen["name"], &seen["description"]),
        (&json!("New name"), &json!("about it"))
    );
    assert_eq!(seen["lastMessage"]["type"], "system");
    assert_eq!(seen["unreadCount"], 0, "what the system says has no ordinal");

    // The same again changes nothing; an empty text takes the description away.
    assert_eq!(ann.put(&path, &change).await.status, 200);
    assert_eq!(device.names(), [""; 0]);
    assert_eq!(
        ann.put(&path, &json!({ "description": " " })).await.body["description"],
        Value::Null
    );
    assert_eq!(device.names(), ["conversation-updated"]);
    for (body, field) in [
        (json!({ "name": "" }), "name"),
        (json!({ "name": 1 }), "name"),
        (json!({ "description": "x".repeat(251) }), "description"),
        (json!({ "visibility": "open" }), "visibility"),
        (json!({ "history": "none" }), "history"),
    ] {
        assert_eq!(ann.put(&path, &body).await.fields(), [field], "{body:.60}");
    }
    let direct = ann.opens(&bob).await;
    let refused = ann.put(&format!("/api/conversations/{direct}"), &change).await;
    assert_eq!(refused.refusal(), (400, "VALIDATION"));
}

#[tokio::test]
async fn s_066_if_match_guards_against_lost_updates() {
    let world = World::new();
    let [ann, bob] = people(&world).await;
    let id = ann.makes("team", &[&bob]).await;
    let path = format!("/api/conversations/{id}");
    let etag = ann.sees(&id).await.header("etag").to_owned();
    let put = async |name: &str, etag: &str| {
        let ask = world.ask(Method::PUT, &path).token(&ann.token);
        ask.json(&json!({ "name": name }))
            .header("if-match", etag)
            .send()
            .await
    };
    // Other things than the settings may have happened meanwhile.
    bob.says(&id, "hi").await;
    let first = put("one", &etag).await;
    assert_eq!(first.status, 200);
    assert_ne!(first.header("etag"), etag);
    assert_eq!(put("two", &etag).await.refusal(), (412, "PRECONDITION_FAILED"));
    assert_eq!(put("two", "nonsense").await.refusal(), (400, "VALIDATION"));
    assert_eq!(put("two", first.header("etag")).await.status, 200);
    assert_eq!(put("three", "*").await.status, 200);
    assert_eq!(ann.sees(&id).await.body["name"], "three");
}

#[tokio::test]
async fn s_137_the_owner_closes_a_group_for_good() {
    let world = World::new();
    let [ann, bob, cid] = people(&world).await;
    let id = ann.makes("team", &[&bob]).await;
    let path = format!("/api/conversations/{id}");
    ann.makes_of(&id, &bob, "admin").await;
    let device = bob.device(&[&id]).await;
    assert_eq!(bob.delete(&path).await.refusal(), (403, "FORBIDDEN"));
    assert_eq!(cid.delete(&path).await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(ann.delete(&path).await.status, 204);
    assert_eq!(ann.delete(&path).await.status, 204);
    assert_eq!(device.names(), ["conversation-deleted"]);
    // Readable, but nothing is added.
    assert_eq!(bob.sees(&id).await.body["archived"], true);
    assert_eq!(
        ann.put(&path, &json!({ "name": "x" })).await.refusal(),
        (410, "GONE")
    );
    assert_eq!(ann.adds(&id, &cid).await.refusal(), (410, "GONE"));
    assert_eq!(ann.makes_of(&id, &bob, "owner").await.refusal(), (410, "GONE"));
    assert_eq!(
        ann.post(&format!("{path}/invites"), &json!({})).await.refusal(),
        (410, "GONE")
    );
    assert_eq!(bob.leaves(&id).await.status, 204, "but left");
    let direct = ann.opens(&bob).await;
    let refused = ann.delete(&format!("/api/conversations/{direct}")).await;
    assert_eq!(refused.refusal(), (400, "VALIDATION"));
}

#[tokio::test]
async fn s_071_public_groups_are_joined_and_private_ones_do_not_exist() {
    let world = with_group_max(3);
    let [ann, bob, cid, dan, eve] = people(&world).await;
    let id = ann.makes("team", &[&bob]).await;
    let none = json!({});
    assert_eq!(cid.joins(&id, &none).await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(bob.joins(&id, &none).await.status, 200, "a member already");
    ann.put(
        &format!("/api/conversations/{id}"),
        &json!({ "visibility": "public" }),
    )
    .await;
    ann.put(&format!("/api/conversations/{id}/bans/{}", dan.id), &none)
        .await;
    assert_eq!(dan.joins(&id, &none).await.refusal(), (403, "FORBIDDEN"));
    let joined = cid.joins(&id, &none).await;
    assert_eq!((joined.status, &joined.body["myRole"]), (200, &json!("member")));
    assert_eq!(joined.body["lastMessage"]["content"], "cid joined.");
    assert_eq!(eve.joins(&id, &none).await.refusal(), (409, "GROUP_FULL"));
    let direct = ann.opens(&bob).await;
    assert_eq!(cid.joins(&direct, &none).await.refusal(), (404, "NOT_FOUND"));
    let unknown = "0123456789abcdef01234567";
    assert_eq!(cid.joins(unknown, &none).await.refusal(), (404, "NOT_FOUND"));
    // Rooms are joined the same way.
    let made = ann.post("/api/rooms", &json!({ "name": "tea" })).await;
    let room = text(&made.body, "id");
    assert_eq!(cid.joins(&room, &none).await.body["roomName"], "tea");
    assert_eq!(cid.leaves(&room).await.status, 204);
    assert_eq!(cid.sees(&room).await.refusal(), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn s_071_an_invite_opens_a_private_group_until_it_expires_or_is_taken_back() {
    let world = World::new();
    let [ann, bob, cid, dan, eve] = people(&world).await;
    let id = ann.makes("team", &[&bob]).await;
    let other = ann.makes("other", &[]).await;
    let path = format!("/api/conversations/{id}/invites");
    assert_eq!(bob.post(&path, &json!({})).await.refusal(), (403, "FORBIDDEN"));
    assert_eq!(cid.post(&path, &json!({})).await.refusal(), (404, "NOT_FOUND"));
    let invite = async |seconds: u64| {
        let made = ann.post(&path, &json!({ "expiresIn": seconds })).await;
        assert_eq!(made.status, 201, "{made:?}");
        text(&made.body, "token")
    };
    let token = invite(60).await;
    let with = |token: &str| json!({ "inviteToken": token });
    let look = async |token: &str| cid.get(&format!("/api/invites/{token}")).await;
    let seen = look(&token).await.body;
    assert_eq!(
        (&seen["name"], &seen["participantCount"]),
        (&json!("team"), &json!(2))
    );
    assert_eq!(
        (&seen["conversationId"], &seen["joined"]),
        (&json!(id), &json!(false))
    );
    assert_eq!(
        cid.joins(&other, &with(&token)).await.refusal(),
        (404, "NOT_FOUND")
    );
    assert_eq!(cid.joins(&id, &with("guess")).await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(cid.joins(&id, &with(&token)).await.status, 200);
    assert_eq!(look(&token).await.body["joined"], true);
    ann.put(&format!("/api/conversations/{id}/bans/{}", eve.id), &json!({}))
        .await;
    assert_eq!(eve.joins(&id, &with(&token)).await.refusal(), (403, "FORBIDDEN"));

    world.clock.advance(Duration::from_mins(1));
    assert_eq!(look(&token).await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(dan.joins(&id, &with(&token)).await.refusal(), (404, "NOT_FOUND"));
    for token in [&token, "guess"] {
        let again = cid.joins(&id, &with(token)).await;
        assert_eq!(again.status, 200, "who is in it needs no invite: {again:?}");
    }
    let token = invite(3600).await;
    assert_eq!(bob.delete(&path).await.refusal(), (403, "FORBIDDEN"));
    assert_eq!(ann.delete(&path).await.status, 204);
    assert_eq!(dan.joins(&id, &with(&token)).await.refusal(), (404, "NOT_FOUND"));
    for body in [
        json!({ "expiresIn": 59 }),
        json!({ "expiresIn": 2_592_001 }),
        json!({ "expiresIn": "1" }),
    ] {
        assert_eq!(ann.post(&path, &body).await.fields(), ["expiresIn"], "{body}");
    }
}

#[tokio::test]
async fn s_071_who_is_banned_is_out_and_stays_out() {
    let world = World::new();
    let [ann, bob, cid, dan, eve] = people(&world).await;
    let id = ann.makes("team", &[&bob, &cid, &dan]).await;
    ann.makes_of(&id, &bob, "admin").await;
    ann.makes_of(&id, &cid, "admin").await;
    let ban = |whom: &super::town::Person<'_>| format!("/api/conversations/{id}/bans/{}", whom.id);
    let device = dan.device(&[&id]).await;
    for (by, whom, expected) in [
        (&dan, &eve, (403, "FORBIDDEN")),
        (&eve, &dan, (404, "NOT_FOUND")),
        (&bob, &cid, (403, "FORBIDDEN")),
        (&bob, &ann, (403, "FORBIDDEN")),
        (&bob, &bob, (400, "VALIDATION")),
        (&bob, &dan, (204, "")),
        (&bob, &dan, (204, "")),
        (&ann, &cid, (204, "")),
        (&bob, &eve, (204, "")),
    ] {
        let answer = by.put(&ban(whom), &json!({})).await;
        assert_eq!((answer.status, answer.code()), expected);
    }
    let unknown = format!("/api/conversations/{id}/bans/0123456789abcdef01234567");
    assert_eq!(ann.put(&unknown, &json!({})).await.refusal(), (404, "NOT_FOUND"));
    let heard = device.heard();
    let [(name, payload)] = &heard[..] else {
        panic!("{heard:?}")
    };
    assert_eq!(
        (name.as_str(), &payload["banned"]),
        ("participant-removed", &json!(true))
    );
    assert_eq!(ann.roles(&id).await, "ann:owner bob:admin");
    assert_eq!(dan.sees(&id).await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(ann.adds(&id, &dan).await.refusal(), (403, "FORBIDDEN"));
    assert_eq!(eve.delete(&ban(&dan)).await.refusal(), (404, "NOT_FOUND"));
    for _ in 0..2 {
        assert_eq!(bob.delete(&ban(&dan)).await.status, 204);
    }
    assert_eq!(ann.adds(&id, &dan).await.status, 200);
}

#[tokio::test]
async fn rooms_are_renamed_and_cleared_by_moderators_and_closed_by_server_admins() {
    let world = World::new();
    let [ann, bob, cid, root] = people(&world).await;
    let made = ann.post("/api/rooms", &json!({ "name": "tea" })).await;
    let id = text(&made.body, "id");
    ann.post("/api/rooms", &json!({ "name": "coffee" })).await;
    for person in [&bob, &cid] {
        assert_eq!(person.joins(&id, &json!({})).await.status, 200);
    }
    let admin = SetAdmin {
        id: root.id,
        admin: true,
    };
    world.stack.call(Actor::Operator, admin).await.unwrap();
    let path = format!("/api/conversations/{id}");
    let rename = json!({ "name": "Green-Tea", "description": "hot" });
    assert_eq!(bob.put(&path, &rename).await.refusal(), (403, "FORBIDDEN"));
    assert_eq!(ann.put(&path, &rename).await.body["roomName"], "green-tea");
    // The old name goes on leading here.
    for name in ["tea", "green-tea"] {
        let room = ann.get(&format!("/api/rooms/{name}")).await.body;
        assert_eq!((&room["id"], &room["name"]), (&json!(id), &json!("green-tea")));
    }
    assert_eq!(
        ann.put(&path, &json!({ "name": "coffee" })).await.refusal(),
        (409, "DUPLICATE_ROOM")
    );
    assert_eq!(
        ann.put(&path, &json!({ "name": "admin" })).await.fields(),
        ["name"]
    );
    assert_eq!(
        ann.put(&path, &json!({ "visibility": "private" })).await.fields(),
        ["visibility"]
    );
    assert_eq!(
        root.put(&path, &json!({ "description": "by root" })).await.status,
        200,
        "no member"
    );

    let ban = |whom: &super::town::Person<'_>| format!("{path}/bans/{}", whom.id);
    assert_eq!(
        bob.put(&ban(&cid), &json!({})).await.refusal(),
        (403, "FORBIDDEN")
    );
    assert_eq!(ann.put(&ban(&cid), &json!({})).await.status, 204);
    assert_eq!(cid.sees(&id).await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(cid.joins(&id, &json!({})).await.refusal(), (403, "FORBIDDEN"));
    assert_eq!(ann.delete(&ban(&cid)).await.status, 204);
    assert_eq!(cid.joins(&id, &json!({})).await.status, 200);
    // Groups' affairs are not a room's.
    assert_eq!(ann.adds(&id, &root).await.refusal(), (400, "VALIDATION"));
    assert_eq!(ann.removes(&id, &bob).await.refusal(), (400, "VALIDATION"));
    assert_eq!(
        ann.makes_of(&id, &bob, "admin").await.refusal(),
        (400, "VALIDATION")
    );

    assert_eq!(
        ann.delete("/api/rooms/green-tea").await.refusal(),
        (403, "FORBIDDEN")
    );
    assert_eq!(ann.delete(&path).await.refusal(), (403, "FORBIDDEN"));
    assert_eq!(root.delete("/api/rooms/Green-Tea").await.status, 204);
    assert_eq!(root.delete(&path).await.status, 204);
    assert!(
        world
            .stores
            .conversations
            .get(parsed(&id))
            .await
            .unwrap()
            .unwrap()
            .archived
    );
    assert_eq!(
        root.delete("/api/rooms/nowhere").await.refusal(),
        (404, "NOT_FOUND")
    );
}
