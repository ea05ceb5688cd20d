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
//!
//! Here are the stages, what the application does, and time; what clients do is in `polling`, `upgrade` and `ws`.

#[cfg(test)]
mod pictures;
mod polling;
mod upgrade;
mod ws;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;

use super::Config;
use super::handshake::{Refusal, TransportKind};
use super::heartbeat::{Beat, Flood, Heartbeat};
use super::packet::{self, ClientPacket, Malformed};
use super::queue::{QueueFull, SendQueue};
use crate::engine::websocket::{self, Fault};
use crate::engine::{CloseReason, Frame, Message, Packet};
use polling::{Polling, Post};

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

#[derive(Debug)]
enum Transport {
    Polling(Box<Polling>),
    WebSocket,
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

    /// The process ends: nobody is waited for.
    pub fn abort(&mut self, now: Instant, out: &mut Outputs) {
        self.close(CloseReason::ShuttingDown, now, out);
        self.gone(out);
    }

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
