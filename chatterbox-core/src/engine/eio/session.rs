//! One Engine.IO session, without I/O: what arrives and the time go in, what is to be done and the next deadline
//! come out (PROTOCOL.md sections 4 to 7).
//!
//! ```text
//!                     `5` on the probing websocket
//! Polling { GET, probe } ─────────────────────────▶ WebSocket
//!       └───────────────┬───────────────────────────────┘
//!                       │ close, time-out, broken rule
//!                       ▼
//!    Closing (the news of it still has to get out) ─▶ Gone (the sid is forgotten)
//! ```
//! The application hears of the end at once ([`Output::Closed`]), the driver forgets the session at
//! [`Output::Gone`]. GETs, POSTs and probing websockets have numbers given by the driver, so that what comes late
//! from one that is over does no harm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;

use super::Config;
use super::handshake::{Refusal, TransportKind};
use super::heartbeat::{Beat, Flood, Heartbeat};
use super::packet::{self, ClientPacket, Malformed};
use super::payload::{self, Payload};
use super::queue::{QueueFull, SendQueue};
use crate::engine::websocket::{self, Event, Fault};
use crate::engine::{CloseReason, Frame, Message, Packet};

/// Number of a request or probing websocket within its session, given by the driver, never reused.
pub type RequestId = u32;

/// Something for the driver to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Answer this GET with these packets.
    AnswerGet(RequestId, Bytes),
    /// Answer this POST with `ok`.
    AnswerPost(RequestId),
    /// Answer this GET or POST with an error.
    Refuse(RequestId, Refusal),
    /// Write this frame to the probing websocket.
    AnswerProbe(RequestId, Frame),
    /// Close the probing websocket.
    EndProbe(RequestId),
    /// The probing websocket carries the session from now on.
    Upgraded(RequestId),
    /// The session is over for the application. Comes once.
    Closed(CloseReason),
    /// Nothing more comes of this session: forget its sid, drop its websocket. Comes once, last.
    Gone,
}

/// What one input led to; mostly nothing.
pub type Outputs = SmallVec<[Output; 2]>;

/// See the [module](self).
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    queue: SendQueue,
    stage: Stage,
    transport: Transport,
    heartbeat: Heartbeat,
    /// Until then a namespace has to be joined.
    connect_by: Option<Instant>,
    /// Until then the POST body or websocket message that has begun must be complete.
    receive_by: Option<Instant>,
    /// The one POST, until it is answered. It may outlive polling by the length of its body.
    post: Option<Box<Post>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// `heard`: the client has closed its side too, so nobody has to be waited for.
    Closing {
        give_up: Instant,
        heard: bool,
    },
    /// The client left by POST; the GET that belongs to it may have been overtaken.
    Left {
        give_up: Instant,
    },
    Gone,
}

/// How far a POST may overtake a GET that the client sent before it on another connection.
const OVERTAKEN: Duration = Duration::from_millis(100);

#[derive(Debug)]
enum Transport {
    Polling(Box<Polling>),
    WebSocket,
}

#[derive(Debug, Default)]
struct Polling {
    /// The held GET.
    get: Option<RequestId>,
    probe: Option<Probe>,
    /// When the held GET is released by a noop.
    noop_at: Option<Instant>,
}

#[derive(Debug)]
struct Probe {
    id: RequestId,
    by: Instant,
    /// `2probe` came; no GET is held for long from now on.
    answered: bool,
    /// A GET has been released since.
    released: bool,
}

#[derive(Debug)]
struct Post {
    id: RequestId,
    /// `None` while the body is coming in.
    packets: Option<Payload>,
}

impl Session {
    /// A session whose handshake was just answered, or whose websocket was just accepted.
    pub fn new(config: Arc<Config>, transport: TransportKind, now: Instant) -> Session {
        Session {
            queue: SendQueue::default(),
            stage: Stage::Open,
            transport: match transport {
                TransportKind::Polling => Transport::Polling(Box::default()),
                TransportKind::WebSocket => Transport::WebSocket,
            },
            heartbeat: Heartbeat::new(&config, now),
            connect_by: config.connect_timeout.map(|timeout| now + timeout),
            receive_by: None,
            post: None,
            config,
        }
    }

    /// Gives the first ping an instant of its own ([`Config::ping_spread`]). To be called once, at the beginning.
    pub fn stagger(&mut self, random: u16) {
        self.heartbeat.stagger(&self.config, random);
    }

    /// Over which transport the session sends now.
    pub fn transport(&self) -> TransportKind {
        match self.transport {
            Transport::Polling(_) => TransportKind::Polling,
            Transport::WebSocket => TransportKind::WebSocket,
        }
    }

    /// Whether messages still go up and down.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether [`Output::Gone`] has come.
    pub fn is_gone(&self) -> bool {
        self.stage == Stage::Gone
    }

    /// Whether a GET is held that could carry something.
    pub fn holds_get(&self) -> bool {
        matches!(&self.transport, Transport::Polling(polling) if polling.get.is_some())
    }

    /// What is still to be sent. The driver of a websocket takes its frames from here.
    pub fn queue(&mut self) -> &mut SendQueue {
        &mut self.queue
    }

    /// Whether the client is about to say `5`: a probing websocket was answered.
    pub fn is_upgrading(&self) -> bool {
        matches!(&self.transport, Transport::Polling(polling) if polling.probe.as_ref().is_some_and(|probe| probe.answered))
    }

    /// Bytes still to be sent.
    pub fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    // ---- the application ----

    /// Queues a packet, or says that the reader is too slow for it ([`overflow`](Session::overflow)). Polling: call
    /// [`flush`](Session::flush) soon after.
    pub fn send(&mut self, packet: Packet) -> Result<(), QueueFull> {
        if self.stage == Stage::Open {
            self.queue.push(packet, self.config.queue)
        } else {
            Ok(())
        }
    }

    /// Whether a packet that may get lost can be queued without crowding out others.
    pub fn has_slack(&self) -> bool {
        self.stage == Stage::Open && self.queue.has_slack(self.config.queue)
    }

    /// Ends the session of a reader that is too slow. What waited for it is given up.
    pub fn overflow(&mut self, now: Instant, out: &mut Outputs) {
        self.queue.discard();
        self.close(CloseReason::SlowReader, now, out);
    }

    /// Timers and bounds.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A namespace was joined.
    pub fn joined(&mut self) {
        self.connect_by = None;
    }

    /// Ends the session after what is queued.
    pub fn close(&mut self, reason: CloseReason, now: Instant, out: &mut Outputs) {
        self.close_with(reason, reason.websocket_code(), now, out);
    }

    fn close_with(&mut self, reason: CloseReason, code: u16, now: Instant, out: &mut Outputs) {
        if self.stage != Stage::Open {
            return;
        }
        out.push(Output::Closed(reason));
        if let Some(post) = self.post.take() {
            out.push(Output::Refuse(post.id, Refusal::BadRequest));
        }
        (self.connect_by, self.receive_by) = (None, None);
        match &mut self.transport {
            Transport::WebSocket => {
                self.queue.push_control(websocket::close(code, reason.as_str()));
                self.queue.seal();
                self.stage = Stage::Closing {
                    give_up: now + self.config.close_timeout / 10,
                    heard: false,
                };
            }
            Transport::Polling(polling) => {
                if let Some(probe) = polling.probe.take() {
                    out.push(Output::EndProbe(probe.id));
                }
                self.queue.push_control(packet::CLOSE);
                self.queue.seal();
                if polling.get.is_some() {
                    self.flush(out);
                }
                if self.stage == Stage::Open {
                    // Nobody comes back for the news after these.
                    let nobody = match reason {
                        CloseReason::TransportClose
                        | CloseReason::TransportError
                        | CloseReason::PingTimeout
                        | CloseReason::ParseError
                        | CloseReason::TooLarge => true,
                        CloseReason::ConnectTimeout
                        | CloseReason::ForcedClose
                        | CloseReason::ClientDisconnect
                        | CloseReason::ServerDisconnect
                        | CloseReason::ShuttingDown
                        | CloseReason::Unauthenticated
                        | CloseReason::Forbidden
                        | CloseReason::SlowReader
                        | CloseReason::Abuse => false,
                    };
                    self.stage = Stage::Closing {
                        give_up: now + self.config.close_timeout,
                        heard: false,
                    };
                    if nobody {
                        self.gone(out);
                    }
                }
            }
        }
    }

    fn gone(&mut self, out: &mut Outputs) {
        if self.stage != Stage::Gone {
            self.stage = Stage::Gone;
            self.queue.seal();
            self.queue.discard();
            out.push(Output::Gone);
        }
    }

    // ---- polling ----

    /// A GET came in: it is answered at once, or held.
    pub fn get(&mut self, id: RequestId, now: Instant, out: &mut Outputs) {
        let Transport::Polling(polling) = &mut self.transport else {
            return out.push(Output::Refuse(id, Refusal::BadRequest));
        };
        match self.stage {
            Stage::Gone => out.push(Output::Refuse(id, Refusal::UnknownSid)),
            Stage::Closing { .. } => {
                polling.get = Some(id);
                self.flush(out);
            }
            Stage::Left { .. } => {
                out.push(Output::AnswerGet(id, payload::encode(&[packet::NOOP])));
                self.gone(out);
            }
            Stage::Open if polling.get.is_some() => {
                // Two at a time: the held one hears of the end, this one is wrong.
                self.queue.discard();
                self.close(CloseReason::TransportError, now, out);
                out.push(Output::Refuse(id, Refusal::BadRequest));
            }
            Stage::Open => {
                polling.get = Some(id);
                if self.queue.is_empty() {
                    self.release_while_probed(now, out);
                } else {
                    self.flush(out);
                }
            }
        }
    }

    /// The client dropped a GET before its answer.
    pub fn get_dropped(&mut self, id: RequestId, now: Instant, out: &mut Outputs) {
        if let Transport::Polling(polling) = &mut self.transport
            && polling.get == Some(id)
        {
            polling.get = None;
            self.close(CloseReason::TransportClose, now, out);
        }
    }

    /// A held GET carries away all that is queued, but for a close packet behind others: stock clients hand packets on
    /// a tick later and drop them when a close stands in the same body, so that goes with the next GET. The reference
    /// sends them apart too.
    pub fn flush(&mut self, out: &mut Outputs) {
        let Transport::Polling(polling) = &mut self.transport else {
            return;
        };
        if self.queue.is_empty() {
            return;
        }
        let Some(id) = polling.get.take() else { return };
        polling.noop_at = None;
        if let Some(probe) = &mut polling.probe {
            probe.released |= probe.answered;
        }
        let mut frames = Vec::new();
        self.queue.take(&mut frames, usize::MAX, usize::MAX);
        let ends = frames.last() == Some(&packet::CLOSE);
        let ends_alone = ends && frames.len() == 1;
        if ends && !ends_alone {
            self.queue.give_back(frames.pop().into_iter(), 0);
        }
        self.queue.wrote(frames.iter().map(Frame::len).sum());
        out.push(Output::AnswerGet(id, payload::encode(&frames)));
        if ends_alone {
            self.gone(out);
        }
    }

    /// A client that saw `3probe` waits for its GET to end before it says `5`: released at once the first time, then
    /// after a pause each (PROTOCOL.md section 7).
    fn release_while_probed(&mut self, now: Instant, out: &mut Outputs) {
        let Transport::Polling(polling) = &mut self.transport else {
            return;
        };
        let Some(probe) = polling.probe.as_mut().filter(|probe| probe.answered) else {
            return;
        };
        if polling.get.is_none() {
            return;
        }
        if probe.released {
            polling.noop_at = Some(now + self.config.noop_pause);
        } else {
            self.queue.push_control(packet::NOOP);
            self.flush(out);
        }
    }

    /// The head of a POST came in. `octet_stream`: with the content type of revision 3 (CVE-2026-59725).
    pub fn post(&mut self, id: RequestId, octet_stream: bool, now: Instant, out: &mut Outputs) {
        if self.stage != Stage::Open {
            return out.push(Output::Refuse(id, Refusal::UnknownSid));
        }
        if matches!(self.transport, Transport::WebSocket) {
            return out.push(Output::Refuse(id, Refusal::BadRequest));
        }
        if octet_stream || self.post.is_some() {
            out.push(Output::Refuse(id, Refusal::BadRequest));
            let reason = if octet_stream {
                CloseReason::ParseError
            } else {
                CloseReason::TransportError
            };
            return self.close(reason, now, out);
        }
        self.post = Some(Box::new(Post { id, packets: None }));
        self.receive_by = Some(now + self.config.receive_timeout);
    }

    /// The body of a POST is complete. Its packets are taken out by [`next_message`](Session::next_message).
    pub fn post_body(&mut self, id: RequestId, body: Bytes) {
        if let Some(post) = self.post.as_mut().filter(|post| post.id == id) {
            post.packets = Some(Payload::new(body));
            self.receive_by = None;
        }
    }

    /// The body of a POST was over the limit and is not read further; the driver answers 413. The session survives.
    pub fn post_too_large(&mut self, id: RequestId) {
        if self.post.as_ref().is_some_and(|post| post.id == id) {
            self.post = None;
            self.receive_by = None;
        }
    }

    /// A POST ended within its body.
    pub fn post_cut_off(&mut self, id: RequestId, now: Instant, out: &mut Outputs) {
        if self.post.as_ref().is_some_and(|post| post.id == id) {
            self.post = None;
            self.close(CloseReason::TransportError, now, out);
        }
    }

    /// Whether [`next_message`](Session::next_message) has something to do.
    pub fn has_packets(&self) -> bool {
        self.post.as_ref().is_some_and(|post| post.packets.is_some())
    }

    /// The next message of the POST body at hand. The POST is answered when all were taken.
    pub fn next_message(&mut self, now: Instant, out: &mut Outputs) -> Option<Message> {
        loop {
            let post = self.post.as_mut()?;
            let id = post.id;
            let Some(packet) = post.packets.as_mut()?.next() else {
                out.push(Output::AnswerPost(id));
                self.post = None;
                return None;
            };
            if packet == Ok(ClientPacket::Close) {
                self.post = None;
                out.push(Output::AnswerPost(id));
            }
            if let Some(message) = self.client_packet(packet, now, out) {
                return Some(message);
            }
        }
    }

    /// A packet over the current transport.
    fn client_packet(
        &mut self,
        packet: Result<ClientPacket, Malformed>,
        now: Instant,
        out: &mut Outputs,
    ) -> Option<Message> {
        if self.stage != Stage::Open {
            return None;
        }
        match packet {
            Ok(ClientPacket::Message(message)) => {
                self.heartbeat.other_packet(&self.config, now);
                return Some(message);
            }
            Ok(ClientPacket::Pong) => {
                if let Err(Flood) = self.heartbeat.pong(&self.config, now) {
                    self.close(CloseReason::Abuse, now, out);
                }
            }
            Ok(ClientPacket::Close) => {
                self.left(now, out);
            }
            Err(Malformed::Utf8) => {
                self.close_with(CloseReason::ParseError, Fault::Utf8.code(), now, out);
            }
            Ok(ClientPacket::Probe | ClientPacket::Upgrade) | Err(Malformed::Packet | Malformed::Base64) => {
                self.close(CloseReason::ParseError, now, out);
            }
        }
        None
    }

    /// The client said `1`. Its held GET ends with a noop (PROTOCOL.md section 6), also if the POST overtook it.
    fn left(&mut self, now: Instant, out: &mut Outputs) {
        let mut overtaken = false;
        if let Transport::Polling(polling) = &mut self.transport {
            match polling.get.take() {
                Some(id) => out.push(Output::AnswerGet(id, payload::encode(&[packet::NOOP]))),
                None => overtaken = true,
            }
        }
        let mut ended = Outputs::new();
        self.close(CloseReason::TransportClose, now, &mut ended);
        if overtaken && self.stage == Stage::Gone {
            ended.retain(|output| *output != Output::Gone);
            self.stage = Stage::Left {
                give_up: now + OVERTAKEN,
            };
        }
        out.extend(ended);
    }

    // ---- upgrade ----

    /// A websocket with this session's sid was accepted. False: it can't take the session over and is to be closed;
    /// the session goes on as before.
    pub fn probe(&mut self, id: RequestId, now: Instant) -> bool {
        match &mut self.transport {
            Transport::Polling(polling)
                if self.stage == Stage::Open && self.config.upgrades && polling.probe.is_none() =>
            {
                let by = now + self.config.upgrade_timeout;
                polling.probe = Some(Probe {
                    id,
                    by,
                    answered: false,
                    released: false,
                });
                true
            }
            Transport::Polling(_) | Transport::WebSocket => false,
        }
    }

    /// Something came over a probing websocket. A ping is answered, a wrong packet ends the probe.
    pub fn probe_event(
        &mut self,
        id: RequestId,
        event: &Result<Event, Fault>,
        now: Instant,
        out: &mut Outputs,
    ) {
        let Transport::Polling(polling) = &mut self.transport else {
            return;
        };
        let Some(probe) = polling.probe.as_mut().filter(|probe| probe.id == id) else {
            return;
        };
        let packet = match event {
            Ok(Event::Text(bytes)) => ClientPacket::from_text(bytes).ok(),
            Ok(Event::Ping(content)) => {
                let pong = websocket::pong(content);
                return match self.heartbeat.control_frame(&self.config) {
                    Ok(()) => out.push(Output::AnswerProbe(id, pong)),
                    Err(Flood) => self.close(CloseReason::Abuse, now, out),
                };
            }
            Ok(Event::Pong) => return,
            Ok(Event::Binary(_) | Event::Close) | Err(_) => None,
        };
        match packet {
            Some(ClientPacket::Probe) if !probe.answered => {
                probe.answered = true;
                out.push(Output::AnswerProbe(id, packet::PROBED));
                self.release_while_probed(now, out);
            }
            // The reference takes a `5` without a probe as well.
            Some(ClientPacket::Upgrade) => self.upgrade(id, out),
            Some(
                ClientPacket::Probe | ClientPacket::Close | ClientPacket::Pong | ClientPacket::Message(_),
            )
            | None => {
                out.push(Output::EndProbe(id));
                self.end_probe();
            }
        }
    }

    /// A probing websocket is gone: the session stays on polling.
    pub fn probe_gone(&mut self, id: RequestId) {
        if let Transport::Polling(polling) = &self.transport
            && polling.probe.as_ref().is_some_and(|probe| probe.id == id)
        {
            self.end_probe();
        }
    }

    fn end_probe(&mut self) {
        if let Transport::Polling(polling) = &mut self.transport {
            polling.probe = None;
            polling.noop_at = None;
        }
    }

    fn upgrade(&mut self, id: RequestId, out: &mut Outputs) {
        let Transport::Polling(polling) = &mut self.transport else {
            return;
        };
        if let Some(get) = polling.get.take() {
            out.push(Output::AnswerGet(get, payload::encode(&[packet::NOOP])));
        }
        self.transport = Transport::WebSocket;
        out.push(Output::Upgraded(id));
    }

    // ---- websocket ----

    /// Something came over the session's websocket.
    pub fn websocket_event(
        &mut self,
        event: Result<Event, Fault>,
        now: Instant,
        out: &mut Outputs,
    ) -> Option<Message> {
        if self.stage != Stage::Open {
            if event == Ok(Event::Close) {
                self.heard_close(out);
            }
            return None;
        }
        match event {
            Ok(Event::Text(bytes)) => return self.client_packet(ClientPacket::from_text(&bytes), now, out),
            Ok(Event::Binary(bytes)) => {
                let packet = ClientPacket::Message(Message::Binary(bytes));
                return self.client_packet(Ok(packet), now, out);
            }
            Ok(Event::Ping(_) | Event::Pong) => {
                if let Err(Flood) = self.heartbeat.control_frame(&self.config) {
                    self.close(CloseReason::Abuse, now, out);
                } else if let Ok(Event::Ping(content)) = event {
                    self.queue.push_control(websocket::pong(&content));
                }
            }
            Ok(Event::Close) => {
                self.close(CloseReason::TransportClose, now, out);
                self.heard_close(out);
            }
            Err(fault) => {
                let reason = match fault {
                    Fault::Protocol | Fault::Utf8 => CloseReason::ParseError,
                    Fault::TooLarge => CloseReason::TooLarge,
                };
                self.close_with(reason, fault.code(), now, out);
            }
        }
        None
    }

    fn heard_close(&mut self, out: &mut Outputs) {
        if let Stage::Closing { heard, .. } = &mut self.stage {
            *heard = true;
        }
        self.written(out);
    }

    /// To be called when taken frames were written: a session that both sides have closed ends with its queue.
    pub fn written(&mut self, out: &mut Outputs) {
        if self.queue.bytes() == 0 && matches!(self.stage, Stage::Closing { heard: true, .. }) {
            self.gone(out);
        }
    }

    /// Says whether a message has begun and is incomplete; it has to be complete in time.
    pub fn receiving(&mut self, within_message: bool, now: Instant) {
        if self.stage != Stage::Open || matches!(self.transport, Transport::Polling(_)) || self.post.is_some()
        {
            return;
        }
        if !within_message {
            self.receive_by = None;
        } else if self.receive_by.is_none() {
            self.receive_by = Some(now + self.config.receive_timeout);
        }
    }

    /// The session's websocket is gone; `clean`: it ended and did not fail.
    pub fn websocket_gone(&mut self, clean: bool, now: Instant, out: &mut Outputs) {
        let reason = if clean {
            CloseReason::TransportClose
        } else {
            CloseReason::TransportError
        };
        self.close(reason, now, out);
        self.gone(out);
    }

    /// The process ends: nobody is waited for.
    pub fn abort(&mut self, now: Instant, out: &mut Outputs) {
        self.close(CloseReason::ShuttingDown, now, out);
        self.gone(out);
    }

    // ---- time ----

    /// When [`handle_timeout`](Session::handle_timeout) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Gone => None,
            Stage::Closing { give_up, .. } | Stage::Left { give_up } => Some(give_up),
            Stage::Open => {
                let (probe, noop) = match &self.transport {
                    Transport::Polling(polling) => {
                        (polling.probe.as_ref().map(|probe| probe.by), polling.noop_at)
                    }
                    Transport::WebSocket => (None, None),
                };
                let others = [self.connect_by, self.receive_by, probe, noop];
                others
                    .into_iter()
                    .flatten()
                    .chain([self.heartbeat.deadline])
                    .min()
            }
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outputs) {
        if let Stage::Closing { give_up, .. } | Stage::Left { give_up } = self.stage
            && give_up <= now
        {
            self.gone(out);
        }
        if self.stage != Stage::Open {
            return;
        }
        if let Transport::Polling(polling) = &mut self.transport {
            if polling.probe.as_ref().is_some_and(|probe| probe.by <= now) {
                if let Some(probe) = polling.probe.take() {
                    out.push(Output::EndProbe(probe.id));
                }
                self.end_probe();
            } else if polling.noop_at.is_some_and(|at| at <= now) {
                self.queue.push_control(packet::NOOP);
                self.flush(out);
            }
        }
        if self.receive_by.is_some_and(|by| by <= now) {
            self.close(CloseReason::TransportError, now, out);
        } else if self.connect_by.is_some_and(|by| by <= now) {
            self.close(CloseReason::ConnectTimeout, now, out);
        } else if self.heartbeat.deadline <= now {
            match self.heartbeat.expire(&self.config, now) {
                Beat::Ping => {
                    self.queue.push_control(packet::PING);
                    self.flush(out);
                }
                Beat::Dead => self.close(CloseReason::PingTimeout, now, out),
            }
        }
    }
}

#[cfg(test)]
mod pictures;
