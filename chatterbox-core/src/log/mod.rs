//! The append path of conversations, and the way of their entries to the sockets that watch.
//!
//! ```text
//! submit ─▶ lane of the conversation ─▶ decide on the state at the head ─▶ store's append (a batch, one in flight)
//!              (sequencer.rs)                        ▲                          │ Moved: apply what came between,
//!                                                    └──────────────────────────┘ decide again
//!                                                                               │ At: durable
//!           acks are released ◀── announce: encode once ─▶ deliveries in order ─▶ hub ─▶ sockets
//!                                  (announce.rs)  └─▶ bus ─▶ other nodes' relay ─▶ deliveries in order ─▶ …
//!                                                     (envelope.rs, relay.rs)       (delivery.rs)
//! ```
//! The rows beside the log are written right behind it, before anybody hears of the entries; read pointers of senders
//! and the index of answers up to a second later (state.rs). Rules never depend on the rows alone.
//!
//! An ack means durable (I1). A conversation's entries reach every socket in order of `seq`, once (I3): deliveries
//! hold back what comes early and read from the log what did not come at all, so the bus may lose and disorder.

mod announce;
mod batch;
mod delivery;
mod enter;
mod envelope;
mod fence;
mod journal;
mod plan;
mod relay;
mod resume;
mod rooms;
mod sequencer;
mod signals;
mod speaker;
mod state;
mod subscribe;
mod watched;

pub use announce::{Announced, Announcement, Announcer, Crossing, Encoder};
pub use delivery::Deliveries;
pub use envelope::{Envelope, Reach, Sign, UnknownEnvelope};
pub use fence::Fences;
pub use journal::Mark;
pub use plan::{Place, Plan};
pub(crate) use relay::compare_regularly;
pub use relay::{Outgoing, Relay};
pub use resume::{CarriedOut, room_in_queue};
pub use sequencer::{Decide, Decided, Log, Posted, Proposal, Receipt};
pub(crate) use sequencer::{repair_regularly, settle_regularly};
pub use state::State;
pub use subscribe::Subscribed;
