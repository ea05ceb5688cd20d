//! Stories over the real binaries, from outside: what a client, an operator and a power cut see.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a story fails by panicking, its helpers too"
)]

mod configuration;
mod conversations;
mod crowd;
mod durability;
mod ledger;
mod messages;
mod operator;
mod process;
mod rooms;
