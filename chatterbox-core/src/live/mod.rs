//! What is true right now and in no log: who types.
//!
//! ```text
//! typing ─▶ StartTyping (rules) ─▶ Effect::Typing ─▶ Typists: a lease of 6 s ─▶ watchers here ─▶ user-typing
//!                                                        │                  └─▶ bus ─▶ Typists of other nodes
//!                 stop, own message, leaving, disconnect, or silence ─▶ user-stop-typing
//! ```
//! Nobody misses it after a reconnect, and a slow reader hears it last or not at all. Presence has a port, since it is
//! one for all nodes: [`crate::ports::presence`] and [`crate::layers::Presences`].

mod typing;

pub use typing::{StopReason, Typist, Typists};
