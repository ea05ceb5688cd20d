//! Registration and login with tokens (S-005).

use std::time::Duration;

use serde_json::json;

use super::world::{PASSWORD, World, id_of, registration, text};
use crate::app::accounts::{CreateUser, ListSessions, ListUsers, Login, RevokeSessions, SetAdmin};
use crate::app::{Actor, Command, Error};
use crate::domain::user::{LoginName, NewUser, PasswordHash};
use crate::ids::UserId;
use crate::testkit::samples;

#[tokio::test]
async fn s_052_a_registration_answers_with_account_and_tokens() {
    let world = World::new();
    let mut wanted = registration("Ann");
    wanted["displayName"] = json!("Ann Lee");
    // D3: what is not part of the input is not looked at.
    wanted["admin"] = json!(true);
    wanted["id"] = json!("000000000000000000000001");
    let answer = world.post("/api/auth/register", &wanted).send().await;
    assert_eq!(answer.status, 201);
    let user = &answer.body["user"];
    assert_eq!(user["username"], "Ann");
    assert_eq!(user["email"], "Ann@example.org");
    assert_eq!(user["displayName"], "Ann Lee");
    assert_eq!(user["admin"], false);
    assert_ne!(user["id"], wanted["id"]);
    assert_eq!(answer.body["expiresIn"], 900);
    let me = world
        .get("/api/auth/me")
        .token(&text(&answer.body, "accessToken"))
        .send()
        .await;
    let mut expected = user.clone();
    expected["unreadTotal"] = json!(0);
    assert_eq!((me.status, &me.body), (200, &expected));
}

#[tokio::test]
async fn s_052_bad_input_is_named_field_by_field() {
    let world = World::new();
    for (body, fields) in [
        (json!({}), vec!["username", "email", "password"]),
        (
            json!({ "username": null, "email": null, "password": null }),
            vec!["username", "email", "password"],
        ),
        (
            json!({ "username": {"$gt": ""}, "email": ["a"], "password": 12_345_678 }),
            vec!["username", "email", "password"],
        ),
        (
            json!({ "username": "an", "email": "nowhere", "password": "short" }),
            vec!["username", "email", "password"],
        ),
        (
            json!({ "username": "ann", "email": "a@b.example", "password": "x".repeat(129) }),
            vec!["password"],
        ),
        (
            json!({ "username": "admin", "email": "a@b.example", "password": PASSWORD }),
            vec!["username"],
        ),
        (
            json!({ "username": "ann", "email": "a@b.example", "password": PASSWORD, "displayName": {} }),
            vec!["displayName"],
        ),
        (
            json!({ "username": "ann", "email": "a@b.example", "password": PASSWORD, "displayName": "\u{202e}x" }),
            vec!["displayName"],
        ),
    ] {
        let answer = world.post("/api/auth/register", &body).send().await;
        assert_eq!(answer.refusal(), (400, "VALIDATION"), "{body}");
        assert_eq!(answer.fields(), fields, "{body}");
    }
    assert!(
        world.stores.users.list(None, 10).await.unwrap().is_empty(),
        "nothing was stored"
    );
}

#[tokio::test]
async fn edge_20_of_twenty_registrations_of_one_name_exactly_one_wins() {
    let world = World::new();
    let spellings = ["ann", "ANN", "Ann", "ａｎｎ", "a\u{200d}nn"];
    let asks = (0..20).map(|number| {
        let body = json!({
            "username": spellings[number % spellings.len()],
            "email": format!("ann{number}@example.org"),
            "password": PASSWORD,
        });
        world.post("/api/auth/register", &body).send()
    });
    let answers = futures_util::future::join_all(asks).await;
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    let lost = answers
        .iter()
        .filter(|answer| (answer.status, answer.code()) == (409, "USERNAME_TAKEN"))
        .count();
    assert_eq!((won, lost), (1, 19));
}

#[tokio::test]
async fn s_052_one_address_is_one_account() {
    let world = World::new();
    world.register("ann").await;
    let mut other = registration("bob");
    other["email"] = json!("ANN@Example.org");
    assert_eq!(
        world.post("/api/auth/register", &other).send().await.refusal(),
        (409, "EMAIL_TAKEN")
    );
    // F1: a name that looks like another is taken as well.
    world.register("coco").await;
    let look_alike = json!({ "username": "сосо", "email": "x@example.org", "password": PASSWORD });
    assert_eq!(
        world
            .post("/api/auth/register", &look_alike)
            .send()
            .await
            .refusal(),
        (409, "USERNAME_TAKEN")
    );
}

#[tokio::test]
async fn s_053_one_logs_in_by_name_or_address_in_any_case() {
    let world = World::new();
    world.register("Ann").await;
    for body in [
        json!({ "username": "ann", "password": PASSWORD }),
        json!({ "username": "ＡＮＮ", "password": PASSWORD }),
        json!({ "email": "ANN@EXAMPLE.ORG", "password": PASSWORD }),
        json!({ "username": "ann@example.org", "password": PASSWORD }),
    ] {
        let answer = world.post("/api/auth/login", &body).send().await;
        assert_eq!(answer.status, 200, "{body}");
        let token = text(&answer.body, "accessToken");
        assert_eq!(world.get("/api/auth/me").token(&token).send().await.status, 200);
    }
}

#[tokio::test]
async fn c6_an_unknown_name_and_a_wrong_password_are_one_answer() {
    let world = World::new();
    let ann = world.register("ann").await;
    world.register("bob").await;
    world.suspend(id_of(&ann), true).await;
    let mut answers = Vec::new();
    for body in [
        json!({ "username": "nobody", "password": PASSWORD }),
        json!({ "username": "bob", "password": "wrong horse battery" }),
        // Of a suspended account too: only who knows the password is told.
        json!({ "username": "ann", "password": "wrong horse battery" }),
        json!({ "email": "nobody@example.org", "password": PASSWORD }),
        json!({ "email": "no address", "password": PASSWORD }),
        json!({ "username": "bob", "password": "x".repeat(200) }),
        json!({ "username": "", "password": "" }),
    ] {
        let answer = world
            .post("/api/auth/login", &body)
            .header("x-request-id", "r")
            .send()
            .await;
        assert_eq!(answer.refusal(), (401, "UNAUTHENTICATED"), "{body}");
        answers.push(answer);
    }
    for answer in &answers {
        assert_eq!(
            (&answer.body, &answer.headers),
            (&answers[0].body, &answers[0].headers)
        );
    }
    let right = json!({ "username": "ann", "password": PASSWORD });
    assert_eq!(
        world.post("/api/auth/login", &right).send().await.refusal(),
        (403, "ACCOUNT_SUSPENDED")
    );
    world.suspend(id_of(&ann), false).await;
    assert_eq!(world.post("/api/auth/login", &right).send().await.status, 200);
}

#[tokio::test]
async fn e1_operators_in_a_login_go_nowhere() {
    let world = World::new();
    world.register("ann").await;
    for (body, field) in [
        (
            json!({ "username": {"$gt": ""}, "password": PASSWORD }),
            "username",
        ),
        (json!({ "email": {"$ne": null}, "password": PASSWORD }), "email"),
        (json!({ "username": "ann", "password": {"$gt": ""} }), "password"),
        (json!({ "username": ["ann"], "password": PASSWORD }), "username"),
        (json!({ "username": "ann" }), "password"),
        (json!({ "password": PASSWORD }), "username"),
    ] {
        let answer = world.post("/api/auth/login", &body).send().await;
        assert_eq!(answer.refusal(), (400, "VALIDATION"), "{body}");
        assert!(answer.fields().contains(&field), "{body}");
    }
}

#[tokio::test]
async fn s_047_a_bcrypt_hash_is_replaced_at_the_next_login() {
    let world = World::new();
    let user = NewUser {
        password_hash: PasswordHash(bcrypt::hash(PASSWORD, 4).unwrap()),
        ..samples::new_user(&*world.ids, "old")
    };
    let name = LoginName::Username(user.name.key.clone());
    world.stores.users.insert(user).await.unwrap();
    let login = json!({ "username": "old", "password": PASSWORD });
    for _ in 0..2 {
        assert_eq!(world.post("/api/auth/login", &login).send().await.status, 200);
        let stored = world.stores.users.credentials(&name).await.unwrap().unwrap();
        assert!(
            stored.password_hash.0.starts_with("$argon2id$"),
            "{}",
            stored.password_hash.0
        );
    }
}

#[tokio::test]
async fn s_054_a_logout_ends_the_session_at_once_and_again_is_fine() {
    let world = World::new();
    let ann = world.register("ann").await;
    let (token, refresh) = (text(&ann, "accessToken"), text(&ann, "refreshToken"));
    let logout = world.ask(http::Method::POST, "/api/auth/logout").token(&token);
    assert_eq!(logout.clone().send().await.status, 204);
    assert_eq!(
        world.get("/api/auth/me").token(&token).send().await.refusal(),
        (401, "UNAUTHENTICATED")
    );
    let used = world
        .post("/api/auth/refresh", &json!({ "refreshToken": refresh }))
        .send()
        .await;
    assert_eq!(used.refusal(), (401, "UNAUTHENTICATED"));
    assert_eq!(logout.send().await.status, 204);
    let by_refresh = world.post("/api/auth/logout", &json!({ "refreshToken": refresh }));
    assert_eq!(by_refresh.send().await.status, 204);
    assert_eq!(
        world
            .ask(http::Method::POST, "/api/auth/logout")
            .send()
            .await
            .refusal(),
        (401, "UNAUTHENTICATED")
    );
    let nonsense = world
        .post("/api/auth/logout", &json!({ "refreshToken": "nonsense" }))
        .send()
        .await;
    assert_eq!(nonsense.refusal(), (401, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn s_054_all_sessions_end_together_and_a_dead_token_ends_none() {
    let world = World::new();
    let first = text(&world.register("ann").await, "accessToken");
    let login = json!({ "username": "ann", "password": PASSWORD });
    let second = text(
        &world.post("/api/auth/login", &login).send().await.body,
        "accessToken",
    );
    let third = text(
        &world.post("/api/auth/login", &login).send().await.body,
        "accessToken",
    );
    let logout = |path, token| world.ask(http::Method::POST, path).token(token).send();
    assert_eq!(logout("/api/auth/logout", &first).await.status, 204);
    // A stolen token of a session that has ended can't log its owner out.
    assert_eq!(logout("/api/auth/logout?all=true", &first).await.status, 204);
    assert_eq!(world.get("/api/auth/me").token(&second).send().await.status, 200);
    assert_eq!(
        logout("/api/auth/logout?all=yes", &second).await.refusal(),
        (400, "VALIDATION")
    );
    assert_eq!(logout("/api/auth/logout?all=true", &second).await.status, 204);
    for token in [&first, &second, &third] {
        assert_eq!(world.get("/api/auth/me").token(token).send().await.status, 401);
    }
}

#[tokio::test]
async fn s_054_without_an_access_token_the_refresh_token_names_the_session() {
    let world = World::new();
    let ann = world.register("ann").await;
    let (token, refresh) = (text(&ann, "accessToken"), text(&ann, "refreshToken"));
    world.clock.advance(Duration::from_secs(901));
    let logout = world
        .post("/api/auth/logout", &json!({ "refreshToken": refresh }))
        .token(&token);
    assert_eq!(logout.send().await.status, 204);
    let used = world
        .post("/api/auth/refresh", &json!({ "refreshToken": refresh }))
        .send()
        .await;
    assert_eq!(used.status, 401);
}

#[tokio::test]
async fn i8_a_session_revoked_elsewhere_is_dead_within_a_second() {
    let world = World::new();
    let ann = world.register("ann").await;
    let (user, token) = (id_of(&ann), text(&ann, "accessToken"));
    let me = world.get("/api/auth/me").token(&token);
    assert_eq!(me.clone().send().await.status, 200);
    // By the row alone, as another node does it: no word of it gets here.
    let session = world.stores.sessions.of_user(user, samples::now()).await.unwrap()[0].id;
    assert!(
        world
            .stores
            .sessions
            .revoke(session, samples::now())
            .await
            .unwrap()
    );
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(me.clone().send().await.refusal(), (401, "UNAUTHENTICATED"));
    // By this node it is dead at once (C11).
    let other = text(&world.register("bob").await, "accessToken");
    let bob = world.get("/api/auth/me").token(&other);
    let answer = bob.clone().send().await;
    let bobs_id: UserId = text(&answer.body, "id").parse().unwrap();
    let session = world
        .stores
        .sessions
        .of_user(bobs_id, samples::now())
        .await
        .unwrap()[0]
        .id;
    world.revoke(bobs_id, session).await;
    assert_eq!(bob.send().await.status, 401);
}

#[tokio::test]
async fn s_046_an_expired_token_says_so() {
    let world = World::new();
    let token = world.token("ann").await;
    world.clock.advance(Duration::from_secs(899));
    assert_eq!(world.get("/api/auth/me").token(&token).send().await.status, 200);
    world.clock.advance(Duration::from_secs(1));
    let answer = world.get("/api/auth/me").token(&token).send().await;
    assert_eq!(answer.refusal(), (401, "TOKEN_EXPIRED"));
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
}

#[tokio::test]
async fn c9_only_one_bearer_header_counts() {
    let world = World::new();
    let ann = world.register("ann").await;
    let (token, refresh) = (text(&ann, "accessToken"), text(&ann, "refreshToken"));
    let me = || world.get("/api/auth/me");
    for (what, ask) in [
        ("none", me()),
        ("empty", me().header("authorization", "")),
        ("no scheme", me().header("authorization", &token)),
        ("basic", me().header("authorization", &format!("Basic {token}"))),
        ("two", me().token(&token).token(&token)),
        ("not ours", me().token("a.b.c")),
        ("C3: a refresh token", me().token(&refresh)),
        (
            "cookie",
            me().header("cookie", &format!("accessToken={token}; token={token}")),
        ),
        (
            "query",
            world.get(&format!("/api/auth/me?token={token}&access_token={token}")),
        ),
    ] {
        let answer = ask.send().await;
        assert_eq!(answer.refusal(), (401, "UNAUTHENTICATED"), "{what}");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"chatterbox\"",
            "{what}"
        );
    }
    assert_eq!(
        me().header("authorization", &format!("bearer {token}"))
            .send()
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn s_056_the_own_profile_has_an_etag() {
    let world = World::new();
    let token = world.token("ann").await;
    let me = || world.get("/api/auth/me").token(&token);
    let first = me().send().await;
    let etag = first.header("etag").to_owned();
    assert!(etag.starts_with('"'), "{etag}");
    for known in [etag.clone(), format!("\"other\", W/{etag}"), "*".to_owned()] {
        let answer = me().header("if-none-match", &known).send().await;
        assert_eq!(
            (answer.status, answer.header("etag")),
            (304, etag.as_str()),
            "{known}"
        );
        assert!(answer.body.is_null());
    }
    assert_eq!(me().header("if-none-match", "\"other\"").send().await.status, 200);
}

#[tokio::test]
async fn s_060_profiles_show_what_is_public() {
    let world = World::new();
    let token = world.token("ann").await;
    let bob = id_of(&world.register("bob").await);
    let get = |id: &str| world.get(&format!("/api/users/{id}")).token(&token).send();
    let answer = get(&bob.to_string()).await;
    assert_eq!(answer.body, json!({ "id": bob, "username": "bob" }));
    assert_eq!(
        get("000000000000000000000001").await.refusal(),
        (404, "NOT_FOUND")
    );
    for id in [
        "nonsense",
        "%7B%22$gt%22:%22%22%7D",
        "..",
        "%00",
        "%ff",
        "00000000000000000000000g",
    ] {
        assert_eq!(get(id).await.refusal(), (400, "INVALID_ID"), "{id}");
    }
    let anonymous = world.get(&format!("/api/users/{bob}")).send().await;
    assert_eq!(anonymous.refusal(), (401, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn s_061_presence_is_asked_for_one_or_a_hundred() {
    let world = World::new();
    let token = world.token("ann").await;
    let bob = id_of(&world.register("bob").await);
    let get = |path: String| world.get(&path).token(&token).send();
    let unknown = json!({ "userId": bob, "status": "unknown", "lastSeen": null });
    let one = get(format!("/api/users/{bob}/presence")).await;
    assert_eq!((one.status, &one.body), (200, &unknown));
    let several = get(format!("/api/users/presence?ids={bob},{bob}")).await;
    assert_eq!(several.body, json!({ "items": [unknown] }));
    let ids = |count: u32| {
        let ids: Vec<String> = (0..count).map(|number| format!("{number:024x}")).collect();
        format!("/api/users/presence?ids={}", ids.join(","))
    };
    assert_eq!(get(ids(100)).await.status, 200);
    for (path, code) in [
        (ids(101), "VALIDATION"),
        ("/api/users/presence".to_owned(), "VALIDATION"),
        ("/api/users/presence?ids=x".to_owned(), "INVALID_ID"),
        ("/api/users/x/presence".to_owned(), "INVALID_ID"),
    ] {
        assert_eq!(get(path).await.refusal(), (400, code));
    }
}

#[tokio::test]
async fn a_user_has_so_many_sessions_and_the_oldest_ends_first() {
    let world = World::new();
    let ann = world.register("ann").await;
    let login = json!({ "username": "ann", "password": PASSWORD });
    for _ in 0..50 {
        world.clock.advance(Duration::from_millis(10));
        assert_eq!(world.post("/api/auth/login", &login).send().await.status, 200);
    }
    let living = world
        .stores
        .sessions
        .of_user(id_of(&ann), samples::now())
        .await
        .unwrap();
    assert_eq!(living.len(), 50);
    let first = world
        .get("/api/auth/me")
        .token(&text(&ann, "accessToken"))
        .send()
        .await;
    assert_eq!(first.status, 401);
}

#[tokio::test]
async fn an_operator_manages_accounts_and_nobody_else_does() {
    let world = World::new();
    let create = CreateUser {
        username: "root-of-all".to_owned(),
        email: "ops@example.org".to_owned(),
        password: PASSWORD.into(),
        display_name: None,
        admin: true,
    };
    let refused = world.stack.call(Actor::Nobody, create.clone()).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))));
    let operator = Actor::Operator;
    let created = world.stack.call(operator, create.clone()).await.unwrap().user;
    assert!(created.admin);
    let again = world.stack.call(operator, create).await;
    assert!(matches!(again, Err(Error::UsernameTaken)));

    let login = json!({ "username": "root-of-all", "password": PASSWORD });
    let agent = world
        .post("/api/auth/login", &login)
        .header("user-agent", &"x".repeat(500));
    let token = text(&agent.send().await.body, "accessToken");
    let sessions = world
        .stack
        .call(operator, ListSessions { user: created.id })
        .await
        .unwrap()
        .items;
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].user_agent.as_ref().map(String::len), Some(200));

    world
        .stack
        .call(
            operator,
            SetAdmin {
                id: created.id,
                admin: false,
            },
        )
        .await
        .unwrap();
    let me = world.get("/api/auth/me").token(&token).send().await;
    assert_eq!(me.body["admin"], false);
    let revoke = RevokeSessions {
        user: created.id,
        session: None,
    };
    assert_eq!(
        world.stack.call(operator, revoke).await.unwrap().ended,
        [sessions[0].id]
    );
    assert_eq!(world.get("/api/auth/me").token(&token).send().await.status, 401);

    world.register("ann").await;
    let first = world
        .stack
        .call(
            operator,
            ListUsers {
                after: None,
                limit: 1,
            },
        )
        .await
        .unwrap();
    assert_eq!((first.items.len(), first.has_more), (1, true));
    let after = Some(first.items[0].account.id);
    let rest = world
        .stack
        .call(operator, ListUsers { after, limit: 1 })
        .await
        .unwrap();
    assert_eq!((rest.items.len(), rest.has_more), (1, false));
    let unknown = "000000000000000000000001".parse().unwrap();
    let missing = world
        .stack
        .call(
            operator,
            SetAdmin {
                id: unknown,
                admin: true,
            },
        )
        .await;
    assert!(matches!(missing, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn secrets_in_commands_and_replies_are_not_shown() {
    let world = World::new();
    let login = Login {
        login: "ann".to_owned(),
        password: PASSWORD.into(),
        user_agent: None,
    };
    assert!(!format!("{:?}", Command::from(login.clone())).contains(PASSWORD));
    let ann = world.register("ann").await;
    let reply = world.stack.call(Actor::Nobody, login).await.unwrap();
    let shown = format!("{reply:?}");
    assert!(!shown.contains(reply.tokens.access_token.as_str()));
    assert!(!shown.contains(reply.tokens.refresh_token.as_str()));
    assert!(shown.contains(&text(&ann["user"], "id")));
}
