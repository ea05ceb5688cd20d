//! Fan-out: from a topic to the connections that watch it, with every packet encoded once and writes joined.
//!
//! ```text
//! publish(topic, packet) ─▶ Hub: topic → links ─▶ Link: the connection's send queue ─▶ flusher ─▶ sockets
//!                           (registry.rs)          (link.rs)                         (flusher.rs)
//! ```
//! Publishing never waits, wakes no task per recipient and copies no payload: it puts a shared frame into each
//! recipient's queue. A recipient that can't keep up loses its connection ([`CloseReason::SlowReader`]), nobody else
//! notices.
//!
//! [`CloseReason::SlowReader`]: crate::engine::CloseReason::SlowReader

mod channel;
pub(crate) mod driver;
mod farewell;
pub(crate) mod flusher;
mod link;
mod registry;
mod wheel;

pub use channel::Channel;
pub use farewell::Farewell;
#[cfg(any(test, feature = "testkit"))]
pub use link::Detached;
pub use link::{ConnectionId, Link, WeakLink};
pub use registry::{Delivery, Hub, Topic};
