//! PROTOCOL.md section 14 over HTTP.

use chatterbox_core::realtime::{Config, Cors};

use super::support::*;

async fn server(cors: Cors) -> TestServer {
    TestServer::start(Config {
        cors,
        ..Config::default()
    })
    .await
}

fn list() -> Cors {
    Cors::List {
        origins: vec!["https://a.test".into()],
        credentials: true,
    }
}

const PAGE: &[&str] = &["Origin: https://a.test"];

#[tokio::test]
async fn without_configuration_there_are_no_cors_headers() {
    let server = server(Cors::Off).await;
    let reply = server.request("GET", "EIO=4&transport=polling", PAGE, b"").await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, None)
    );
    assert_eq!(
        server
            .request("OPTIONS", "EIO=4&transport=polling", PAGE, b"")
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn errors_carry_the_headers_too() {
    let server = server(Cors::Any).await;
    for query in [
        "EIO=4&transport=polling",
        "EIO=4&transport=polling&sid=x",
        "EIO=3&transport=polling",
    ] {
        let reply = server.request("GET", query, PAGE, b"").await;
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{query}");
    }
}

#[tokio::test]
async fn a_preflight_is_answered() {
    let server = server(list()).await;
    let headers = [
        "Origin: https://a.test",
        "Access-Control-Request-Headers: x-token",
    ];
    let reply = server
        .request("OPTIONS", "EIO=4&transport=polling", &headers, b"")
        .await;
    assert_eq!(reply.status, 204);
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("https://a.test")
    );
    assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("x-token"));
    assert!(reply.head.contains("vary: origin"));
}

/// THREATS A1: before the upgrade, and on polling as well.
#[tokio::test]
async fn a_foreign_page_opens_nothing() {
    let server = server(list()).await;
    let upgrade = [
        "Origin: https://evil.example",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let reply = server
        .request("GET", "EIO=4&transport=websocket", &upgrade, b"")
        .await;
    assert_eq!(
        (reply.refusal(), reply.header("connection")),
        ((403, 4), Some("close"))
    );
    assert_eq!(
        server
            .request("GET", "EIO=4&transport=polling", &upgrade[..1], b"")
            .await
            .refusal(),
        (403, 4)
    );
    assert_eq!(server.service.counters().opened, 0);
}
