use crate::ids::{ConversationId, SessionId, UserId};

/// What connections of the chat watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Everything that happens in a conversation.
    Conversation(ConversationId),
    /// What only those want to know who have the conversation before their eyes (S-087, S-103).
    Looking(ConversationId),
    /// Everything that concerns a user, on all their devices.
    User(UserId),
    /// Everything that concerns one login.
    Session(SessionId),
}
