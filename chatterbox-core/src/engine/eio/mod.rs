//! Engine.IO v4: transports, heartbeat, upgrade (PROTOCOL.md sections 2 to 7).

pub mod queue;

pub use queue::SendQueue;
