//! Who listens right now.

use crate::ids::ConversationId;

/// How many people watch a conversation on this node.
pub trait Audience: Send + Sync {
    /// The number of people with a connection that watches it, however many each of them has.
    fn people(&self, conversation: ConversationId) -> u64;
}
