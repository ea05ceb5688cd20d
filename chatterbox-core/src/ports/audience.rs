//! Who listens right now.

use crate::ids::ConversationId;

/// How many connections of this node watch a conversation.
pub trait Audience: Send + Sync {
    /// The number of watching connections.
    fn watchers(&self, conversation: ConversationId) -> u64;
}
