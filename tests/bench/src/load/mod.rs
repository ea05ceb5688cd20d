//! The load generator: many clients on one thread, cheaper per message than any server it drives.
//!
//! ```text
//! Generator ──readiness──▶ Connection ──cuts frames (wire), answers packets──▶ Tally
//!     │                        ▲
//!     └── when to speak ───────┘ speaks the server's events (dialect) with a time stamp in the text (message)
//! ```
//!
//! It is cheap because it looks at as little as it can: frames are counted by their first bytes, and only every
//! seventh connection looks for the time stamp.

mod connection;
mod dialect;
mod generator;
mod message;
mod tally;
mod wire;

pub(crate) use self::dialect::{Dialect, auth_event};
pub(crate) use self::generator::{Generator, Pace, Speaking};
pub(crate) use self::tally::{Tally, percentile_ms};
