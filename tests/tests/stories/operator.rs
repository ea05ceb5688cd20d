//! The administrator at a terminal, with the server running and without.

use std::path::Path;

use chatterbox_core::app::jobs::Job;
use chatterbox_core::clock::{Clock as _, SystemClock};
use chatterbox_core::ids::{JobId, SystemIds};
use chatterbox_server::adapters::embedded::EmbeddedStore;
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

/// Jobs that were given up, in the store of a server that doesn't run.
async fn bury(data: &Path, jobs: &[JobId]) {
    let store = EmbeddedStore::open(data).expect("nobody has it open");
    let (queue, now) = (store.queue(), SystemClock.now());
    for id in jobs {
        queue
            .push(*id, &Job::SweepInvites, now)
            .await
            .expect("it is pushed");
        queue
            .bury(*id, "the disk was full", now)
            .await
            .expect("it is given up");
    }
    store.close().await;
}

/// S-019: jobs that were given up are seen, tried again and forgotten, without a server and with one.
#[tokio::test]
async fn s_019_dead_jobs_are_in_the_operators_hands() {
    let server = TestServer::start().await;
    let data = server.data_dir();
    server.signal("TERM").await;
    let (ended, stopped) = server.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let ids = SystemIds::new();
    let [first, second, third] = std::array::from_fn(|_| JobId::new(&ids));
    bury(&data, &[first, second, third]).await;

    let listed = chatterbox_cli(&data, &["jobs", "list"], "").await;
    assert_eq!(listed.code, 0, "{listed:?}");
    for part in [first.to_string().as_str(), "sweepInvites", "the disk was full"] {
        assert!(listed.output.contains(part), "{listed:?}");
    }
    let retry =
        async |id: JobId| chatterbox_cli(&data, &["jobs", "retry", &id.to_string(), "--json"], "").await;
    retry(first).await.json();

    let server = stopped.restarted().await;
    let list = async || {
        let listed = chatterbox_cli(&data, &["jobs", "list", "--json"], "")
            .await
            .json();
        let items = listed["items"].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .map(|job| job["id"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(list().await, [third.to_string(), second.to_string()]);
    retry(second).await.json();
    let forget = ["jobs", "drop", &third.to_string(), "--json"];
    chatterbox_cli(&data, &forget, "").await.json();
    assert!(list().await.is_empty());
    for refused in [chatterbox_cli(&data, &forget, "").await, retry(first).await] {
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.errors.contains("NOT_FOUND"), "{refused:?}");
    }
    server.signal("TERM").await;
    let (ended, _) = server.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}
