//! The namespaces of one connection.
//!
//! ```text
//!            CONNECT                  accept()
//!  (apart) ───────────▶ pending ─────────────────▶ joined
//!     ▲   ◀─ DISCONNECT ─┤ └─ refuse() ─▶ shut ◀──┤ disconnect()
//!     │                  └◀─────────── CONNECT ────┘ (shut only)
//!     └──────────────────────────────── DISCONNECT ┘
//! ```
//!
//! *Shut* is a namespace that we ended while packets of the client may still be on their way: they are ignored.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Malformed;
use super::args::{Args, Value};
use super::encode;
use super::event::{Event, ReceivedAck};
use super::header::{Header, Kind};
use super::rules::{NamespaceId, Rules};
use crate::engine::{CloseReason, Message, Packet};

/// Events held per pending namespace, and the bytes from which on no further one is taken.
const HELD_EVENTS_MAX: usize = 16;
const HELD_BYTES_MAX: usize = 64 * 1024;

/// CONNECTs to unknown namespaces that are answered on one connection.
const REFUSALS_MAX: u8 = 64;

/// What a message led to.
#[derive(Debug)]
pub enum Output {
    /// The client asks for a namespace: answer by [`Sockets::accept`] or [`Sockets::refuse`].
    Connect {
        /// Which one.
        namespace: NamespaceId,
        /// The payload, an object, if there was one.
        auth: Option<Value>,
    },
    /// An event in a joined namespace.
    Event(Event),
    /// An ack in a joined namespace; its id may be made up.
    Ack(ReceivedAck),
    /// The client left a namespace that it had joined or asked for; gets no answer.
    Left {
        /// Which one.
        namespace: NamespaceId,
    },
    /// A packet to send: the refusal of an unknown namespace.
    Send(Packet),
    /// The connection is to be closed; everything that follows is ignored.
    Close(CloseReason),
}

/// The way into a namespace is open.
#[derive(Debug)]
pub struct Accepted {
    /// To be sent before anything else in this namespace.
    pub answer: Packet,
    /// What the client sent meanwhile, to be handled as if it arrived now.
    pub held: Vec<Event>,
}

/// The Socket.IO state of one connection. Hand in messages, carry out the outputs, ask for the next deadline.
///
/// ```
/// # use std::{sync::Arc, time::Instant};
/// # use chatterbox_core::engine::{Message, sio::{Output, Rules, Sockets}};
/// let now = Instant::now();
/// let mut sockets = Sockets::new(Arc::new(Rules::new(["/"])));
/// let Some(Output::Connect { namespace, .. }) = sockets.handle(Message::Text("0".into()), now) else { panic!() };
/// let accepted = sockets.accept(namespace, "a-public-id").expect("it is pending");
/// assert_eq!(accepted.answer[0].payload(), br#"40{"sid":"a-public-id"}"#);
/// let Some(Output::Event(event)) = sockets.handle(Message::Text(r#"2["hi",1]"#.into()), now) else { panic!() };
/// assert_eq!((event.name(), event.arg_json(0)), ("hi", Some("1")));
/// ```
#[derive(Debug)]
pub struct Sockets {
    rules: Arc<Rules>,
    /// Those that are not apart. Nearly always one, which needs no allocation.
    namespaces: SmallVec<[Entry; 1]>,
    /// A binary packet that is not complete.
    half: Option<Box<Half>>,
    refusals: u8,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    namespace: NamespaceId,
    state: State,
}

#[derive(Debug)]
enum State {
    Pending(Option<Box<Held>>),
    Joined,
    Shut,
}

#[derive(Debug, Default)]
struct Held {
    events: Vec<Event>,
    bytes: usize,
}

impl Held {
    fn is_full(&self) -> bool {
        self.events.len() >= HELD_EVENTS_MAX || self.bytes >= HELD_BYTES_MAX
    }
}

/// A binary packet without all of its attachments.
#[derive(Debug)]
struct Half {
    namespace: NamespaceId,
    packet: Arrived,
    attachments: Vec<Bytes>,
    bytes: usize,
    due: u8,
    deadline: Instant,
}

#[derive(Debug)]
enum Arrived {
    Event(Event),
    Ack(ReceivedAck),
}

impl Sockets {
    /// For a new connection.
    pub fn new(rules: Arc<Rules>) -> Sockets {
        Sockets {
            rules,
            namespaces: SmallVec::new(),
            half: None,
            refusals: 0,
            closed: false,
        }
    }

    /// Takes one message. At most one thing follows from it.
    pub fn handle(&mut self, message: Message, now: Instant) -> Option<Output> {
        if self.closed {
            return None;
        }
        let done = match (message, self.half.take()) {
            (Message::Text(text), None) => self.text(text, now),
            (Message::Binary(bytes), Some(half)) => self.attachment(half, bytes),
            // Text while attachments are due, or an attachment of nothing.
            (Message::Text(_), Some(_)) | (Message::Binary(_), None) => Err(CloseReason::ParseError),
        };
        done.unwrap_or_else(|reason| Some(self.close(reason)))
    }

    /// When [`handle_timeout`](Sockets::handle_timeout) wants to be called, if ever.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.half.as_ref().map(|half| half.deadline)
    }

    /// Closes if the deadline has passed: a binary packet was not completed in time.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Output> {
        let late = self.half.as_ref().is_some_and(|half| half.deadline <= now);
        late.then(|| self.close(CloseReason::ParseError))
    }

    /// False while so much is held for a pending namespace that the client should wait for the answer. A driver that
    /// hands in more events for it loses the connection.
    pub fn is_ready(&self) -> bool {
        !self
            .namespaces
            .iter()
            .any(|entry| matches!(&entry.state, State::Pending(Some(held)) if held.is_full()))
    }

    /// Lets the client into a pending namespace. `socket_id` is public, fresh for each connection and namespace, and
    /// not the session id. `None` if the client has left in the meantime.
    pub fn accept(&mut self, namespace: NamespaceId, socket_id: &str) -> Option<Accepted> {
        let held = self.end_pending(namespace, State::Joined)?;
        let answer = encode::connected(self.rules.name(namespace), socket_id);
        Some(Accepted { answer, held })
    }

    /// Refuses a pending namespace; the connection stays for others. `None` if the client has left in the meantime.
    pub fn refuse(
        &mut self,
        namespace: NamespaceId,
        message: &str,
        data: Option<&serde_json::Value>,
    ) -> Option<Packet> {
        self.end_pending(namespace, State::Shut)?;
        Some(encode::connect_error(self.rules.name(namespace), message, data))
    }

    /// Takes the client out of a joined namespace. A JavaScript client that gets this packet does not come back by
    /// itself (PROTOCOL.md section 10). `None` if it had not joined.
    pub fn disconnect(&mut self, namespace: NamespaceId) -> Option<Packet> {
        let entry = self.entry(namespace)?;
        matches!(entry.state, State::Joined).then(|| entry.state = State::Shut)?;
        Some(encode::disconnected(self.rules.name(namespace)))
    }

    /// The joined namespaces, in the order of their CONNECTs.
    pub fn joined(&self) -> impl Iterator<Item = NamespaceId> + '_ {
        self.namespaces
            .iter()
            .filter(|entry| matches!(entry.state, State::Joined))
            .map(|entry| entry.namespace)
    }

    /// The rules it was made with.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    fn close(&mut self, reason: CloseReason) -> Output {
        self.closed = true;
        self.half = None;
        self.namespaces = SmallVec::new();
        Output::Close(reason)
    }

    fn entry(&mut self, namespace: NamespaceId) -> Option<&mut Entry> {
        self.namespaces
            .iter_mut()
            .find(|entry| entry.namespace == namespace)
    }

    /// The events held for a namespace, if it was pending.
    fn end_pending(&mut self, namespace: NamespaceId, next: State) -> Option<Vec<Event>> {
        let entry = self.entry(namespace)?;
        let State::Pending(held) = &mut entry.state else {
            return None;
        };
        let held = held.take();
        entry.state = next;
        Some(held.map(|held| held.events).unwrap_or_default())
    }

    fn text(&mut self, text: Utf8Bytes, now: Instant) -> Result<Option<Output>, CloseReason> {
        let header = Header::parse(&text)?;
        match header.kind {
            Kind::Connect => self.connect(&text, &header),
            Kind::Disconnect => self.left(&text, &header),
            Kind::Event | Kind::Ack => {
                let namespace = self.rules.find(header.namespace).ok_or(CloseReason::ParseError)?;
                self.entry(namespace).ok_or(CloseReason::ParseError)?;
                let Header {
                    kind,
                    attachments: due,
                    ack,
                    body_at,
                    ..
                } = header;
                let args = Args::read(text, body_at, due)?;
                let packet = if kind == Kind::Event {
                    Arrived::Event(Event::read(namespace, ack, args)?)
                } else {
                    Arrived::Ack(ReceivedAck {
                        namespace,
                        id: ack.ok_or(Malformed::AckId)?,
                        args,
                    })
                };
                if due == 0 {
                    return self.arrived(namespace, packet);
                }
                let deadline = now + self.rules.attachments_within;
                let attachments = Vec::with_capacity(usize::from(due));
                self.half = Some(Box::new(Half {
                    namespace,
                    packet,
                    attachments,
                    bytes: 0,
                    due,
                    deadline,
                }));
                Ok(None)
            }
        }
    }

    fn connect(&mut self, text: &Utf8Bytes, header: &Header<'_>) -> Result<Option<Output>, CloseReason> {
        if header.ack.is_some() {
            return Err(Malformed::AckId.into());
        }
        let auth = if header.body_at == text.len() {
            None
        } else {
            let payload = Value::read(text.clone(), header.body_at)?;
            if !payload.json().starts_with('{') {
                return Err(Malformed::Payload.into());
            }
            Some(payload)
        };
        let Some(namespace) = self.rules.find(header.namespace) else {
            self.refusals += 1;
            if self.refusals > REFUSALS_MAX {
                return Err(CloseReason::Abuse);
            }
            return Ok(Some(Output::Send(encode::connect_error(
                header.namespace,
                "Invalid namespace",
                None,
            ))));
        };
        match self.entry(namespace) {
            None => self.namespaces.push(Entry {
                namespace,
                state: State::Pending(None),
            }),
            Some(entry) if matches!(entry.state, State::Shut) => entry.state = State::Pending(None),
            Some(_) => return Err(CloseReason::ParseError),
        }
        Ok(Some(Output::Connect { namespace, auth }))
    }

    fn left(&mut self, text: &str, header: &Header<'_>) -> Result<Option<Output>, CloseReason> {
        if header.ack.is_some() || header.body_at != text.len() {
            return Err(Malformed::Payload.into());
        }
        let at = self
            .rules
            .find(header.namespace)
            .and_then(|namespace| {
                self.namespaces
                    .iter()
                    .position(|entry| entry.namespace == namespace)
            })
            .ok_or(CloseReason::ParseError)?;
        let Entry { namespace, state } = self.namespaces.remove(at);
        Ok(match state {
            State::Pending(_) | State::Joined => Some(Output::Left { namespace }),
            // The client could not know yet.
            State::Shut => None,
        })
    }

    fn attachment(&mut self, mut half: Box<Half>, bytes: Bytes) -> Result<Option<Output>, CloseReason> {
        half.bytes = half.bytes.saturating_add(bytes.len());
        if half.bytes > self.rules.attachment_bytes_max {
            return Err(CloseReason::TooLarge);
        }
        half.attachments.push(bytes);
        if half.attachments.len() < usize::from(half.due) {
            self.half = Some(half);
            return Ok(None);
        }
        let Half {
            namespace,
            mut packet,
            attachments,
            ..
        } = *half;
        match &mut packet {
            Arrived::Event(event) => event.args.attach(attachments),
            Arrived::Ack(ack) => ack.args.attach(attachments),
        }
        self.arrived(namespace, packet)
    }

    /// A whole packet; the namespace may have been accepted, refused or shut since its header.
    fn arrived(&mut self, namespace: NamespaceId, packet: Arrived) -> Result<Option<Output>, CloseReason> {
        let state = self
            .entry(namespace)
            .map(|entry| &mut entry.state)
            .ok_or(CloseReason::ParseError)?;
        match (state, packet) {
            (State::Joined, Arrived::Event(event)) => Ok(Some(Output::Event(event))),
            (State::Joined, Arrived::Ack(ack)) => Ok(Some(Output::Ack(ack))),
            (State::Pending(held), Arrived::Event(event)) => {
                let held = held.get_or_insert_default();
                if held.is_full() {
                    return Err(CloseReason::TooLarge);
                }
                held.bytes += event.args.wire_bytes();
                held.events.push(event);
                Ok(None)
            }
            // Nothing was asked yet, or crossed our goodbye.
            (State::Pending(_), Arrived::Ack(_)) | (State::Shut, Arrived::Event(_) | Arrived::Ack(_)) => {
                Ok(None)
            }
        }
    }
}

impl From<Malformed> for CloseReason {
    fn from(malformed: Malformed) -> CloseReason {
        match malformed {
            Malformed::TooLong => CloseReason::TooLarge,
            Malformed::PacketType
            | Malformed::Attachments
            | Malformed::Namespace
            | Malformed::AckId
            | Malformed::Json
            | Malformed::TooDeep
            | Malformed::NotAnArray
            | Malformed::EventName
            | Malformed::Payload
            | Malformed::Placeholder => CloseReason::ParseError,
        }
    }
}
