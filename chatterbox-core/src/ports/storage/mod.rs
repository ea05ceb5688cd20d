//! Durable state: users, their sessions and blocks, rooms and their members, conversation logs.

mod blocks;
mod conversations;
mod log;
mod messages;
mod projection;
mod sessions;
mod users;

use std::sync::Arc;

pub use blocks::{Between, Block, BlockStore, Blocked};
pub use conversations::{
    ConversationStore, Created, CreatedRoom, Glance, Invite, JoinedRoom, LeftRoom, Overview, ReadPointer,
    RoomPage, RoomsMax,
};
pub use log::{Appended, ConversationLog, Head, NewEntry, READ_MAX};
pub use messages::{HiddenMessage, HiddenPlace, MessageStore, SearchQuery};
pub use projection::{MemberStep, MessageChange, MessageStep, Projected, Projection, Reply};
pub use sessions::{Rotation, SessionStore};
pub use users::{FoundAt, FoundUser, InsertUserError, UserStore};

/// Why a store could not do what it was asked. "Not found" is `None`, a taken name a reply: neither is an error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store can't be reached or doesn't answer in time; trying again later may help.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A bounded store is full (the in-memory twin, a full disk).
    #[error("the store is full")]
    Full,
    /// What the store holds or answered is not what this version understands.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

/// All storage ports of one backend.
#[derive(Clone)]
pub struct Stores {
    /// Accounts.
    pub users: Arc<dyn UserStore>,
    /// Logins and their refresh families.
    pub sessions: Arc<dyn SessionStore>,
    /// Who blocks whom.
    pub blocks: Arc<dyn BlockStore>,
    /// Conversations, room names and members.
    pub conversations: Arc<dyn ConversationStore>,
    /// What became of messages, and finding them.
    pub messages: Arc<dyn MessageStore>,
    /// Entries of conversations.
    pub log: Arc<dyn ConversationLog>,
}
