//! The contract between an Engine.IO connection and what runs on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use crate::engine::{CloseReason, Message, Packet};
use crate::hub::Link;

/// What the handshake told about the client.
#[derive(Debug)]
pub struct Handshake {
    /// Address of the TCP peer, or of the client as the embedding server determined it.
    pub remote: Option<SocketAddr>,
    /// Headers of the handshake request.
    pub headers: http::HeaderMap,
    /// The query string of the handshake request, undecoded, without `?`. Never log it.
    pub query: String,
}

/// Refusal of a handshake: answered with 403, Engine.IO error code 4 and this message (PROTOCOL.md section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden(pub String);

/// A program on top of Engine.IO sessions.
pub trait Application: Send + Sync + 'static {
    /// Its state for one connection.
    type Session: Session;

    /// Whether this client may open a session at all.
    fn admit(&self, _handshake: &Handshake) -> Result<(), Forbidden> {
        Ok(())
    }

    /// What a connection is told that is closed in so long because the server goes away; nothing unless said
    /// otherwise. Only those are told that have joined a namespace ([`Link::joined`]).
    fn draining(&self, _closed_in: Duration) -> Option<Packet> {
        None
    }

    /// A session was opened; `link` sends to it.
    fn open(self: &Arc<Self>, link: Link, handshake: Handshake, now: Instant) -> Self::Session;
}

/// One connection's half of an [`Application`]. All calls come from the connection's one task, never at once.
pub trait Session: Send + 'static {
    /// One message arrived. Decodes it and starts work, but never waits.
    fn handle(&mut self, message: Message, now: Instant);

    /// Goes on with started work. Called after `handle` and whenever the task was woken.
    fn poll(&mut self, context: &mut Context<'_>);

    /// False while so much is started that the client should wait: no further message is handed in until a
    /// [`poll`](Session::poll) made room. Must not stay false for ever.
    fn ready(&self) -> bool {
        true
    }

    /// When [`handle_timeout`](Session::handle_timeout) wants to be called, if ever.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The deadline has passed.
    fn handle_timeout(&mut self, _now: Instant) {}

    /// The server ends the connection, for this reason: no further message comes, and the connection is closed once
    /// nothing is left to answer ([`is_idle`](Session::is_idle)), or after a short while ([`Link::finish`]).
    fn finish(&mut self, _reason: CloseReason) {}

    /// Whether everything that the client asked for has been answered.
    fn is_idle(&self) -> bool {
        true
    }

    /// The connection is gone, whatever the way; called exactly once.
    fn closed(self, reason: CloseReason);
}
