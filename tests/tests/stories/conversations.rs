//! People in direct conversations and groups, over both doors.

use chatterbox_tests::{Person, TestServer};
use serde_json::{Value, json};

/// The id of whoever this is.
async fn id_of(person: &Person) -> Value {
    person.rest.get("/api/auth/me").await.ok()["id"].clone()
}

#[tokio::test]
async fn a_group_is_managed_by_socket_as_by_rest() {
    // S-064, S-093, S-094, S-095, S-105, S-106, S-107: same rights, same errors, same events.
    let server = TestServer::start().await;
    let mut ann = server.person("ann").await;
    let mut bob = server.person("bob").await;
    let mut eve = server.person("eve").await;
    let (bob_id, eve_id) = (id_of(&bob).await, id_of(&eve).await);
    let made = ann
        .rest
        .post(
            "/api/conversations/group",
            json!({"name": "Team", "participantIds": [bob_id]}),
        )
        .await
        .ok();
    let group = made["id"].clone();
    for person in [&mut ann, &mut bob] {
        let heard = person.hears("conversation-created").await;
        assert_eq!(heard["conversation"]["id"], group);
    }

    let add = json!({"conversationId": group, "userId": eve_id});
    assert_eq!(bob.is_refused("add-participant", add.clone()).await, "FORBIDDEN");
    assert_eq!(eve.is_refused("add-participant", add.clone()).await, "NOT_FOUND");
    let added = ann.does("add-participant", add.clone()).await;
    assert_eq!(added["results"][0]["alreadyMember"], false, "{added}");
    assert_eq!(
        ann.does("add-participant", add).await["results"][0]["alreadyMember"],
        true
    );
    for person in [&mut ann, &mut bob, &mut eve] {
        let heard = person.hears("participant-added").await;
        assert_eq!((&heard["user"]["id"], &heard["seq"]), (&eve_id, &json!(1)));
    }

    let promote = json!({"conversationId": group, "userId": bob_id, "role": "admin"});
    assert_eq!(
        eve.is_refused("update-participant-role", promote.clone()).await,
        "FORBIDDEN"
    );
    ann.does("update-participant-role", promote).await;
    assert_eq!(
        eve.hears("participant-role-updated").await["previousRole"],
        "member"
    );
    let own = json!({"conversationId": group, "userId": id_of(&ann).await, "role": "member"});
    assert_eq!(ann.is_refused("update-participant-role", own).await, "LAST_OWNER");

    let remove = json!({"conversationId": group, "userId": eve_id});
    bob.does("remove-participant", remove).await;
    for person in [&mut ann, &mut eve] {
        let heard = person.hears("participant-removed").await;
        assert_eq!((&heard["reason"], &heard["seq"]), (&json!("removed"), &json!(3)));
    }
    // Nothing later reaches her (I5), by whatever door it comes.
    let path = format!("/api/conversations/{}", group.as_str().unwrap());
    ann.rest.put(&path, json!({"name": "Without Eve"})).await.ok();
    assert_eq!(
        bob.hears("conversation-updated").await["changes"]["name"],
        "Without Eve"
    );
    eve.does("heartbeat", json!({})).await;
    assert!(!eve.socket.unheard().contains(&"conversation-updated"));
    assert_eq!(eve.rest.get(&path).await.status, 404);

    for (event, payload, code) in [
        (
            "add-participant",
            json!({"conversationId": "x", "userId": eve_id}),
            "INVALID_ID",
        ),
        (
            "add-participant",
            json!({"conversationId": group, "userId": {"$gt": ""}}),
            "VALIDATION",
        ),
        (
            "add-participant",
            json!({"conversationId": group, "userIds": vec!["x"; 1001]}),
            "VALIDATION",
        ),
        (
            "remove-participant",
            json!({"conversationId": group}),
            "VALIDATION",
        ),
        (
            "update-participant-role",
            json!({"conversationId": group, "userId": bob_id, "role": "boss"}),
            "VALIDATION",
        ),
    ] {
        assert_eq!(ann.is_refused(event, payload).await, code, "{event}");
    }
}

#[tokio::test]
async fn what_was_decided_about_a_group_outlives_the_server() {
    let server = TestServer::start().await;
    let mut ann = server.person("ann").await;
    let bob = server.person("bob").await;
    let bob_id = id_of(&bob).await;
    let body = json!({"name": "Team", "participantIds": [bob_id], "history": "since-join"});
    let made = ann.rest.post("/api/conversations/group", body).await.ok();
    let path = format!("/api/conversations/{}", made["id"].as_str().unwrap());
    ann.rest
        .put(
            &format!("{path}/participants/{}/role", bob_id.as_str().unwrap()),
            json!({"role": "owner"}),
        )
        .await
        .ok();
    ann.rest.put(&path, json!({"name": "Renamed"})).await.ok();
    let direct = ann
        .rest
        .post("/api/conversations/direct", json!({"userId": bob_id}))
        .await
        .ok();
    let server = server.killed().await.restarted().await;
    ann.returns_to(&server).await;
    let seen = ann.rest.get(&path).await.ok();
    assert_eq!(
        (&seen["name"], &seen["myRole"]),
        (&json!("Renamed"), &json!("admin"))
    );
    assert_eq!(seen["history"], "since-join");
    let again = ann
        .rest
        .post("/api/conversations/direct", json!({"userId": bob_id}))
        .await;
    assert_eq!((again.status, &again.body["id"]), (200, &direct["id"]));
    assert_eq!(
        ann.rest.get("/api/conversations").await.ok()["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
