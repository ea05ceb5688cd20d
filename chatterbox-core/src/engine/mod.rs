//! The protocol engine: Engine.IO v4, Socket.IO v5 and the chat session, without I/O.
//!
//! Bytes and instants go in; outputs and the next deadline come out. Nothing in here waits, spawns, reads a clock or
//! knows a runtime, so all of it is tested without sockets or sleeps and fuzzed as sequences of operations.
//! The drivers that move the bytes are in [`crate::realtime`].

pub mod chat;
pub mod close;
pub mod eio;
pub mod frame;
pub mod message;
pub mod sio;
pub mod websocket;

pub use close::CloseReason;
pub use frame::{Frame, Packet};
pub use message::Message;
