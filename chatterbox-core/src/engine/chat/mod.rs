//! The chat session of one connection: from Socket.IO events to typed actions, from guest to member.
//!
//! ```text
//!  Message ──▶ sio::Sockets ──▶ events ──▶ Chat ──▶ Step::Queue(request) ──▶ begin() ──▶ Action, run by the driver
//!                                           │                                              │
//!  Packet ◀───── encode ◀───────────────────┴──────── Step::Send ◀── finish() ◀── result ──┘
//! ```
//! No I/O, like the machines below it. Requests are begun strictly in order, so that what a client may do is judged
//! on what its earlier requests have changed: an event sent right behind `auth` is a member's.

mod answers;
mod bucket;
mod complaint;
pub mod encode;
mod events;
mod resume;
mod session;
#[cfg(test)]
mod tests;

pub use answers::OpenedAck;
pub(crate) use bucket::Bucket;
#[cfg(test)]
pub(crate) use events::event_names;
pub use events::{Action, Request};
pub use resume::{Cursors, Resume, ResumeAck, resume_gaps, resumed};
pub use session::{Begun, Chat, ChatRules, Identity, Replied, Step, Steps};
