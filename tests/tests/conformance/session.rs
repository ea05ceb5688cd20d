//! PROTOCOL.md sections 4, 5, 6, 7 and 13: how sessions live, move and end.

use std::time::{Duration, Instant};

use reqwest::Method;
use tokio_tungstenite::tungstenite::Message;

use futures_util::SinkExt as _;

use super::example::{Example, PATHS};
use super::wire::{Packet, Polling, TRANSPORTS, Transport, Websocket, Wire};

/// How long a session lasts whose client is silent: the numbers of the official suites, less a tick of the wheel.
const SILENCE: Duration = Duration::from_millis(500 - 20);

#[tokio::test]
async fn protocol_6_pings_come_and_pongs_keep_the_session() {
    // Pongs have more time than in the official suites, and the machine may be busy.
    let example = Example::with_heartbeat(100, 20_000).await;
    for path in PATHS {
        let ann = Polling::open(&example, path).await;
        let mut bob = Websocket::open(&example, path).await;
        if path == "/socket.io/" {
            ann.post(["40".into()]).await;
            bob.send(["40".into()]).await;
            ann.get().await;
            let _ = (bob.next().await, bob.next().await);
        }
        for _ in 0..3 {
            let begun = Instant::now();
            assert_eq!(ann.get().await.body, "2");
            assert_eq!(ann.post(["3".into()]).await.body, "ok");
            assert_eq!(bob.next().await, "2".into());
            bob.send(["3".into()]).await;
            assert_eq!(ann.get().await.body, "2");
            assert!(
                begun.elapsed() >= Duration::from_millis(80),
                "not before its time"
            );
            assert_eq!(ann.post(["3".into()]).await.body, "ok");
            assert_eq!(bob.next().await, "2".into());
            bob.send(["3".into()]).await;
        }
    }
}

#[tokio::test]
async fn protocol_6_a_silent_client_is_closed() {
    let example = Example::hasty().await;
    for path in PATHS {
        // Nobody polls: the ping waits, its time-out does not.
        let begun = Instant::now();
        let mut ann = Websocket::open(&example, path).await;
        let bob = Polling::open(&example, path).await;
        assert_eq!(ann.next().await, "2".into());
        assert!(matches!(ann.next().await, Packet::Closed(_)));
        assert!(begun.elapsed() >= SILENCE, "{path}: {:?}", begun.elapsed());
        // Bob's session began before Ann's ended, so half a second of Carol's is more than enough for it.
        let mut carol = Websocket::open(&example, path).await;
        assert_eq!(carol.next().await, "2".into());
        assert!(matches!(carol.next().await, Packet::Closed(_)));
        assert_eq!(bob.get().await.refusal(), (400, Some(1)), "{path}");
        // Somebody polls, but gives no pong.
        let begun = Instant::now();
        let dora = Polling::open(&example, path).await;
        assert_eq!(dora.get().await.body, "2");
        let end = dora.get().await;
        assert!(end.body == "1" || end.status == 400, "{end:?}");
        assert!(begun.elapsed() >= SILENCE, "{path}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn protocol_4_a_second_get_ends_the_session() {
    let example = Example::calm().await;
    for path in PATHS {
        let ann = Polling::open(&example, path).await;
        let (first, second) = tokio::join!(ann.get(), ann.get());
        // Which of the two came first is the kernel's choice.
        let (held, refused) = if first.status == 200 {
            (first, second)
        } else {
            (second, first)
        };
        assert_eq!((held.status, held.body.as_str()), (200, "1"));
        assert_eq!(refused.refusal(), (400, Some(3)));
        assert_eq!(ann.get().await.refusal(), (400, Some(1)));
    }
}

#[tokio::test]
async fn protocol_4_a_dropped_get_ends_the_session_at_once() {
    let example = Example::calm().await;
    for path in PATHS {
        let ann = Polling::open(&example, path).await;
        // Long enough for the GET to be on its way; there is nothing to see of it.
        let dropped = tokio::time::timeout(Duration::from_millis(200), ann.get()).await;
        assert!(dropped.is_err(), "held");
        assert_eq!(ann.get().await.status, 400, "the very next GET");
        assert_eq!(ann.get().await.refusal(), (400, Some(1)));
    }
}

#[tokio::test]
async fn protocol_6_the_client_closes() {
    let example = Example::calm().await;
    for path in PATHS {
        let ann = Polling::open(&example, path).await;
        let (polled, posted) = tokio::join!(ann.get(), ann.post(["1".into()]));
        assert_eq!((posted.status, posted.body.as_str()), (200, "ok"));
        // The two may overtake each other.
        assert!(
            polled.body == "6" || polled.refusal() == (400, Some(1)),
            "{polled:?}"
        );
        assert_eq!(ann.get().await.refusal(), (400, Some(1)));
        assert_eq!(ann.post(["4x".into()]).await.refusal(), (400, Some(1)));
        let mut bob = Websocket::open(&example, path).await;
        bob.send(["1".into()]).await;
        assert_eq!(bob.next().await, Packet::Closed(Some(1000)));
    }
}

#[tokio::test]
async fn protocol_7_an_upgrade_releases_gets_and_ends_polling() {
    let example = Example::calm().await;
    for path in PATHS {
        let ann = Polling::open(&example, path).await;
        let mut socket = ann.probe(&example).await;
        let begun = Instant::now();
        let (held, ()) = tokio::join!(ann.get(), async {
            socket.send(["2probe".into()]).await;
            assert_eq!(socket.next().await, "3probe".into());
        });
        assert_eq!(held.body, "6");
        assert_eq!(ann.get().await.body, "6", "as many as it takes");
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "not with the next ping"
        );
        socket.send(["5".into()]).await;
        assert_eq!(ann.get().await.refusal(), (400, Some(3)), "{path}");
        assert_eq!(ann.post(["4x".into()]).await.refusal(), (400, Some(3)));
        let mut second = ann.probe(&example).await;
        assert!(matches!(second.next().await, Packet::Closed(_)));
        match path {
            "/engine.io/" => {
                socket.send(["4hello".into()]).await;
                assert_eq!(socket.next().await, "4hello".into());
            }
            _socket_io => {
                socket.send(["40".into()]).await;
                assert!(socket.next().await.text().starts_with("40{"));
            }
        }
    }
}

#[tokio::test]
async fn protocol_7_a_failed_probe_leaves_polling_alone() {
    let example = Example::calm().await;
    let ann = Polling::open(&example, "/engine.io/").await;
    for probe in ["4hello", "5x", "3probe", "2", "nonsense"] {
        let mut socket = ann.probe(&example).await;
        socket.send([probe.into()]).await;
        assert!(matches!(socket.next().await, Packet::Closed(_)), "{probe}");
        ann.post(["4alive".into()]).await;
        assert_eq!(ann.get().await.body, "4alive", "{probe}");
    }
    // Two at once: the second is closed, the first goes on.
    let mut first = ann.probe(&example).await;
    first.send(["2probe".into()]).await;
    assert_eq!(first.next().await, "3probe".into());
    let mut second = ann.probe(&example).await;
    assert!(matches!(second.next().await, Packet::Closed(_)));
    first.send(["5".into(), "4hello".into()]).await;
    assert_eq!(first.next().await, "4hello".into());
    // Born on websocket, a session is nobody else's to take.
    let mut bob = Wire::open(&example, "/engine.io/", Transport::Websocket).await;
    let query = format!("EIO=4&transport=websocket&sid={}", bob.sid());
    if let Ok(thief) = super::wire::websocket(&example, "/engine.io/", &query).await {
        let mut thief = Websocket::unopened(thief);
        thief.send(["2probe".into()]).await;
        assert!(matches!(thief.next().await, Packet::Closed(_)));
    }
    bob.send(["4mine".into()]).await;
    assert_eq!(bob.next().await, "4mine".into());
}

/// Nothing lost, nothing twice, nothing out of order, both ways, while a session moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protocol_7_11_order_holds_under_load_across_an_upgrade() {
    const EACH: usize = 400;
    let example = Example::calm().await;
    let packets =
        |numbers: std::ops::Range<usize>| numbers.map(|number| format!(r#"42["message",{number}]"#));
    for _ in 0..5 {
        let ann = Polling::open(&example, "/socket.io/").await;
        ann.post(["40".into()]).await;
        let mut heard = vec![ann.get().await.body];
        // What the server makes by itself, beside what it echoes.
        ann.post([format!(r#"42["x-flood",{EACH}]"#).as_str().into()])
            .await;
        let mut socket = ann.probe(&example).await;
        socket.send(["2probe".into()]).await;
        let post = async {
            // One body after the other, while the probe goes on.
            for begin in (0..EACH).step_by(10) {
                let body: Vec<String> = packets(begin..begin + 10).collect();
                let posted = ann.request(Method::POST, body.join("\x1e")).await;
                assert_eq!(posted.status, 200);
            }
        };
        let poll = async {
            assert_eq!(socket.next().await, "3probe".into());
            heard.push(ann.get().await.body);
        };
        tokio::join!(post, poll);
        socket.send(["5".into()]).await;
        for packet in packets(EACH..2 * EACH) {
            socket.send([packet.as_str().into()]).await;
        }
        socket.send([r#"42["message","end"]"#.into()]).await;
        let mut heard: Vec<String> = heard
            .iter()
            .flat_map(|body| body.split('\x1e'))
            .filter(|packet| *packet != "6")
            .map(str::to_owned)
            .collect();
        loop {
            let packet = socket.next().await.text();
            if packet == r#"42["message-back","end"]"# {
                break;
            }
            heard.push(packet);
        }
        let of = |event: &str| {
            let begin = format!(r#"42["{event}","#);
            heard
                .iter()
                .filter_map(|packet| packet.strip_prefix(&begin)?.strip_suffix(']')?.parse().ok())
                .collect::<Vec<usize>>()
        };
        assert_eq!(of("x-drop"), (0..EACH).collect::<Vec<_>>());
        assert_eq!(of("message-back"), (0..2 * EACH).collect::<Vec<_>>());
        // Besides: the CONNECT answer, `auth` and the end of the flood.
        assert_eq!(heard.len(), 3 * EACH + 3);
    }
}

#[tokio::test]
async fn protocol_13_exactly_max_payload_passes() {
    const MAX: usize = 1_000_000;
    let example = Example::calm().await;
    let text = |bytes: usize| format!("4{}", "a".repeat(bytes - 1));
    let ann = Polling::open(&example, "/engine.io/").await;
    assert_eq!(ann.request(Method::POST, text(MAX)).await.status, 200);
    assert!(ann.get().await.body == text(MAX));
    assert_eq!(ann.request(Method::POST, text(MAX + 1)).await.status, 413);
    assert_eq!(ann.post(["4alive".into()]).await.status, 200, "it survives");
    assert_eq!(ann.get().await.body, "4alive");
    for transport in [Transport::Websocket, Transport::Upgraded] {
        let mut bob = Wire::open(&example, "/engine.io/", transport).await;
        for packet in [Packet::Text(text(MAX)), Packet::Binary(vec![7; MAX].into())] {
            bob.send([packet.clone()]).await;
            assert!(bob.next().await == packet, "{transport:?}");
        }
        bob.send([Packet::Binary(vec![7; MAX + 1].into())]).await;
        let end = bob.next().await;
        // The rest of the message may reset the connection before the close frame is read.
        assert!(matches!(end, Packet::Closed(Some(1009) | None)), "{end:?}");
    }
    // The sum of a packet's attachments has the same bound.
    for transport in TRANSPORTS {
        let (mut carol, _) = Wire::joined(&example, transport).await;
        for (bytes, passes) in [(MAX / 2, true), (MAX / 2 + 1, false)] {
            let places = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
            carol
                .send([format!(r#"452-["nobody",{places}]"#).as_str().into()])
                .await;
            for _ in 0..2 {
                carol.send([Packet::Binary(vec![0; bytes].into())]).await;
            }
            carol.send([r#"42["message"]"#.into()]).await;
            let next = carol.next().await;
            if passes {
                assert_eq!(next, r#"42["message-back"]"#.into(), "{transport:?}");
            } else {
                assert!(
                    matches!(next, Packet::Closed(Some(1009) | None)),
                    "{transport:?}: {next:?}"
                );
            }
        }
    }
}

/// Control frames of the websocket are none of the protocol's.
#[tokio::test]
async fn protocol_5_websocket_pings_are_answered_by_pongs() {
    let example = Example::calm().await;
    let mut ann = Websocket::open(&example, "/engine.io/").await;
    ann.stream.send(Message::Ping("hi".into())).await.unwrap();
    ann.send(["4hello".into()]).await;
    let pong = futures_util::StreamExt::next(&mut ann.stream).await;
    assert_eq!(pong.unwrap().unwrap(), Message::Pong("hi".into()));
    assert_eq!(ann.next().await, "4hello".into());
}
