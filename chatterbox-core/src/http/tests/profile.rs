//! One's own account: profile, settings, password, sessions (S-134).

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::world::{Options, PASSWORD, World, id_of, text};
use crate::app::accounts::AuthLimits;
use crate::domain::user::LoginName;
use crate::memory::MemoryStores;
use crate::ports::storage::Stores;
use crate::testkit::{Slow, samples};

const NEW_PASSWORD: &str = "staple correct horse";

#[tokio::test]
async fn s_134_what_is_named_changes_and_all_else_stays() {
    let world = World::new();
    let token = world.token("ann").await;
    let mut expected = world.get("/api/auth/me").token(&token).send().await.body;
    assert_eq!(
        expected["settings"],
        json!({ "readReceipts": true, "showPresence": true, "allowEmailSearch": false })
    );
    for (body, pointer, value) in [
        (json!({}), "/displayName", json!(null)),
        (
            json!({ "displayName": " Ann  Lee " }),
            "/displayName",
            json!("Ann  Lee"),
        ),
        (
            json!({ "settings": { "readReceipts": false } }),
            "/settings/readReceipts",
            json!(false),
        ),
        (
            json!({ "settings": { "showPresence": false, "readReceipts": null, "theme": "dark" } }),
            "/settings/showPresence",
            json!(false),
        ),
        (
            json!({ "settings": { "allowEmailSearch": true } }),
            "/settings/allowEmailSearch",
            json!(true),
        ),
        (
            json!({ "displayName": null, "settings": null }),
            "/displayName",
            json!(null),
        ),
        (json!({ "displayName": "A" }), "/displayName", json!("A")),
        (json!({ "displayName": "" }), "/displayName", json!(null)),
    ] {
        *expected.pointer_mut(pointer).unwrap() = value;
        let answer = world.put("/api/auth/me", &body).token(&token).send().await;
        assert_eq!((answer.status, &answer.body), (200, &expected), "{body}");
        let me = world.get("/api/auth/me").token(&token).send().await;
        assert_eq!(me.body, expected, "{body}");
        assert_eq!(me.header("etag"), answer.header("etag"), "{body}");
    }
    // As it was read it may be sent back; D3: what is privileged in it is not looked at.
    let mut all = expected.clone();
    all["admin"] = json!(true);
    all["username"] = json!("root");
    all["email"] = json!("root@example.org");
    let answer = world.put("/api/auth/me", &all).token(&token).send().await;
    assert_eq!(answer.body, expected);
}

#[tokio::test]
async fn s_134_a_bad_profile_changes_nothing() {
    let world = World::new();
    let token = world.token("ann").await;
    let before = world.get("/api/auth/me").token(&token).send().await.body;
    for (body, fields) in [
        (json!({ "displayName": {} }), vec!["displayName"]),
        (json!({ "displayName": 7 }), vec!["displayName"]),
        (json!({ "displayName": "x".repeat(65) }), vec!["displayName"]),
        (json!({ "displayName": "\u{202e}nna" }), vec!["displayName"]),
        (json!({ "settings": true }), vec!["settings"]),
        (json!({ "settings": [false, false, true] }), vec!["settings"]),
        (
            json!({ "settings": { "readReceipts": "no", "showPresence": 0, "allowEmailSearch": {"$ne": 1} } }),
            vec![
                "settings.readReceipts",
                "settings.showPresence",
                "settings.allowEmailSearch",
            ],
        ),
        (
            json!({ "displayName": "\u{202e}", "settings": { "readReceipts": false } }),
            vec!["displayName"],
        ),
    ] {
        let answer = world.put("/api/auth/me", &body).token(&token).send().await;
        assert_eq!(answer.refusal(), (400, "VALIDATION"), "{body}");
        assert_eq!(answer.fields(), fields, "{body}");
    }
    let after = world.get("/api/auth/me").token(&token).send().await.body;
    assert_eq!(after, before);
    let anonymous = world.put("/api/auth/me", &json!({})).send().await;
    assert_eq!(anonymous.refusal(), (401, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn s_134_a_new_name_is_shown_at_once() {
    let world = World::new();
    let ann = world.register("ann").await;
    let token = text(&ann, "accessToken");
    world
        .stack
        .call(crate::app::Actor::Operator, room("lounge"))
        .await
        .unwrap();
    world.write(id_of(&ann), "lounge", ["one".to_owned()]).await;
    let messages = world.get("/api/rooms/lounge/messages").token(&token);
    let before = messages.clone().send().await.body;
    assert_eq!(before["items"][0]["sender"]["displayName"], json!(null));
    let rename = json!({ "displayName": "Ann Lee" });
    world.put("/api/auth/me", &rename).token(&token).send().await;
    let after = messages.send().await.body;
    assert_eq!(after["items"][0]["sender"]["displayName"], "Ann Lee");
}

fn room(name: &str) -> crate::app::rooms::CreateRoom {
    crate::app::rooms::CreateRoom {
        name: name.to_owned(),
        description: None,
    }
}

async fn login(world: &World, password: &str) -> super::world::Answer {
    let body = json!({ "username": "ann", "password": password });
    world.post("/api/auth/login", &body).send().await
}

fn change(current: &str, new: &str) -> serde_json::Value {
    json!({ "currentPassword": current, "newPassword": new })
}

#[tokio::test]
async fn s_134_a_new_password_ends_the_other_sessions_and_keeps_this_one() {
    let world = World::new();
    let ann = world.register("ann").await;
    let token = text(&ann, "accessToken");
    let other = login(&world, PASSWORD).await.body;
    let (other, other_refresh) = (text(&other, "accessToken"), text(&other, "refreshToken"));
    let bob = world.token("bob").await;

    let path = "/api/auth/change-password";
    let answer = world.post(path, &change(PASSWORD, NEW_PASSWORD)).token(&token);
    assert_eq!(answer.send().await.status, 204);
    for (token, expected) in [(&token, 200), (&other, 401), (&bob, 200)] {
        assert_eq!(
            world.get("/api/auth/me").token(token).send().await.status,
            expected
        );
    }
    let refresh = |token: &str| world.post("/api/auth/refresh", &json!({ "refreshToken": token }));
    assert_eq!(refresh(&other_refresh).send().await.status, 401);
    assert_eq!(refresh(&text(&ann, "refreshToken")).send().await.status, 200);
    assert_eq!(login(&world, PASSWORD).await.status, 401);
    assert_eq!(login(&world, NEW_PASSWORD).await.status, 200);
}

#[tokio::test]
async fn s_134_a_password_is_changed_only_by_who_knows_it() {
    let world = World::new();
    let token = world.token("ann").await;
    let other = text(&login(&world, PASSWORD).await.body, "accessToken");
    let path = "/api/auth/change-password";
    for (body, expected) in [
        (change("wrong horse battery", NEW_PASSWORD), (403, "FORBIDDEN")),
        (change("", NEW_PASSWORD), (403, "FORBIDDEN")),
        (change(&"x".repeat(1000), NEW_PASSWORD), (403, "FORBIDDEN")),
        (change(PASSWORD, "short"), (400, "VALIDATION")),
        (change(PASSWORD, &"x".repeat(129)), (400, "VALIDATION")),
        (json!({ "currentPassword": PASSWORD }), (400, "VALIDATION")),
        (json!({ "newPassword": NEW_PASSWORD }), (400, "VALIDATION")),
        (
            json!({ "currentPassword": {"$gt": ""}, "newPassword": NEW_PASSWORD }),
            (400, "VALIDATION"),
        ),
    ] {
        let answer = world.post(path, &body).token(&token).send().await;
        assert_eq!(answer.refusal(), expected, "{body}");
        assert!(!answer.body.to_string().contains(PASSWORD));
    }
    let anonymous = world.post(path, &change(PASSWORD, NEW_PASSWORD)).send().await;
    assert_eq!(anonymous.refusal(), (401, "UNAUTHENTICATED"));
    assert_eq!(login(&world, PASSWORD).await.status, 200);
    assert_eq!(world.get("/api/auth/me").token(&other).send().await.status, 200);
}

#[tokio::test]
async fn s_134_of_two_changes_at_once_one_is_refused() {
    let world = World::new();
    let token = world.token("ann").await;
    let path = "/api/auth/change-password";
    let asks = ["first new password", "second new password"]
        .map(|new| world.post(path, &change(PASSWORD, new)).token(&token).send());
    let mut statuses = futures_util::future::join_all(asks)
        .await
        .iter()
        .map(|answer| answer.status)
        .collect::<Vec<_>>();
    statuses.sort_unstable();
    assert!(statuses == [204, 409] || statuses == [204, 403], "{statuses:?}");
}

#[tokio::test]
async fn s_055_a_login_with_the_old_password_ends_with_it() {
    let stores = MemoryStores::new(100);
    let (sessions, gate) = Slow::new(stores.sessions.clone());
    let world = World::with(Options {
        stores: Stores {
            sessions: Arc::new(sessions),
            ..stores.clone()
        },
        ..Options::default()
    });
    let ann = id_of(&world.register("ann").await);
    // The password is checked, the session is about to be written.
    gate.close();
    let logging_in = login(&world, PASSWORD);
    let changing = async {
        gate.waiting(1).await;
        let name = LoginName::Username("ann".to_owned());
        let old = stores
            .users
            .credentials(&name)
            .await
            .unwrap()
            .unwrap()
            .password_hash;
        assert!(
            stores
                .users
                .replace_password_hash(ann, &old.0, "new")
                .await
                .unwrap()
        );
        stores
            .sessions
            .revoke_all(ann, None, samples::now())
            .await
            .unwrap();
        gate.open();
    };
    let (answer, ()) = tokio::join!(logging_in, changing);
    assert_eq!(answer.refusal(), (401, "UNAUTHENTICATED"));
    let living = stores.sessions.of_user(ann, samples::now()).await.unwrap();
    assert_eq!(living, [], "a session of the old password lives");
}

#[tokio::test]
async fn c7_a_stolen_session_does_not_guess_the_password_fast() {
    let world = World::with(Options {
        auth: AuthLimits::default(),
        ..Options::default()
    });
    let (ann, bob) = (world.token("ann").await, world.token("bob").await);
    let wrong = change("wrong horse battery", NEW_PASSWORD);
    let ask = |token: &str| world.post("/api/auth/change-password", &wrong).token(token);
    let mut last = ask(&ann).send().await;
    for number in 0..10 {
        // From anywhere.
        last = ask(&ann).from(&format!("198.51.100.{number}")).send().await;
    }
    assert_eq!(last.refusal(), (429, "RATE_LIMITED"));
    assert!(!last.header("retry-after").is_empty());
    assert_eq!(ask(&bob).send().await.refusal(), (403, "FORBIDDEN"));
}

#[tokio::test]
async fn s_134_sessions_are_listed_and_ended_one_by_one() {
    let world = World::new();
    let first = text(&world.register("ann").await, "accessToken");
    let bob = world.token("bob").await;
    world.clock.advance(Duration::from_secs(1));
    let body = json!({ "username": "ann", "password": PASSWORD });
    let second = world.post("/api/auth/login", &body).header("user-agent", "phone");
    let second = text(&second.send().await.body, "accessToken");

    let list = world.get("/api/auth/sessions").token(&first).send().await;
    let items = list.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(
        (&items[0]["userAgent"], &items[0]["current"]),
        (&json!("phone"), &json!(false))
    );
    assert_eq!(items[1]["current"], true);
    assert!(items[0]["createdAt"].as_str() > items[1]["createdAt"].as_str());
    for secret in ["salt", "generation", "refreshToken"] {
        assert!(items[0].get(secret).is_none(), "{secret}");
    }

    let end = |id: &str, token: &str| {
        let path = format!("/api/auth/sessions/{id}");
        world.delete(&path).token(token).send()
    };
    let of_second = text(&items[0], "id");
    assert_eq!(end(&of_second, &bob).await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(world.get("/api/auth/me").token(&second).send().await.status, 200);
    assert_eq!(end(&of_second, &first).await.status, 204);
    assert_eq!(world.get("/api/auth/me").token(&second).send().await.status, 401);
    assert_eq!(end(&of_second, &first).await.status, 204, "again");
    assert_eq!(
        end("000000000000000000000001", &first).await.refusal(),
        (404, "NOT_FOUND")
    );
    assert_eq!(end("nonsense", &first).await.refusal(), (400, "INVALID_ID"));
    let list = world.get("/api/auth/sessions").token(&first).send().await;
    assert_eq!(list.body["items"].as_array().unwrap().len(), 1);
    // Also the one that asks.
    assert_eq!(end(&text(&items[1], "id"), &first).await.status, 204);
    assert_eq!(world.get("/api/auth/me").token(&first).send().await.status, 401);
}

#[tokio::test]
async fn s_134_all_other_sessions_end_together() {
    let world = World::new();
    let first = text(&world.register("ann").await, "accessToken");
    let second = text(&login(&world, PASSWORD).await.body, "accessToken");
    let third = text(&login(&world, PASSWORD).await.body, "accessToken");
    let bob = world.token("bob").await;
    for _ in 0..2 {
        let answer = world.delete("/api/auth/sessions").token(&second).send().await;
        assert_eq!(answer.status, 204);
    }
    for (token, expected) in [(first, 401), (second, 200), (third, 401), (bob, 200)] {
        assert_eq!(
            world.get("/api/auth/me").token(&token).send().await.status,
            expected
        );
    }
}
