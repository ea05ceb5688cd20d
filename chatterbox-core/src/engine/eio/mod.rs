//! Engine.IO v4: transports, heartbeat, upgrade (PROTOCOL.md sections 2 to 7).
//!
//! ```text
//! request line ─▶ handshake: which session, or why not
//! POST body ───▶ payload ─▶ packet ┐
//! websocket ─────────────▶ packet ─┤        ┌─▶ message for the application
//! GET ─────────────────────────────┼▶ Session ─▶ answer of a GET or POST, end of a probe, end of the session
//! time ─────────────────────────────┘   │    └─▶ next deadline
//!                        application ─▶ queue ─▶ body of a GET, or websocket frames
//! ```

mod config;
pub mod handshake;
mod heartbeat;
pub mod packet;
pub mod payload;
pub mod queue;
pub mod session;

pub use config::Config;
pub use handshake::{Refusal, Sid, TransportKind};
pub use queue::{QueueLimits, SendQueue};
pub use session::{Output, Outputs, Session};
