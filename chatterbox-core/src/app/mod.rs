//! Use cases: what the chat does, one file an area.
//!
//! Each is a command with a typed reply ([`call::UseCase`]). It decides on stored state and answers with an
//! [`Outcome`]: the reply, and effects as data. It never publishes, queues or spawns; the layers of [`crate::stack`]
//! and the append path of [`crate::log`] do.

pub mod access;
pub mod accounts;
pub mod call;
pub mod conversations;
pub mod digest;
pub mod jobs;
pub mod looking;
pub mod messages;
pub mod outcome;
pub mod people;
pub mod presence;
pub mod rooms;
pub mod toll;
pub mod typing;

use std::sync::Arc;
use std::time::Duration;

pub use call::{Actor, Call, Caller, Command, Cost, Principal, Reply, Turn, UseCase};
pub use outcome::{Effect, EndReason, Outcome, ReadReceipt, Recipients, Signal, UserSignal};
pub use toll::Toll;

pub use crate::error::{Error, FieldError};

use crate::clock::Clock;
use crate::ids::IdSource;
use crate::log::Log;
use crate::ports::audience::Audience;
use crate::ports::presence::Presence;
use crate::ports::queue::DeadLetters;
use crate::ports::storage::Stores;
use crate::views::Names;

/// What use cases decide with.
pub struct App {
    /// Durable state.
    pub stores: Stores,
    /// The append path of all conversations.
    pub log: Log,
    /// Stamps.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids.
    pub ids: Arc<dyn IdSource>,
    /// Passwords and tokens.
    pub accounts: accounts::Accounts,
    /// Who listens.
    pub audience: Arc<dyn Audience>,
    /// Who is online.
    pub presence: Arc<dyn Presence>,
    /// Jobs that were given up.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Public users by id.
    pub names: Names,
    /// Rooms by name and their members, as far as they are in use.
    pub rooms: rooms::Directory,
    /// How much of everything one may have.
    pub quotas: Quotas,
}

/// How much of everything one may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Rooms a user may make.
    pub rooms_made_max: u64,
    /// Rooms a user may be in.
    pub rooms_joined_max: u64,
    /// Members of a group (S-004).
    pub group_members_max: u64,
    /// People a user may block (S-135).
    pub blocks_max: u64,
    /// Members of a conversation above which joins, typing and receipts are not told to everyone
    /// (SPEC.md section 1, Large audiences).
    pub audience_large: u64,
    /// Whether a room may be read before joining it (S-077).
    pub rooms_open: bool,
    /// For how long authors may edit their messages (S-130).
    pub edit_window: Duration,
    /// Messages a user may delete for themselves alone in one conversation (S-131).
    pub hidden_messages_max: u64,
}

impl Default for Quotas {
    fn default() -> Quotas {
        Quotas {
            rooms_made_max: 50,
            rooms_joined_max: 500,
            group_members_max: 256,
            blocks_max: 1000,
            audience_large: 200,
            rooms_open: true,
            edit_window: Duration::from_hours(24),
            hidden_messages_max: 10_000,
        }
    }
}
