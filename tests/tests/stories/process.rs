//! The server as a process: how it starts, shares its directory with nobody, and ends.

use chatterbox_tests::{Setup, TestServer, run_to_end};

#[tokio::test]
async fn the_first_line_names_the_address_and_the_mode() {
    // S-037.
    let server = TestServer::start().await;
    assert!(server.greeting().contains("development"), "{}", server.greeting());
    assert_eq!(server.rest().get("/api/health").await.ok()["status"], "ok");
    for path in ["/api/health/live", "/api/health/ready"] {
        assert_eq!(server.rest().get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_second_process_on_the_same_data_dir_is_refused_with_one_clear_line() {
    let server = TestServer::start().await;
    let second = run_to_end(&server.data_dir(), &[]).await;
    assert_eq!(second.code, Some(1), "{}", second.log);
    assert_eq!(second.log.lines().count(), 1, "{}", second.log);
    assert!(
        second.log.contains("is in use by another process"),
        "{}",
        second.log
    );
    // The first one goes on.
    assert_eq!(server.rest().get("/api/health").await.status, 200);
}

#[tokio::test]
async fn sigterm_and_sigint_drain_and_exit_0() {
    for signal in ["TERM", "INT"] {
        let server = TestServer::start().await;
        let mut ann = server.person("ann").await;
        ann.joins("general").await;
        ann.says("general", "before the drain").await;
        server.signal(signal).await;
        // Service restart, and no `41`: clients come back by themselves (SPEC.md section 1, How a session ends).
        let lost = ann.socket.lost().await;
        assert_eq!((lost.code, lost.disconnected), (Some(1012), false), "{signal}");
        assert!(ann.socket.unheard().contains(&"server-draining"), "S-128");
        let (ended, stopped) = server.ended().await;
        assert_eq!(ended.code, Some(0), "{signal}: {}", ended.log);

        let server = stopped.restarted().await;
        ann.returns_to(&server).await;
        let history = ann.rest.get("/api/rooms/general/messages").await.ok();
        assert_eq!(history["items"][0]["content"], "before the drain");
    }
}

#[tokio::test]
async fn s_146_a_server_that_drains_is_not_ready_first_and_serves_on_until_then() {
    let server = Setup::new().with("DRAIN_DELAY", "6s").start().await;
    let mut ann = server.person("ann").await;
    ann.joins("general").await;
    server.signal("TERM").await;
    // Told by the probe alone.
    while server.rest().get("/api/health/ready").await.status == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(server.rest().get("/api/health/live").await.status, 200);
    let bob = server.person("bob").await;
    ann.says("general", "still here").await;
    let history = bob.rest.get("/api/rooms/general/messages").await.ok();
    assert_eq!(history["items"][0]["content"], "still here");
    assert_eq!(ann.socket.lost().await.code, Some(1012));
    let (ended, _) = server.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}

#[tokio::test]
async fn a_production_server_takes_its_secret_from_the_environment_and_logs_json() {
    let server = Setup::new()
        .with("NODE_ENV", "production")
        .with("JWT_SECRET", "q3Zl0ZpI7wI2mN1xk9Ff0b5cU8rT6yHs")
        .with("LOG_LEVEL", "info")
        .start()
        .await;
    let ann = server.person("ann").await;
    assert!(!server.data_dir().join("jwt-secret").exists());
    let log = server.log();
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
    // THREATS.md C9: no token and no password in the log.
    for secret in [
        ann.token.as_str(),
        &ann.refresh_token,
        chatterbox_tests::PASSWORD,
        "q3Zl0ZpI7wI2mN1x",
    ] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn a_development_server_keeps_its_secret_over_restarts() {
    // S-041.
    use std::os::unix::fs::PermissionsExt;
    let server = TestServer::start().await;
    let ann = server.person("ann").await;
    let secret = server.data_dir().join("jwt-secret");
    assert_eq!(
        std::fs::metadata(secret).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let server = server.killed().await.restarted().await;
    assert_eq!(
        server
            .rest()
            .with_token(&ann.token)
            .get("/api/auth/me")
            .await
            .ok()["username"],
        "ann"
    );
}

#[tokio::test]
async fn heads_beyond_the_limits_are_answered_431_and_the_server_lives() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start().await;
    let address = server.url().trim_start_matches("http://").to_owned();
    for junk in [
        format!(
            "GET /socket.io/ HTTP/1.1\r\nHost: x\r\n{}\r\n",
            "X-A: b\r\n".repeat(1500)
        ),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)),
        "\0\u{1}\u{2} nonsense \r\n\r\n".to_owned(),
    ] {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let _ = stream.write_all(junk.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(server.rest().get("/api/health").await.status, 200);
}
