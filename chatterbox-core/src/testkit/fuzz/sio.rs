//! Socket.IO: one packet, and sequences of operations on the machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::engine::frame::FrameKind;
use crate::engine::sio::{self, Args, Event, Output, Rules, Sockets};
use crate::engine::{Message, Packet};

/// One text message with `/` joined; the attachments it asks for are made up. If it is an event, encoding it gives a
/// packet that says the same again, and all ways to look at it agree.
pub fn sio_packet(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some(event) = receive(vec![Message::Text(text.into())]) else {
        return;
    };
    look_at(&event.args);
    let Ok(packet) = sio::event("/", event.name(), &event.args) else {
        return;
    };
    let again = receive(as_messages(&packet)).expect("what we encode is an event");
    assert_eq!(again.name(), event.name());
    assert_eq!(again.args.len(), event.args.len());
    let packet_again = sio::event("/", again.name(), &again.args).expect("it was encoded before");
    assert_eq!(packet, packet_again);
}

/// Feeds messages to a fresh machine that has joined `/`, then as many attachments as are due.
fn receive(messages: Vec<Message>) -> Option<Event> {
    let now = Instant::now();
    let mut sockets = Sockets::new(Arc::new(Rules::new(["/"])));
    let Some(Output::Connect { namespace, .. }) = sockets.handle(Message::Text("0".into()), now) else {
        unreachable!("`0` is a CONNECT")
    };
    sockets.accept(namespace, "id").expect("it is pending");
    let attachments = (0..10).map(|index| Message::Binary(Bytes::from(vec![index])));
    let mut messages = messages.into_iter().chain(attachments);
    loop {
        match sockets.handle(messages.next()?, now) {
            Some(Output::Event(event)) => return Some(event),
            None if sockets.poll_timeout().is_some() => {}
            None | Some(_) => return None,
        }
    }
}

fn as_messages(packet: &Packet) -> Vec<Message> {
    packet
        .iter()
        .map(|frame| match frame.kind() {
            FrameKind::Text => {
                let text = std::str::from_utf8(frame.payload()).expect("text is UTF-8");
                Message::Text(Utf8Bytes::from(
                    text.strip_prefix('4').expect("an Engine.IO message"),
                ))
            }
            FrameKind::Binary | FrameKind::Control => {
                Message::Binary(Bytes::copy_from_slice(frame.payload()))
            }
        })
        .collect()
}

/// Every argument is JSON to another parser too, unless it holds what only JavaScript bears.
fn look_at(args: &Args) {
    for index in 0..args.len() {
        let json = args.json(index).expect("within the length");
        let value = args.get(index).expect("within the length");
        assert_eq!(value.json(), json);
        let _ = value.as_bytes();
        serde_json::from_str::<&serde_json::value::RawValue>(json).expect("checked JSON");
        let _ = value.parse::<serde_json::Value>();
    }
    let _ = args.parse::<(sio::Binary, Option<Vec<sio::Binary>>)>();
}

/// A sequence of operations. Lines are messages of the client, `#` and hex digits for binary ones; a line of one
/// upper case letter is the server: `A` and `R` accept and refuse the oldest open request, `D` disconnects `/`, `W`
/// waits six seconds.
///
/// Laws: nothing comes out after the close; only what is joined hears of events; an accepted request was open; a
/// half packet never waits for longer than its time.
pub fn sio_sockets(data: &[u8]) {
    let mut rules = Rules::new(["/", "/a", "/b"]);
    rules.attachment_bytes_max = 64;
    let rules = Arc::new(rules);
    let root = rules.find("/").expect("it is known");
    let mut now = Instant::now();
    let mut sockets = Sockets::new(rules);
    let mut requests = Vec::new();
    let mut closed = false;
    for line in data.split(|byte| *byte == b'\n') {
        let output = match line {
            b"A" | b"R" if requests.is_empty() => None,
            b"A" => {
                let namespace = requests.remove(0);
                let accepted = sockets.accept(namespace, "id");
                assert_eq!(
                    accepted.is_none(),
                    closed,
                    "a request that was not withdrawn is open"
                );
                for event in accepted.into_iter().flat_map(|accepted| accepted.held) {
                    assert_eq!(event.namespace, namespace);
                }
                None
            }
            b"R" => {
                let refused = sockets.refuse(requests.remove(0), "no", None);
                assert_eq!(
                    refused.is_none(),
                    closed,
                    "a request that was not withdrawn is open"
                );
                None
            }
            b"D" => {
                let joined = sockets.joined().any(|namespace| namespace == root);
                assert_eq!(sockets.disconnect(root).is_some(), joined);
                None
            }
            b"W" => {
                now += Duration::from_secs(6);
                let output = sockets.handle_timeout(now);
                assert!(sockets.poll_timeout().is_none_or(|deadline| deadline > now));
                output
            }
            _ if !sockets.is_ready() => None,
            [b'#', hex @ ..] => sockets.handle(Message::Binary(Bytes::copy_from_slice(hex)), now),
            text => match std::str::from_utf8(text) {
                Ok(text) => sockets.handle(Message::Text(text.into()), now),
                Err(_) => None,
            },
        };
        let Some(output) = output else { continue };
        assert!(!closed, "{output:?} after the close");
        match output {
            Output::Connect { namespace, .. } => {
                assert!(!requests.contains(&namespace), "asked twice");
                requests.push(namespace);
            }
            Output::Event(event) => {
                assert!(sockets.joined().any(|joined| joined == event.namespace));
                look_at(&event.args);
            }
            Output::Ack(ack) => assert!(sockets.joined().any(|joined| joined == ack.namespace)),
            Output::Left { namespace } => {
                requests.retain(|request| *request != namespace);
                assert!(sockets.joined().all(|joined| joined != namespace));
            }
            Output::Send(_) => {}
            Output::Close(_) => closed = true,
        }
    }
}
