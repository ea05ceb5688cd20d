//! The administrator at a terminal, with the server running and without.

use chatterbox_tests::{PASSWORD, TestServer, chatterbox_cli};
use serde_json::json;

#[tokio::test]
async fn the_tool_administrates_a_running_server() {
    let server = TestServer::start().await;
    let data = server.data_dir();
    let mut ann = server.person("ann").await;

    let status = chatterbox_cli(&data, &["status", "--json"], "").await.json();
    assert_eq!(status["url"], server.url());

    let users = chatterbox_cli(&data, &["user", "list", "--json"], "")
        .await
        .json();
    assert_eq!(users["items"][0]["username"], "ann", "{users}");

    let create = ["user", "create", "bob", "bob@example.com", "--json"];
    chatterbox_cli(&data, &create, &format!("{PASSWORD}\n"))
        .await
        .json();
    let login = json!({"username": "bob", "password": PASSWORD});
    assert_eq!(server.rest().post("/api/auth/login", login).await.status, 200);
    let again = chatterbox_cli(&data, &create, &format!("{PASSWORD}\n")).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.errors.contains("USERNAME_TAKEN"), "{again:?}");

    chatterbox_cli(&data, &["room", "create", "news", "--json"], "")
        .await
        .json();
    ann.joins("news").await;

    // A suspension ends the sessions at once.
    chatterbox_cli(&data, &["user", "suspend", "ann", "--json"], "")
        .await
        .json();
    assert_eq!(ann.hears("session-ended").await["reconnect"], false);
    let login = json!({"username": "ann", "password": PASSWORD});
    let refused = server.rest().post("/api/auth/login", login.clone()).await;
    assert_eq!(refused.refusal(), (403, "ACCOUNT_SUSPENDED"));
    chatterbox_cli(&data, &["user", "unsuspend", "ann", "--json"], "")
        .await
        .json();
    assert_eq!(server.rest().post("/api/auth/login", login).await.status, 200);
}

#[tokio::test]
async fn the_tool_works_on_the_store_itself_when_no_server_runs() {
    let server = TestServer::start().await;
    server.person("ann").await;
    let data = server.data_dir();
    server.signal("TERM").await;
    let (ended, stopped) = server.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);

    let users = chatterbox_cli(&data, &["user", "list", "--json"], "")
        .await
        .json();
    assert_eq!(users["items"][0]["username"], "ann", "{users}");
    chatterbox_cli(&data, &["room", "create", "offline", "--json"], "")
        .await
        .json();
    assert_ne!(
        chatterbox_cli(&data, &["status"], "").await.code,
        0,
        "nothing runs"
    );

    // What it wrote is there when the server comes back, and the lock was given up.
    let server = stopped.restarted().await;
    let mut bob = server.person("bob").await;
    bob.joins("offline").await;
}
