//! The protocol rules against `examples/socketio_conformance.rs`, from outside: what the official suites of Engine.IO
//! and Socket.IO ask, and what they don't. Every rule is held over polling, over websocket and over a session that
//! moved from one to the other.
//!
//! ```text
//! example   the process: ports, heartbeat, memory
//! wire      a client of Engine.IO: packets out, packets in, over any transport
//! script    who sends what, and what comes back, as lines
//! http      handshake, refusals, payloads, headers      PROTOCOL.md 2, 4, 14
//! session   heartbeat, close, limits, upgrade           PROTOCOL.md 5, 6, 7, 13
//! packets   namespaces, events, acks, attachments       PROTOCOL.md 8, 9, 10, 11
//! clients   rooms, kicks, returns, floods, leaks        PROTOCOL.md 10, 11, 16
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod clients;
mod example;
mod http;
mod packets;
mod script;
mod session;
mod wire;
