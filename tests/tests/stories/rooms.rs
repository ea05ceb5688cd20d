//! People in rooms.

use chatterbox_tests::{PASSWORD, Socket, TestServer};
use serde_json::json;

#[tokio::test]
async fn two_clients_chat() {
    // S-001, S-002, S-084, S-086, S-088, S-098.
    let server = TestServer::start().await;
    let mut ann = server.person("ann").await;
    let mut bob = server.person("bob").await;
    let joined = ann.joins("general").await;
    assert_eq!(joined["room"]["name"], "general", "{joined}");
    bob.joins("general").await;
    // All devices of who joins hear it, the one that did it too.
    for name in ["ann", "bob"] {
        let seen = ann.hears("user-joined-room").await;
        assert_eq!(
            (&seen["roomName"], &seen["user"]["username"]),
            (&json!("general"), &json!(name))
        );
    }

    let sent = ann.says("general", "hi bob").await;
    let heard = bob.hears("room-message").await;
    for (field, expected) in [
        ("roomName", json!("general")),
        ("content", json!("hi bob")),
        ("type", json!("text")),
        ("id", sent["id"].clone()),
        ("seq", sent["seq"].clone()),
    ] {
        assert_eq!(heard[field], expected, "{field} of {heard}");
    }
    assert_eq!(heard["sender"]["username"], "ann");
    // Echo: the sending socket gets the event too.
    assert_eq!(ann.hears("room-message").await, heard);

    bob.says("general", "hi ann").await;
    assert_eq!(ann.hears("room-message").await["content"], "hi ann");
    let history = bob.rest.get("/api/rooms/general/messages").await.ok();
    let contents: Vec<_> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["content"])
        .collect();
    assert_eq!(contents, ["hi bob", "hi ann"]);
}

#[tokio::test]
async fn who_is_not_in_a_room_neither_writes_nor_hears() {
    let server = TestServer::start().await;
    let mut ann = server.person("ann").await;
    let mut eve = server.person("eve").await;
    ann.joins("tech").await;
    let message = json!({"roomName": "tech", "content": "let me in"});
    assert_eq!(eve.is_refused("send-room-message", message).await, "NOT_A_MEMBER");
    assert_eq!(
        eve.is_refused("join-room", json!({"roomName": "nowhere"})).await,
        "NOT_FOUND"
    );
    ann.says("tech", "quiet here").await;

    // Joined, heard, left again, and then nothing more.
    eve.joins("tech").await;
    ann.says("tech", "hello eve").await;
    assert_eq!(eve.hears("room-message").await["content"], "hello eve");
    eve.leaves("tech").await;
    ann.says("tech", "bye eve").await;
    eve.does("heartbeat", json!({})).await;
    assert!(
        !eve.socket.unheard().contains(&"room-message"),
        "{:?}",
        eve.socket.unheard()
    );
}

#[tokio::test]
async fn nothing_works_before_auth_and_unknown_events_change_nothing() {
    // S-083; SPEC.md section 1, One rule, two doors.
    let server = TestServer::start().await;
    let mut stranger = Socket::connect(server.url(), None).await.unwrap();
    for (event, data) in [
        ("join-room", json!({"roomName": "general"})),
        (
            "send-room-message",
            json!({"roomName": "general", "content": "x"}),
        ),
    ] {
        let answer = stranger.ask(event, data).await.unwrap();
        assert_eq!(
            (&answer["ok"], &answer["error"]["code"]),
            (&json!(false), &json!("UNAUTHENTICATED"))
        );
    }
    let answer = stranger
        .ask("auth", json!({"token": "no.such.token"}))
        .await
        .unwrap();
    assert_eq!(answer["ok"], false, "{answer}");

    let mut ann = server.person("ann").await;
    assert_eq!(ann.is_refused("no-such-event", json!({})).await, "VALIDATION");
    assert_eq!(
        ann.is_refused("join-room", json!({"roomName": {"$gt": ""}}))
            .await,
        "VALIDATION"
    );
    ann.joins("general").await;
}

#[tokio::test]
async fn one_name_raced_from_twenty_connections_makes_one_account_and_one_room() {
    // S-052, S-076, edge case 20.
    let server = TestServer::start().await;
    let account = |i: usize| {
        let rest = server.rest();
        async move {
            let body =
                json!({"username": "Ann", "email": format!("ann{i}@example.com"), "password": PASSWORD});
            rest.post("/api/auth/register", body).await
        }
    };
    let replies = futures_util::future::join_all((0..20).map(account)).await;
    let made: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert_eq!(made.len(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        assert_eq!(reply.refusal(), (409, "USERNAME_TAKEN"));
    }

    let rest = server
        .rest()
        .with_token(made[0].body["accessToken"].as_str().unwrap());
    let rooms = (0..20).map(|_| rest.post("/api/rooms", json!({"name": "book-club"})));
    let statuses: Vec<u16> = futures_util::future::join_all(rooms)
        .await
        .iter()
        .map(|reply| reply.status)
        .collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 409).count(),
        19,
        "{statuses:?}"
    );
}

#[tokio::test]
async fn bad_input_is_answered_with_its_documented_error_and_changes_nothing() {
    let server = TestServer::start().await;
    let mut ann = server.person("ann").await;
    ann.joins("general").await;

    for (body, expected) in [
        ("{", (400, "VALIDATION")),
        ("[]", (400, "VALIDATION")),
        (r#"{"username":{"$gt":""},"password":"x"}"#, (400, "VALIDATION")),
    ] {
        let reply = server.rest().post_raw("/api/auth/login", body).await;
        assert_eq!(reply.refusal(), expected, "{body}");
    }
    let nobody = server.rest().with_token("x.y.z").get("/api/auth/me").await;
    assert_eq!(nobody.refusal(), (401, "UNAUTHENTICATED"));
    assert!(nobody.headers.contains_key("www-authenticate"));
    assert_eq!(
        ann.rest.get("/api/users/nonsense").await.refusal(),
        (400, "INVALID_ID")
    );
    assert_eq!(
        ann.rest
            .get("/api/users/000000000000000000000000")
            .await
            .refusal(),
        (404, "NOT_FOUND")
    );
    assert_eq!(
        ann.rest.get("/api/rooms/general/messages?limit=0").await.status,
        400
    );

    for content in ["", "  \n ", &"é".repeat(4001)] {
        let message = json!({"roomName": "general", "content": content});
        assert_eq!(ann.is_refused("send-room-message", message).await, "VALIDATION");
    }
    ann.says("general", &"é".repeat(4000)).await;
    let history = ann.rest.get("/api/rooms/general/messages").await.ok();
    assert_eq!(history["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_logout_ends_the_sockets_of_its_session() {
    // S-054; SPEC.md section 1, How a session ends.
    let server = TestServer::start().await;
    let mut ann = server.person("ann").await;
    let logout = ann
        .rest
        .post("/api/auth/logout", json!({"refreshToken": ann.refresh_token}))
        .await;
    assert_eq!(logout.status, 204);
    assert_eq!(ann.hears("session-ended").await["reconnect"], false);
    let lost = ann.socket.lost().await;
    assert_eq!((lost.code, lost.disconnected), (Some(4401), true));
    assert_eq!(ann.rest.get("/api/auth/me").await.refusal().0, 401);
}

#[tokio::test]
async fn a_guest_is_heard_out_three_times_and_no_more() {
    // S-083, S-096; SPEC.md section 1, How a session ends.
    let server = TestServer::start().await;
    let mut stranger = Socket::connect(server.url(), None).await.unwrap();
    for (payload, expected) in [
        (json!({"token": "no.such.token"}), "UNAUTHENTICATED"),
        (json!({"token": {"$gt": ""}}), "VALIDATION"),
        (json!(["no.such.token"]), "VALIDATION"),
    ] {
        let answer = stranger.ask("auth", payload).await.unwrap();
        assert_eq!(answer["error"]["code"], expected, "{answer}");
    }
    let ended = stranger.hear("session-ended").await.unwrap();
    assert_eq!(ended, json!({"reason": "not-authenticated", "reconnect": false}));
    let lost = stranger.lost().await;
    assert_eq!((lost.code, lost.disconnected), (Some(4401), true));

    // Whatever else guests send is counted as well, known or not.
    let mut chatty = Socket::connect(server.url(), None).await.unwrap();
    for _ in 0..30 {
        // The server may close before the last.
        let _ = chatty.emit("no-such-event", json!({})).await;
    }
    let lost = chatty.lost().await;
    assert_eq!((lost.code, lost.disconnected), (Some(4429), false));
}
