//! PROTOCOL.md section 13 and THREATS A over real sockets.

use std::time::Duration;

use chatterbox_core::engine::{CloseReason, Frame, Packet};
use chatterbox_core::realtime::{Caps, Config};
use futures_util::SinkExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;

use super::support::*;

#[tokio::test]
async fn a_post_of_exactly_the_limit_passes_and_one_byte_more_is_413() {
    let server = TestServer::echo().await;
    let session = server.polling().await;
    let mut body = vec![b'a'; 1_000_000];
    body[0] = b'4';
    assert_eq!(server.post(&session, &body).await.status, 200);
    assert_eq!(server.get(&session).await.body.len(), 1_000_000);
    body.push(b'a');
    assert_eq!(server.post(&session, &body).await.status, 413);
    // Without an announced length it is noticed on the way.
    let mut chunked = server
        .begin("POST", &session, &["Transfer-Encoding: chunked"], 0)
        .await;
    let chunk = [b"10000\r\n", &vec![b'a'; 0x10000][..], b"\r\n"].concat();
    for _ in 0..17 {
        if chunked.write_all(&chunk).await.is_err() {
            break;
        }
    }
    assert_eq!(Reply::read(&mut chunked).await.status, 413);
    assert_eq!(
        server.post(&session, b"4alive").await.status,
        200,
        "the session survives"
    );
}

#[tokio::test]
async fn a_websocket_message_of_exactly_the_limit_passes_and_one_byte_more_is_1009() {
    let mut server = TestServer::echo().await;
    let mut socket = server.connect().await;
    socket.0.send(Message::binary(vec![7; 1_000_000])).await.unwrap();
    assert_eq!(socket.next().await.len(), 1_000_000);
    socket.0.send(Message::binary(vec![7; 1_000_001])).await.ok();
    assert_eq!(socket.close_code().await, Some(1009));
    assert_eq!(server.reason().await, CloseReason::TooLarge);
}

/// THREATS A5.
#[tokio::test]
async fn thirty_thousand_tiny_fragments_end_the_session() {
    let mut server = TestServer::echo().await;
    let mut socket = server.raw_websocket().await;
    let mut flood = frame(0x01, b"4");
    for _ in 0..30_000 {
        flood.extend(frame(0x00, b"a"));
    }
    socket.write_all(&flood).await.ok();
    assert_eq!(raw_close_code(&mut socket).await, Some(1009));
    assert_eq!(server.reason().await, CloseReason::TooLarge);
}

/// THREATS A7.
#[tokio::test]
async fn a_ping_flood_ends_the_session() {
    for flood in [frame(0x89, b"x"), frame(0x8A, b"x"), frame(0x81, b"3")] {
        let mut server = TestServer::echo().await;
        let mut socket = server.raw_websocket().await;
        socket.write_all(&flood.repeat(1_000)).await.ok();
        assert_eq!(raw_close_code(&mut socket).await, Some(4429), "{flood:x?}");
        assert_eq!(server.reason().await, CloseReason::Abuse);
    }
}

/// CVE-2020-36048.
#[tokio::test]
async fn a_megabyte_of_tiny_packets_is_settled_in_linear_time() {
    let server = TestServer::echo().await;
    let session = server.polling().await;
    let body = "4\x1e".repeat(400_000) + "4";
    let begun = std::time::Instant::now();
    server.post(&session, body.as_bytes()).await;
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "took {:?}",
        begun.elapsed()
    );
    assert_eq!(
        server.get("EIO=4&transport=polling").await.status,
        200,
        "others are served"
    );
}

/// THREATS A9.
#[tokio::test]
async fn a_slow_reader_is_closed_with_4408_and_others_are_not() {
    let mut server = TestServer::echo().await;
    let mut slow = server.connect().await;
    let link = server.link().await;
    let mut other = server.connect().await;
    let big = Packet::from_elem(Frame::text(&["4", &"x".repeat(100_000)]), 1);
    within(async {
        while !link.is_closed() {
            link.send(big.clone());
            assert!(
                link.queued_bytes() <= (1 << 20) + 200_000,
                "{}",
                link.queued_bytes()
            );
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(server.reason().await, CloseReason::SlowReader);
    other.send("4still here").await;
    assert_eq!(other.text().await, "4still here");
    assert_eq!(slow.close_code().await, Some(4408));
}

#[tokio::test]
async fn a_blocked_reader_gets_everything_in_order_once_it_reads() {
    let mut config = Config::default();
    config.engine.queue.bytes_max = 64 << 20;
    let mut server = TestServer::start(config).await;
    let mut socket = server.connect().await;
    let link = server.link().await;
    let filler = "x".repeat(10_000);
    for number in 0..2_000 {
        link.send(Packet::from_elem(
            Frame::text(&["4", &number.to_string(), " ", &filler]),
            1,
        ));
    }
    within(async {
        while link.send_volatile(Packet::from_elem(Frame::text(&["6"]), 1)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let mut next = 0;
    while next < 2_000 {
        let text = socket.text().await;
        let Some(rest) = text.strip_prefix('4') else {
            continue;
        };
        assert_eq!(rest.split_once(' ').unwrap().0, next.to_string());
        next += 1;
    }
}

#[tokio::test]
async fn sessions_beyond_the_caps_are_turned_away() {
    let caps = Caps {
        per_address_max: 3,
        ..Caps::default()
    };
    let server = TestServer::start(Config {
        caps,
        ..Config::default()
    })
    .await;
    let _websocket = server.connect().await;
    let session = server.polling().await;
    server.polling().await;
    let reply = server.get("EIO=4&transport=polling").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    assert_eq!(server.post(&session, b"1").await.status, 200);
    within(async {
        while server.service.counters().sessions == 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.polling().await;
    assert_eq!(server.service.counters().turned_away, 1);
}

#[tokio::test]
async fn who_joins_nothing_is_closed() {
    let mut config = Config::default();
    config.engine.connect_timeout = Some(Duration::from_millis(100));
    let mut server = TestServer::start(config).await;
    let mut idle = server.connect().await;
    assert_eq!(idle.close_code().await, Some(1000));
    assert_eq!(server.reason().await, CloseReason::ConnectTimeout);
}

/// CVE-2024-37890 and THREATS A4: hyper's bounds hold, and the server lives.
#[tokio::test]
async fn thousands_of_header_lines_are_refused() {
    let server = TestServer::echo().await;
    let lines: Vec<String> = (0..1_500).map(|number| format!("x-{number}: y")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let reply = server
        .request("GET", "EIO=4&transport=websocket", &lines, b"")
        .await;
    assert_eq!(reply.status, 431);
    server.polling().await;
}
