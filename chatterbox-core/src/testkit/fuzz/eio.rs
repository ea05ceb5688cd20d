//! Engine.IO: bodies of POSTs, websocket bytes, and sequences of operations on the session.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::engine::eio::packet::ClientPacket;
use crate::engine::eio::payload::{self, Payload};
use crate::engine::eio::session::RequestId;
use crate::engine::eio::{Config, Output, Outputs, QueueLimits, Session, TransportKind};
use crate::engine::frame::FrameKind;
use crate::engine::websocket::{Event, Fault, MessageLimits, Reader};
use crate::engine::{CloseReason, Frame, Message, Packet};

/// A POST body. What can be read can be written, and read again as the same.
pub fn eio_payload(data: &[u8]) {
    let packets: Vec<_> = Payload::new(Bytes::copy_from_slice(data)).collect();
    assert_eq!(packets.len(), data.split(|byte| *byte == 0x1E).count());
    let messages: Vec<Message> = packets
        .into_iter()
        .filter_map(|packet| match packet {
            Ok(ClientPacket::Message(message)) => Some(message),
            Ok(ClientPacket::Close | ClientPacket::Probe | ClientPacket::Pong | ClientPacket::Upgrade)
            | Err(_) => None,
        })
        .collect();
    if !messages.is_empty() {
        let frames: Vec<Frame> = messages.iter().flat_map(Message::to_packet).collect();
        let again = Payload::new(payload::encode(&frames));
        let expected = messages
            .into_iter()
            .map(|message| Ok(ClientPacket::Message(message)));
        assert!(again.eq(expected));
    }
}

/// What a client sends behind its websocket handshake; the first byte says how the network cuts it. However it is
/// cut, the same events come out, and the bounds hold.
pub fn websocket_reader(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else {
        return;
    };
    let whole = read_in_pieces(bytes, bytes.len().max(1));
    assert_eq!(read_in_pieces(bytes, usize::from(*cut).max(1)), whole);
    assert_eq!(read_in_pieces(bytes, 1), whole);
}

fn read_in_pieces(bytes: &[u8], size: usize) -> (Vec<Event>, Option<Fault>) {
    let limits = MessageLimits {
        bytes_max: 64,
        fragments_max: 4,
    };
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    for mut piece in bytes.chunks(size) {
        loop {
            match reader.read(&mut piece, limits) {
                Ok(Some(Event::Text(content) | Event::Binary(content))) if content.len() > 64 => {
                    panic!("over the limit")
                }
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(fault) => return (events, Some(fault)),
            }
        }
    }
    (events, None)
}

/// A sequence of operations, two bytes each: what, and with what. The first byte of all chooses the transport.
///
/// Laws: a session closes once and is gone once, in this order; no message goes up after the close; every GET and
/// POST is answered once, none is left when the session is gone; what is delivered is what was sent, in order,
/// nothing twice; deadlines lie ahead of what was settled.
pub fn eio_session(data: &[u8]) {
    let Some((transport, operations)) = data.split_first() else {
        return;
    };
    let mut run = Run::new(if transport.is_multiple_of(2) {
        TransportKind::Polling
    } else {
        TransportKind::WebSocket
    });
    for operation in operations.chunks_exact(2) {
        run.step(operation[0], operation[1]);
        run.settle();
    }
    // In the end, everything ends by itself.
    run.wait(Duration::from_secs(200));
    assert!(run.gone, "a session without a client is gone after a while");
    assert!(run.open.is_empty(), "unanswered: {:?}", run.open);
}

struct Run {
    session: Session,
    now: Instant,
    last_request: RequestId,
    /// GETs and POSTs without an answer, GETs as true.
    open: BTreeMap<RequestId, bool>,
    probes: Vec<RequestId>,
    sent: u32,
    delivered: u32,
    closed: Option<CloseReason>,
    gone: bool,
}

const PACKETS: &[&str] = &[
    "4a",
    "3",
    "1",
    "2",
    "5",
    "2probe",
    "",
    "x",
    "4a\x1e4b",
    "4a\x1e1\x1e4b",
    "bAQI=",
    "b!",
];
const REASONS: &[CloseReason] = &[
    CloseReason::ForcedClose,
    CloseReason::SlowReader,
    CloseReason::ParseError,
    CloseReason::ShuttingDown,
];

impl Run {
    fn new(transport: TransportKind) -> Run {
        let config = Config {
            connect_timeout: Some(Duration::from_secs(45)),
            queue: QueueLimits {
                bytes_max: 100,
                frames_max: 10,
            },
            control_frames_max: 20,
            ..Config::default()
        };
        let now = Instant::now();
        Run {
            session: Session::new(Arc::new(config), transport, now),
            now,
            last_request: 0,
            open: BTreeMap::new(),
            probes: Vec::new(),
            sent: 0,
            delivered: 0,
            closed: None,
            gone: false,
        }
    }

    fn request(&mut self, is_get: bool) -> RequestId {
        self.last_request += 1;
        self.open.insert(self.last_request, is_get);
        self.last_request
    }

    fn pick(&self, is_get: bool, which: u8) -> Option<RequestId> {
        let of_kind: Vec<_> = self
            .open
            .iter()
            .filter(|(_, kind)| **kind == is_get)
            .map(|(id, _)| *id)
            .collect();
        of_kind.get(usize::from(which) % of_kind.len().max(1)).copied()
    }

    fn step(&mut self, what: u8, with: u8) {
        let (now, mut out) = (self.now, Outputs::new());
        let text = Bytes::from_static(PACKETS[usize::from(with) % PACKETS.len()].as_bytes());
        match what % 18 {
            0 => {
                let id = self.request(true);
                self.session.get(id, now, &mut out);
            }
            1 => {
                if let Some(id) = self.pick(true, with) {
                    self.open.remove(&id);
                    self.session.get_dropped(id, now, &mut out);
                }
            }
            2 => {
                let id = self.request(false);
                self.session.post(id, false, now, &mut out);
                self.session.post_body(id, text);
            }
            3 => {
                let id = self.request(false);
                self.session.post(id, with == 0, now, &mut out);
            }
            4 => {
                if let Some(id) = self.pick(false, with) {
                    self.session.post_body(id, text);
                }
            }
            5 => {
                if let Some(id) = self.pick(false, with) {
                    self.open.remove(&id);
                    self.session.post_cut_off(id, now, &mut out);
                }
            }
            6 => {
                if let Some(id) = self.pick(false, with) {
                    self.open.remove(&id);
                    self.session.post_too_large(id);
                }
            }
            7 => {
                self.last_request += 1;
                if self.session.probe(self.last_request, now) {
                    self.probes.push(self.last_request);
                }
            }
            8 => {
                if let Some(id) = self.probes.get(usize::from(with) % self.probes.len().max(1)) {
                    self.session
                        .probe_event(*id, &Ok(Event::Text(text)), now, &mut out);
                }
            }
            9 => {
                if let Some(id) = self.probes.get(usize::from(with) % self.probes.len().max(1)) {
                    self.session.probe_gone(*id);
                }
            }
            10 | 11 => {
                let was_open = self.session.is_open();
                let packet = Packet::from_elem(Frame::text(&["4#", &self.sent.to_string()]), 1);
                if self.session.send(packet).is_err() {
                    self.session.overflow(now, &mut out);
                } else if was_open {
                    self.sent += 1;
                }
            }
            12 => self
                .session
                .close(REASONS[usize::from(with) % REASONS.len()], now, &mut out),
            13 => self.session.joined(),
            14 => {
                let event = match with % 16 {
                    0 => Ok(Event::Ping(Bytes::from_static(b"x"))),
                    1 => Ok(Event::Pong),
                    2 => Ok(Event::Close),
                    3 => Ok(Event::Binary(text)),
                    4 => Err(Fault::TooLarge),
                    _ => Ok(Event::Text(text)),
                };
                if self.session.transport() == TransportKind::WebSocket {
                    let message = self.session.websocket_event(event, now, &mut out);
                    assert!(
                        message.is_none() || self.closed.is_none(),
                        "a message after the close"
                    );
                }
            }
            15 => {
                if self.session.transport() == TransportKind::WebSocket {
                    self.session.websocket_gone(with.is_multiple_of(2), now, &mut out);
                }
            }
            16 => self.wait(Duration::from_millis(u64::from(with))),
            _ => self.wait(Duration::from_secs(u64::from(with) % 32)),
        }
        self.see(out);
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        let mut turns = 0;
        while let Some(deadline) = self.session.deadline().filter(|deadline| *deadline <= until) {
            turns += 1;
            assert!(turns < 1_000, "deadlines make no progress");
            self.now = self.now.max(deadline);
            let mut out = Outputs::new();
            self.session.handle_timeout(self.now, &mut out);
            self.see(out);
            self.settle();
        }
        self.now = until;
    }

    /// What a driver does after every operation.
    fn settle(&mut self) {
        loop {
            let mut out = Outputs::new();
            let message = self.session.next_message(self.now, &mut out);
            assert!(
                message.is_none() || self.closed.is_none(),
                "a message after the close"
            );
            self.see(out);
            if message.is_none() {
                break;
            }
        }
        let mut out = Outputs::new();
        self.session.flush(&mut out);
        self.see(std::mem::take(&mut out));
        if self.session.transport() == TransportKind::WebSocket {
            let mut frames = Vec::new();
            self.session.queue().take(&mut frames, 64, usize::MAX);
            self.session.queue().wrote(frames.iter().map(Frame::len).sum());
            for frame in frames.iter().filter(|frame| frame.kind() == FrameKind::Text) {
                assert_ne!(frame.payload(), b"6", "a noop over the websocket");
                self.deliver(frame.payload());
            }
            self.session.written(&mut out);
            self.see(out);
        }
        assert!(self.session.queued_bytes() <= 200, "the queue is bounded");
    }

    fn deliver(&mut self, payload: &[u8]) {
        if let Some(number) = payload.strip_prefix(b"4#") {
            assert_eq!(
                number,
                self.delivered.to_string().as_bytes(),
                "lost, doubled or out of order"
            );
            self.delivered += 1;
            assert!(self.delivered <= self.sent);
        }
    }

    fn see(&mut self, out: Outputs) {
        for output in out {
            match output {
                Output::AnswerGet(id, body) => {
                    assert_eq!(
                        self.open.remove(&id),
                        Some(true),
                        "a GET answered twice, or a POST as one"
                    );
                    body.split(|byte| *byte == 0x1E)
                        .for_each(|piece| self.deliver(piece));
                }
                Output::AnswerPost(id) => assert_eq!(self.open.remove(&id), Some(false)),
                Output::Refuse(id, _) => assert!(self.open.remove(&id).is_some(), "answered twice"),
                Output::AnswerProbe(id, _) | Output::EndProbe(id) | Output::Upgraded(id) => {
                    assert!(self.probes.contains(&id));
                }
                Output::Closed(reason) => {
                    assert_eq!(self.closed.replace(reason), None, "closed twice");
                    assert!(!self.gone);
                }
                Output::Gone => {
                    assert!(self.closed.is_some() && !std::mem::replace(&mut self.gone, true));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn bodies(data in prop::collection::vec(prop_oneof![Just(0x1E), Just(b'4'), Just(b'b'), any::<u8>()], 0..60)) {
            eio_payload(&data);
        }

        #[test]
        fn websocket_bytes(data in prop::collection::vec(any::<u8>(), 0..100)) {
            websocket_reader(&data);
        }

        #[test]
        fn operations(data in prop::collection::vec(any::<u8>(), 0..120)) {
            eio_session(&data);
        }
    }
}
