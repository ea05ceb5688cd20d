//! Backends over TLS (S-038, S-039), behind certificates of a CA that only those know who are told of it.

use std::time::{Duration, Instant};

use chatterbox_tests::{PASSWORD, PATIENCE, Setup, TestServer, backend, run_to_end, unique};
use serde_json::json;
use tokio::time::sleep;

/// How long a log or a health check may take to tell; nothing announces it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

async fn until_redis_is(server: &TestServer, wanted: &str) {
    let begun = Instant::now();
    loop {
        let health = server.rest().get("/api/health").await;
        if health.body["checks"]["redis"] == wanted {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{wanted} was expected: {}",
            health.body
        );
        sleep(LOOK_AGAIN).await;
    }
}

#[tokio::test]
async fn s_039_redis_is_reached_over_tls_if_its_ca_is_trusted() {
    let url = backend("REDIS_TLS_URL");
    let trusting = Setup::new()
        .with("REDIS_URL", &url)
        .with("SSL_CERT_FILE", backend("TLS_CA"))
        .start()
        .await;
    until_redis_is(&trusting, "ok").await;
    let account = json!({"username": "ann", "email": "ann@example.com", "password": PASSWORD});
    trusting.rest().post("/api/auth/register", account).await.ok();
    assert!(!trusting.log().contains("does not answer"), "{}", trusting.log());

    // Nobody is believed who can't prove it: Redis counts as away, and the log says why.
    let strict = Setup::new().with("REDIS_URL", &url).start().await;
    until_redis_is(&strict, "failing").await;
    let begun = Instant::now();
    while !strict.log().contains("certificate") {
        assert!(begun.elapsed() < PATIENCE, "{}", strict.log());
        sleep(LOOK_AGAIN).await;
    }
    assert!(strict.log().contains("REDIS_URL"), "{}", strict.log());
}

#[tokio::test]
async fn s_038_mongodb_is_reached_over_tls_if_its_ca_is_trusted() {
    let uri = backend("MONGODB_TLS_URI");
    let (before, options) = uri.split_once('?').unwrap();
    let (hosts, _) = before.rsplit_once('/').unwrap();
    let uri = format!("{hosts}/{}?{options}", unique("secured"));
    let trusting = format!("{uri}&tlsCAFile={}", backend("TLS_CA"));
    let server = Setup::new().with("MONGODB_URI", trusting).start().await;
    let health = server.rest().get("/api/health").await;
    assert_eq!(health.body["checks"]["mongodb"], "ok", "{}", health.body);

    let directory = tempfile::tempdir().unwrap();
    let ended = run_to_end(&directory.path().join("data"), &[("MONGODB_URI", &uri)]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    let refusal = ended
        .log
        .lines()
        .find(|line| line.contains("MONGODB_URI"))
        .unwrap();
    assert!(refusal.contains("certificate"), "{refusal}");
}
