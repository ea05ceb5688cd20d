//! Engine.IO over real sockets on loopback, against the public API only.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails in a helper fails the test"
)]

mod application;
mod cors;
mod edges;
mod goodbye;
mod limits;
mod load;
mod pipe;
mod polling;
mod support;
mod upgrade;
mod websocket;
