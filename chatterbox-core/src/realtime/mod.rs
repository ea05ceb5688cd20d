//! The drivers of the protocol engine: HTTP and websockets behind one `tower::Service`; and what can be put on top of
//! them: the Engine.IO layer alone, Socket.IO with namespaces and handlers, or the chat.
//!
//! ```text
//! http::Request ─▶ service ─▶ who may come in: cors, sessions (caps)
//!                    ├─ GET, POST ─▶ polling ─┐
//!                    └─ websocket ─▶ upgrade ─┴▶ connection: one task, runs the Application's Session
//! ```
//! Writing is the hub's business ([`crate::hub`]); here is everything that reads.

pub mod application;
pub mod chat;
mod connection;
pub mod cors;
pub mod engineio;
pub mod patience;
mod polling;
mod response;
mod runner;
mod service;
mod sessions;
mod socket;
pub mod socketio;
#[cfg(test)]
mod tests;
mod upgrade;

pub use application::{Application, Forbidden, Handshake, Session};
pub use cors::Cors;
pub use response::Body;
pub use service::{ClientAddress, Config, EngineIo};
pub use sessions::{Caps, Counters};
