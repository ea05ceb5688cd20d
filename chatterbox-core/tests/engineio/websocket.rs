//! PROTOCOL.md sections 5 and 6 over websockets.

use std::time::Duration;

use chatterbox_core::engine::{CloseReason, Frame, Packet};
use chatterbox_core::realtime::Config;
use futures_util::SinkExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::support::*;

#[tokio::test]
async fn messages_go_both_ways() {
    let server = TestServer::echo().await;
    let mut socket = server.connect().await;
    socket.send("4hé").await;
    assert_eq!(socket.text().await, "4hé");
    socket.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(socket.next().await, Message::binary(vec![1, 2, 3]));
    socket
        .0
        .send(Message::Ping(Bytes::from_static(b"hi")))
        .await
        .unwrap();
    assert_eq!(socket.next().await, Message::Pong(Bytes::from_static(b"hi")));
}

#[tokio::test]
async fn the_handshake_offers_no_further_upgrade() {
    let server = TestServer::echo().await;
    let mut socket = server.websocket("EIO=4&transport=websocket").await;
    assert!(socket.text().await.contains("\"upgrades\":[]"));
}

#[tokio::test]
async fn what_ends_a_websocket_and_with_which_code() {
    for (what, bytes, code, reason) in [
        (
            "Engine.IO close",
            frame(0x81, b"1"),
            1000,
            CloseReason::TransportClose,
        ),
        (
            "close frame",
            frame(0x88, &[3, 232]),
            1000,
            CloseReason::TransportClose,
        ),
        (
            "unknown packet",
            frame(0x81, b"abc"),
            1002,
            CloseReason::ParseError,
        ),
        ("client ping", frame(0x81, b"2"), 1002, CloseReason::ParseError),
        (
            "invalid UTF-8",
            frame(0x81, b"4\xFF"),
            1007,
            CloseReason::ParseError,
        ),
        ("unmasked", vec![0x81, 1, b'3'], 1002, CloseReason::ParseError),
        ("reserved bit", frame(0xC1, b"4"), 1002, CloseReason::ParseError),
        ("unknown opcode", frame(0x83, b"4"), 1002, CloseReason::ParseError),
        ("long ping", frame(0x89, &[0; 126]), 1002, CloseReason::ParseError),
        ("fragmented ping", frame(0x09, b""), 1002, CloseReason::ParseError),
        (
            "stray continuation",
            frame(0x80, b"4"),
            1002,
            CloseReason::ParseError,
        ),
        (
            "huge announcement",
            vec![0x82, 0xFF, 0x7F, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0],
            1009,
            CloseReason::TooLarge,
        ),
        (
            "too large",
            frame(0x82, &vec![0; 1_000_001]),
            1009,
            CloseReason::TooLarge,
        ),
    ] {
        let mut server = TestServer::echo().await;
        let mut socket = server.raw_websocket().await;
        socket.write_all(&bytes).await.unwrap();
        assert_eq!(raw_close_code(&mut socket).await, Some(code), "{what}");
        assert_eq!(server.reason().await, reason, "{what}");
    }
}

#[tokio::test]
async fn a_vanished_client_ends_the_session() {
    let mut server = TestServer::echo().await;
    drop(server.raw_websocket().await);
    assert!(matches!(
        server.reason().await,
        CloseReason::TransportClose | CloseReason::TransportError
    ));
}

/// CVE-2022-21676: bytes right behind the request, good and bad.
#[tokio::test]
async fn frames_may_come_with_the_upgrade_request() {
    let mut server = TestServer::echo().await;
    for (first_frame, good) in [(frame(0x81, b"4early"), true), (vec![0xFF; 40], false)] {
        let head = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(&[head.as_bytes(), &first_frame].concat())
            .await
            .unwrap();
        let mut seen = Vec::new();
        let wanted: &[u8] = if good { b"4early" } else { &[0x88] };
        within(async {
            while !seen.windows(wanted.len()).any(|window| window == wanted) {
                tokio::io::AsyncReadExt::read_buf(&mut stream, &mut seen)
                    .await
                    .unwrap();
            }
        })
        .await;
    }
    assert_eq!(
        server.reason().await,
        CloseReason::TransportClose,
        "the first client dropped its stream"
    );
    assert_eq!(server.reason().await, CloseReason::ParseError);
}

#[tokio::test]
async fn the_server_pings_and_closes_who_stays_silent() {
    let mut config = Config::default();
    config.engine.ping_interval = Duration::from_millis(100);
    config.engine.ping_timeout = Duration::from_millis(100);
    let mut server = TestServer::start(config).await;
    let mut socket = server.connect().await;
    for _ in 0..3 {
        assert_eq!(socket.text().await, "2");
        socket.send("3").await;
    }
    assert_eq!(socket.text().await, "2");
    assert_eq!(socket.close_code().await, Some(1000));
    assert_eq!(server.reason().await, CloseReason::PingTimeout);
}

#[tokio::test]
async fn close_codes_tell_why_the_application_closed() {
    for (reason, code) in [
        (CloseReason::Unauthenticated, 4401),
        (CloseReason::Forbidden, 4403),
        (CloseReason::Abuse, 4429),
        (CloseReason::ForcedClose, 1000),
    ] {
        let mut server = TestServer::echo().await;
        let mut socket = server.connect().await;
        let link = server.link().await;
        link.send(Packet::from_elem(Frame::text(&["4last"]), 1));
        link.close(reason);
        assert_eq!(socket.text().await, "4last");
        assert_eq!(socket.close_code().await, Some(code));
    }
}

/// DESIGN.md: restarts close the transport with 1012 and without `41`, so clients come back by themselves.
#[tokio::test]
async fn a_shutdown_closes_everybody_and_takes_nobody() {
    let server = TestServer::echo().await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(server.connect().await);
    }
    let shutdown = server.service.shutdown(Duration::from_millis(50));
    let clients = async {
        for socket in &mut sockets {
            assert_eq!(socket.close_code().await, Some(1012));
        }
    };
    tokio::join!(shutdown, clients);
    assert_eq!(server.service.counters().sessions, 0);
    assert_eq!(server.get("EIO=4&transport=polling").await.status, 503);
}

#[tokio::test]
async fn a_websocket_born_session_is_not_taken_over() {
    let server = TestServer::echo().await;
    let mut socket = server.websocket("EIO=4&transport=websocket").await;
    let sid = sid_of(&socket.text().await);
    let mut thief = server
        .websocket(&format!("EIO=4&transport=websocket&sid={sid}"))
        .await;
    thief.send("2probe").await;
    assert_eq!(thief.close_code().await, Some(1000));
    assert_eq!(
        server
            .get(&format!("EIO=4&transport=polling&sid={sid}"))
            .await
            .refusal(),
        (400, 3)
    );
    socket.send("4mine").await;
    assert_eq!(socket.text().await, "4mine");
}
