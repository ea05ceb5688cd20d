//! Streams that are not plain TCP: the connection's task writes. And, since no kernel is involved, the real timers of
//! PROTOCOL.md section 6 under paused time.

use std::time::Duration;

use chatterbox_core::engine::{CloseReason, Frame, Packet};
use chatterbox_core::realtime::Config;
use futures_util::SinkExt as _;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::support::*;

const BORN: &str = "EIO=4&transport=websocket";

#[tokio::test]
async fn messages_go_both_ways() {
    let server = TestServer::echo().await;
    let mut socket = server.piped(BORN, 4096).await;
    assert!(socket.text().await.starts_with("0{"));
    for size in [0, 1, 125, 126, 5_000, 65_536, 300_000] {
        socket.0.send(Message::binary(vec![9; size])).await.unwrap();
        assert_eq!(socket.next().await, Message::binary(vec![9; size]));
    }
}

#[tokio::test]
async fn a_blocked_reader_gets_everything_in_order_and_volatile_packets_are_dropped() {
    let mut server = TestServer::echo().await;
    let mut socket = server.piped(BORN, 64).await;
    assert!(socket.text().await.starts_with("0{"));
    let link = server.link().await;
    for number in 0..500 {
        link.send(Packet::from_elem(Frame::text(&["4", &number.to_string()]), 1));
    }
    within(async {
        while link.send_volatile(Packet::from_elem(Frame::text(&["4volatile"]), 1)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut next = 0;
    while next < 500 {
        let text = socket.text().await;
        if text != "4volatile" {
            assert_eq!(text, format!("4{next}"));
            next += 1;
        }
    }
    // The stream takes data again, and so volatile packets pass.
    within(async {
        while !link.send_volatile(Packet::from_elem(Frame::text(&["4again"]), 1)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    while socket.text().await != "4again" {}
    assert_eq!(link.queued_bytes(), 0);
}

#[tokio::test]
async fn a_slow_reader_is_closed() {
    let mut config = Config::default();
    config.engine.queue.bytes_max = 10_000;
    let mut server = TestServer::start(config).await;
    let mut socket = server.piped(BORN, 512).await;
    let link = server.link().await;
    let packet = Packet::from_elem(Frame::text(&["4", &"x".repeat(1_000)]), 1);
    for _ in 0..30 {
        link.send(packet.clone());
        tokio::task::yield_now().await;
    }
    assert_eq!(server.reason().await, CloseReason::SlowReader);
    assert_eq!(socket.close_code().await, Some(4408));
}

#[tokio::test]
async fn a_polling_session_moves_to_any_stream() {
    let server = TestServer::echo().await;
    let session = server.polling().await;
    let mut socket = server
        .piped(&session.replace("transport=polling", "transport=websocket"), 4096)
        .await;
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    socket.send("5").await;
    socket.send("4hello").await;
    assert_eq!(socket.text().await, "4hello");
}

#[tokio::test]
async fn a_vanished_client_ends_the_session() {
    let mut server = TestServer::echo().await;
    drop(server.piped(BORN, 4096).await);
    assert!(matches!(
        server.reason().await,
        CloseReason::TransportClose | CloseReason::TransportError
    ));
}

/// Deadlines are met at most one tick of 20 ms late.
fn assert_about(begun: Instant, expected: Duration) {
    let elapsed = begun.elapsed();
    assert!(
        elapsed >= expected && elapsed < expected + Duration::from_millis(60),
        "{elapsed:?}, not {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_keeps_its_times() {
    let mut config = Config::default();
    config.engine.ping_spread = Duration::ZERO;
    let mut server = TestServer::start(config).await;
    let mut last = Instant::now();
    let mut socket = server.piped(BORN, 4096).await;
    assert!(socket.text().await.starts_with("0{"));
    for _ in 0..4 {
        assert_eq!(socket.0.next_message().await, Message::text("2"));
        assert_about(last, Duration::from_secs(25));
        last = Instant::now();
        socket.send("3").await;
    }
    assert_eq!(socket.0.next_message().await, Message::text("2"));
    last = Instant::now();
    assert!(matches!(socket.0.next_message().await, Message::Close(_)));
    assert_about(last, Duration::from_secs(20));
    assert_eq!(server.closed.recv().await, Some(CloseReason::PingTimeout));
}

/// PROTOCOL.md section 6: a wave of clients is not answered by waves of pings.
#[tokio::test(start_paused = true)]
async fn those_who_come_together_do_not_beat_together() {
    let server = TestServer::echo().await;
    let begun = Instant::now();
    let mut firsts = Vec::new();
    for client in 0..40 {
        let mut socket = server.piped(BORN, 4096).await;
        firsts.push(async move {
            assert!(
                matches!(socket.0.next_message().await, Message::Text(_)),
                "{client}"
            );
            assert_eq!(socket.0.next_message().await, Message::text("2"));
            begun.elapsed()
        });
    }
    let mut firsts = futures_util::future::join_all(firsts).await;
    firsts.sort();
    let (earliest, latest) = (firsts[0], firsts[39]);
    assert!(
        earliest >= Duration::from_secs(20) && latest < Duration::from_millis(25_060),
        "{firsts:?}"
    );
    assert!(latest > earliest + Duration::from_secs(2), "{firsts:?}");
    firsts.dedup();
    assert!(firsts.len() > 10, "{firsts:?}");
}

/// Without the patience of the other tests: that would be a timer which paused time runs into.
trait NextMessage {
    async fn next_message(&mut self) -> Message;
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> NextMessage
    for tokio_tungstenite::WebSocketStream<S>
{
    async fn next_message(&mut self) -> Message {
        futures_util::StreamExt::next(self)
            .await
            .expect("not ended")
            .unwrap()
    }
}
