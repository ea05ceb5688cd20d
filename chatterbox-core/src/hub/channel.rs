use crate::ids::{ConversationId, SessionId, UserId};

/// What connections of the chat watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Everything that happens in a conversation.
    Conversation(ConversationId),
    /// Everything that concerns a user, on all their devices.
    User(UserId),
    /// Everything that concerns one login.
    Session(SessionId),
}
