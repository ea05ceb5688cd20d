//! PROTOCOL.md sections 10, 11 and 16: several clients, many clients, and what is left of them.

use tokio::task::JoinSet;

use super::example::Example;
use super::script::check;
use super::wire::{Packet, Polling, TRANSPORTS, Transport, Wire};

#[tokio::test]
async fn protocol_10_rooms_are_heard_by_those_in_them() {
    let example = Example::calm().await;
    let scripts = [
        r#"ann connects
           bob connects
           eve connects
           ann > 420["x-join","den"]
           ann < 430[]
           bob > 420["x-join","den"]
           bob < 430[]
           ann . the sender does not hear itself, nor does who is outside
           ann > 421["x-say","den",{"n":1}]
           ann < 431[]
           bob < 42["x-said",{"n":1}]
           ann . saying needs no membership, nor an ack
           eve > 42["x-say","den","from outside"]
           ann < 42["x-said","from outside"]
           bob < 42["x-said","from outside"]
           ann . twice in is in
           bob > 422["x-join","den"]
           bob < 432[]
           bob > 423["x-leave","den"]
           bob < 433[]
           ann > 42["x-say","den",2] ++ 424["x-say","nowhere",3]
           ann < 434[]
           bob > 42["message","nothing came between"]
           bob < 42["message-back","nothing came between"]
           eve > 42["message","here too"]
           eve < 42["message-back","here too"]"#,
        r#"ann connects
           bob connects
           ann . rooms end with the socket, and are empty after a return on the same connection
           bob > 420["x-join","den"]
           bob < 430[]
           bob > 41 ++ 40
           bob < 40{"sid":SID}
           bob < 42["auth",{}]
           ann > 420["x-say","den",1]
           ann < 430[]
           ann . a kick ends them as well
           bob > 421["x-join","den"]
           bob < 431[]
           bob > 42["x-kick"]
           bob < 41
           bob connects
           ann > 421["x-say","den",2]
           ann < 431[]
           bob > 42["message"]
           bob < 42["message-back"]"#,
        r#"ann connects
           bob > 40/custom
           bob < 40/custom,{"sid":SID}
           bob < 42/custom,["auth",{}]
           ann . `/custom` has other events and other sockets
           bob > 42/custom,0["x-join","den"]
           ann > 421["x-say","den",1]
           ann < 431[]
           bob > 42/custom,["message"]
           bob < 42/custom,["message-back"]"#,
    ];
    check(&example, scripts).await;
}

#[tokio::test]
async fn protocol_10_a_socket_counts_from_its_connect_to_its_end() {
    let example = Example::calm().await;
    let (mut ann, _) = Wire::joined(&example, Transport::Websocket).await;
    for transport in TRANSPORTS {
        let mut bob = Wire::open(&example, "/socket.io/", transport).await;
        for (sent, answers, count) in [
            ("40/custom", 2, 1),
            ("40/denied", 1, 1),
            ("40", 2, 2),
            ("41/custom", 0, 2),
            ("41", 0, 1),
            ("40", 2, 2),
            (r#"42["x-kick"]"#, 1, 1),
            ("40", 2, 2),
            (r#"42["x-kick",true]"#, 1, 1),
        ] {
            bob.send([sent.into()]).await;
            if answers == 0 {
                // Its answer tells that the packet before was handled.
                bob.send(["40/random".into()]).await;
                assert!(bob.next().await.text().starts_with("44/random"));
            }
            for _ in 0..answers {
                bob.next().await.text();
            }
            assert_eq!(ann.count().await, count, "{transport:?} {sent}");
        }
        assert!(matches!(bob.next().await, Packet::Closed(_)), "{transport:?}");
    }
}

#[tokio::test]
async fn protocol_10_a_client_that_returns_is_a_new_socket_in_no_room() {
    let example = Example::calm().await;
    let (mut ann, _) = Wire::joined(&example, Transport::Websocket).await;
    let mut seen = Vec::new();
    for transport in TRANSPORTS.into_iter().cycle().take(6) {
        let (mut bob, id) = Wire::joined(&example, transport).await;
        let named = [id, bob.sid().to_owned()];
        assert!(
            named.iter().all(|name| !seen.contains(name)) && named[0] != named[1],
            "{named:?}"
        );
        seen.extend(named);
        assert_eq!(ann.count().await, 2);
        // Said before this one joined: if an earlier one's rooms were left, it would come now.
        ann.send([r#"42["x-say","den","anybody?"]"#.into()]).await;
        assert_eq!(ann.count().await, 2, "what was said has been delivered");
        bob.send([r#"427["x-join","den"]"#.into()]).await;
        assert_eq!(bob.next().await, "437[]".into(), "{transport:?}");
        ann.send([r#"42["x-say","den","now"]"#.into()]).await;
        assert_eq!(bob.next().await, r#"42["x-said","now"]"#.into());
        // Gone without a goodbye, or with one.
        match bob {
            Wire::Websocket(mut socket) if transport == Transport::Upgraded => {
                socket.send(["1".into()]).await;
            }
            Wire::Websocket(socket) => drop(socket),
            Wire::Polling(polling) => {
                polling.post(["1".into()]).await;
            }
        }
        ann.alone().await;
    }
}

#[tokio::test]
async fn protocol_11_a_flood_is_whole_and_in_order() {
    const COUNT: usize = 10_000;
    let example = Example::calm().await;
    for transport in TRANSPORTS {
        let (mut ann, _) = Wire::joined(&example, transport).await;
        let ask = format!(r#"42["x-flood",{COUNT}]"#);
        ann.send([ask.as_str().into()]).await;
        for number in 0..COUNT {
            let expected = format!(r#"42["x-drop",{number}]"#);
            assert_eq!(ann.next().await, expected.as_str().into(), "{transport:?}");
        }
        assert_eq!(ann.next().await, r#"42["x-flood-end"]"#.into());
    }
}

#[tokio::test]
async fn protocol_11_volatile_events_are_dropped_but_never_disordered() {
    const COUNT: usize = 50_000;
    let example = Example::calm().await;
    let ask = format!(r#"42["x-flood",{COUNT},true]"#);
    for transport in TRANSPORTS {
        let (mut ann, _) = Wire::joined(&example, transport).await;
        ann.send([ask.as_str().into()]).await;
        let mut drops: Vec<usize> = Vec::new();
        loop {
            let Packet::Text(packet) = ann.next().await else {
                panic!(
                    "{transport:?}: a flood that may be dropped ends nobody; after {}",
                    drops.len()
                )
            };
            if packet == r#"42["x-flood-end"]"# {
                break;
            }
            let number = packet
                .strip_prefix(r#"42["x-drop","#)
                .and_then(|rest| rest.strip_suffix(']'));
            drops.push(number.unwrap().parse().unwrap());
        }
        assert!(drops.is_sorted_by(|a, b| a < b), "{transport:?}");
        assert!(drops.len() < COUNT, "{transport:?}: nobody reads that fast");
        if transport != Transport::Polling {
            // Over polling it depends on whether the GET overtook the flood.
            assert_eq!(drops.first(), Some(&0), "{transport:?}: nothing was in the way");
        }
    }
}

#[tokio::test]
async fn protocol_11_a_volatile_event_reaches_a_held_get() {
    let example = Example::calm().await;
    let ann = Polling::open(&example, "/socket.io/").await;
    ann.post(["40".into()]).await;
    let mut rest = ann.get().await.body;
    // Whether the GET or the POST is there first is not ours to say, so the question is repeated until it was the GET.
    while !rest.contains("x-drop") {
        let (polled, posted) = tokio::join!(ann.get(), ann.post([r#"42["x-flood",1,true]"#.into()]));
        assert_eq!((polled.status, posted.status), (200, 200));
        rest.push_str(&polled.body);
    }
    assert!(rest.contains(r#"42["x-drop",0]"#), "{rest}");
}

/// Each hears its own in order, whatever the others do, and rooms hear everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protocol_11_many_clients_at_once() {
    const CLIENTS: usize = 60;
    const EACH: usize = 50;
    let example = Example::calm().await;
    let (mut listener, _) = Wire::joined(&example, Transport::Websocket).await;
    listener.send([r#"420["x-join","all"]"#.into()]).await;
    assert_eq!(listener.next().await, "430[]".into());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let transport = TRANSPORTS[client % TRANSPORTS.len()];
        let (mut wire, _) = Wire::joined(&example, transport).await;
        clients.spawn(async move {
            for number in 0..EACH {
                let echo = format!(r#"42["message",{client},{number}]"#);
                let say = format!(r#"42["x-say","all",[{client},{number}]]"#);
                wire.send([echo.as_str().into(), say.as_str().into()]).await;
            }
            for number in 0..EACH {
                let expected = format!(r#"42["message-back",{client},{number}]"#);
                assert_eq!(wire.next().await, expected.as_str().into(), "{transport:?}");
            }
            wire
        });
    }
    let mut next = [0; CLIENTS];
    for _ in 0..CLIENTS * EACH {
        let said = listener.next().await.text();
        let said = said
            .strip_prefix(r#"42["x-said","#)
            .and_then(|rest| rest.strip_suffix(']'));
        let (client, number): (usize, usize) = serde_json::from_str(said.unwrap()).unwrap();
        assert_eq!(number, next[client], "client {client}");
        next[client] += 1;
    }
    let clients = clients.join_all().await;
    assert_eq!(listener.count().await, CLIENTS + 1);
    drop(clients);
}

/// PROTOCOL §16.7: memory that grows or does not come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protocol_16_ten_thousand_connects_leave_nothing() {
    const WAVES: usize = 40;
    const WAVE: usize = 250;
    /// How much further the process may grow after the first two of ten thousand.
    const GROWTH_BYTES_MAX: u64 = 8 << 20;

    let example = Example::calm().await;
    let (mut ann, _) = Wire::joined(&example, Transport::Websocket).await;
    let mut warm = 0;
    for wave in 0..WAVES {
        let mut clients = Vec::new();
        for client in 0..WAVE {
            // One in ten is born on polling; those stay behind with a goodbye, the others just vanish.
            let transport = match client {
                0..15 => Transport::Polling,
                15..25 => Transport::Upgraded,
                _ => Transport::Websocket,
            };
            let (mut wire, _) = Wire::joined(&example, transport).await;
            let join = format!(r#"420["x-join","room {}"]"#, client % 40);
            wire.send([join.as_str().into(), r#"42["x-ask"]"#.into()]).await;
            clients.push(wire);
        }
        for mut wire in clients {
            assert_eq!(wire.next().await, "430[]".into());
            if let Wire::Polling(_) = wire {
                wire.send(["1".into()]).await;
            }
        }
        ann.alone().await;
        if wave == WAVES / 5 {
            warm = example.resident_bytes();
        }
    }
    let grown = example.resident_bytes().saturating_sub(warm);
    assert!(
        grown < GROWTH_BYTES_MAX,
        "{} connects after {warm} bytes left {grown} bytes more",
        WAVES * WAVE * 4 / 5
    );
    let (mut last, _) = Wire::joined(&example, Transport::Polling).await;
    last.send([r#"42["message"]"#.into()]).await;
    assert_eq!(last.next().await, Packet::from(r#"42["message-back"]"#));
}
