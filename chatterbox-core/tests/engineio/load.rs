//! Many connections, and that nothing is left of them.

use std::time::Duration;

use chatterbox_core::engine::{Frame, Packet};
use chatterbox_core::hub::{Delivery, Hub};
use chatterbox_core::realtime::{Caps, Config};

use super::support::*;

async fn many() -> TestServer {
    let caps = Caps {
        per_address_max: 100_000,
        ..Caps::default()
    };
    TestServer::start(Config {
        caps,
        ..Config::default()
    })
    .await
}

async fn until_empty(server: &TestServer) {
    within(async {
        while server.service.counters().sessions > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Every client hears every message of its room, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_hears_everything_in_order() {
    let mut server = many().await;
    let hub = Hub::new();
    let mut sockets = Vec::new();
    for _ in 0..100 {
        sockets.push(server.connect().await);
        hub.subscribe(&server.link().await, &"room");
    }
    for number in 0..200 {
        let packet = Packet::from_elem(Frame::text(&["4", &number.to_string()]), 1);
        assert_eq!(hub.publish(&"room", &packet, Delivery::Reliable, None), 100);
        if number % 20 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for socket in &mut sockets {
        for number in 0..200 {
            assert_eq!(socket.text().await, format!("4{number}"));
        }
    }
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// PROTOCOL.md section 16.7: connect and drop many thousands, then nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connects_leave_nothing() {
    let mut server = many().await;
    let hub = Hub::new();
    let mut after_warm_up = 0;
    for wave in 0..20 {
        let mut sockets = Vec::new();
        for number in 0..500 {
            let socket = server.raw_websocket().await;
            let link = server.link().await;
            hub.subscribe(&link, &(number % 50));
            sockets.push((socket, link));
        }
        hub.publish(
            &7,
            &Packet::from_elem(Frame::text(&["4hello"]), 1),
            Delivery::Reliable,
            None,
        );
        for (socket, link) in sockets {
            drop(socket);
            hub.unsubscribe_all(&link);
        }
        until_empty(&server).await;
        if wave == 4 {
            after_warm_up = resident_bytes();
        }
    }
    assert_eq!((hub.topics(), hub.connections()), (0, 0));
    let grown = resident_bytes().saturating_sub(after_warm_up);
    assert!(grown < 8 << 20, "7,500 further connections left {grown} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_sessions_leave_nothing_either() {
    let server = many().await;
    for _ in 0..200 {
        let session = server.polling().await;
        server.post(&session, b"4a\x1e4b").await;
        assert_eq!(server.get(&session).await.body, "4a\x1e4b");
        server.post(&session, b"1").await;
    }
    until_empty(&server).await;
}
