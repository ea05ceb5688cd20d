//! PROTOCOL.md section 7 and its races over real sockets.

use chatterbox_core::engine::{CloseReason, Frame, Packet};
use chatterbox_core::realtime::Config;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

use super::support::*;

fn packet(text: &str) -> Packet {
    Packet::from_elem(Frame::text(&["4", text]), 1)
}

#[tokio::test]
async fn the_captured_upgrade_of_a_default_client() {
    let server = TestServer::echo().await;
    let session = server.polling().await;
    let mut socket = server.upgrading(&session).await;
    let mut get = server.begin("GET", &session, &[], 0).await;
    assert_eq!(server.post(&session, b"40").await.body, "ok");
    assert_eq!(Reply::read(&mut get).await.body, "40");
    let mut get = server.begin("GET", &session, &[], 0).await;
    let begun = Instant::now();
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    assert_eq!(Reply::read(&mut get).await.body, "6");
    assert!(begun.elapsed() < Duration::from_secs(5), "not with the next ping");
    socket.send("5").await;
    socket.send("4hello").await;
    assert_eq!(socket.text().await, "4hello");
    assert_eq!(server.get(&session).await.refusal(), (400, 3));
    assert_eq!(server.post(&session, b"4x").await.refusal(), (400, 3));
    within(async {
        while server.service.counters().upgraded == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_second_websocket_is_closed_and_the_first_left_alone() {
    let server = TestServer::echo().await;
    let session = server.polling().await;
    let mut first = server.upgrading(&session).await;
    first.send("2probe").await;
    assert_eq!(first.text().await, "3probe");
    let mut second = server.upgrading(&session).await;
    second.send("2probe").await;
    assert_eq!(second.close_code().await, Some(1000));
    first.send("5").await;
    let mut third = server.upgrading(&session).await;
    assert_eq!(third.close_code().await, Some(1000));
    first.send("4hello").await;
    assert_eq!(first.text().await, "4hello");
}

/// PROTOCOL.md section 4: a dropped GET ends the session at once, also one that the server takes its time with because
/// an upgrade goes on.
#[tokio::test(start_paused = true)]
async fn a_get_dropped_in_an_upgrade_ends_the_session_too() {
    let mut server = TestServer::echo().await;
    let mut service = server.service.clone();
    let mut get = |query: &str| {
        let uri = format!("/socket.io/?{query}");
        let request = http::Request::get(uri).body(http_body_util::Empty::<bytes::Bytes>::new());
        tower::Service::call(&mut service, request.unwrap())
    };
    let opened = get("EIO=4&transport=polling").await.unwrap();
    let opened = http_body_util::BodyExt::collect(opened.into_body())
        .await
        .unwrap();
    let sid = sid_of(std::str::from_utf8(&opened.to_bytes()).unwrap());
    let session = format!("EIO=4&transport=polling&sid={sid}");
    let mut socket = server
        .piped(&session.replace("=polling", "=websocket"), 4096)
        .await;
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");

    let link = server.link().await;
    let mut dropped = get(&session);
    assert!(futures_util::poll!(&mut dropped).is_pending());
    link.send(packet("a"));
    drop(dropped);
    assert_eq!(server.closed.recv().await, Some(CloseReason::TransportClose));
    assert_eq!(get(&session).await.unwrap().status(), 400);
    assert_eq!(
        socket.close_code().await,
        Some(1000),
        "the probing websocket goes with it"
    );
}

#[tokio::test]
async fn a_failed_probe_leaves_polling_alone_and_may_be_tried_again() {
    let server = TestServer::echo().await;
    let session = server.polling().await;
    for wrong in ["4hello", "3", "x"] {
        let mut socket = server.upgrading(&session).await;
        socket.send(wrong).await;
        assert_eq!(socket.close_code().await, Some(1000), "{wrong}");
    }
    let mut socket = server.upgrading(&session).await;
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    drop(socket);
    assert_eq!(server.post(&session, b"4a").await.body, "ok");
    let body = server.get(&session).await.body;
    assert!(body == "4a" || body == "6", "{body}");
}

#[tokio::test]
async fn a_probe_that_stalls_is_closed() {
    let mut config = Config::default();
    config.engine.upgrade_timeout = Duration::from_millis(50);
    let server = TestServer::start(config).await;
    let session = server.polling().await;
    let mut socket = server.upgrading(&session).await;
    assert_eq!(socket.close_code().await, Some(1000));
    assert_eq!(server.post(&session, b"4a").await.body, "ok");
}

#[tokio::test]
async fn closing_while_upgrading_closes_the_probe_too() {
    let mut server = TestServer::echo().await;
    let session = server.polling().await;
    let mut socket = server.upgrading(&session).await;
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    server.link().await.close(CloseReason::ForcedClose);
    assert_eq!(socket.close_code().await, Some(1000));
    assert_eq!(server.get(&session).await.body, "1");
}

/// Nothing lost, nothing twice, nothing out of order: 3,000 numbered messages while the transport changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_holds_over_an_upgrade_under_load() {
    let mut server = TestServer::echo().await;
    let session = server.polling().await;
    let link = server.link().await;
    let (upgraded, is_upgraded) = tokio::sync::oneshot::channel();
    let sender = async {
        for number in 0..3_000 {
            link.send(packet(&number.to_string()));
            if number % 10 == 0 {
                tokio::task::yield_now().await;
            }
        }
        // On a slow machine everything may have gone out by polling; this one is to come by websocket.
        is_upgraded.await.unwrap();
        link.send(packet("end"));
    };
    let receiver = async {
        let mut seen = Vec::new();
        let mut take = |body: &str| {
            seen.extend(
                body.split('\x1e')
                    .filter_map(|packet| packet.strip_prefix('4'))
                    .map(str::to_owned),
            );
        };
        take(&server.get(&session).await.body);
        let mut socket = server.upgrading(&session).await;
        let mut get = server.begin("GET", &session, &[], 0).await;
        socket.send("2probe").await;
        assert_eq!(socket.text().await, "3probe");
        take(&Reply::read(&mut get).await.body);
        socket.send("5").await;
        upgraded.send(()).unwrap();
        loop {
            let text = socket.text().await;
            if text == "4end" {
                break seen;
            }
            take_one(&mut seen, &text);
        }
    };
    let ((), seen) = tokio::join!(sender, receiver);
    assert_eq!(
        seen,
        (0..3_000).map(|number| number.to_string()).collect::<Vec<_>>()
    );
}

fn take_one(seen: &mut Vec<String>, text: &str) {
    seen.push(text.strip_prefix('4').unwrap().to_owned());
}

/// CVE-2022-41940: clients that go away at every point of the upgrade leave nothing behind and harm nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_cut_off_upgrades() {
    let server = TestServer::echo().await;
    let session = server.polling().await;
    let query = session.replace("polling", "websocket");
    let headers = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    for round in 0..300 {
        let query = if round % 2 == 0 {
            query.as_str()
        } else {
            "EIO=4&transport=websocket"
        };
        let mut stream = server.begin("GET", query, &headers, 0).await;
        if round % 3 == 0 {
            stream.set_zero_linger().unwrap();
        }
        if round % 5 == 0 {
            stream.write_all(&frame(0x81, b"2probe")).await.ok();
        }
    }
    within(async {
        while server.service.counters().sessions > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(server.post(&session, b"4alive").await.body, "ok");
}
