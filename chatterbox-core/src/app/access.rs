//! Who may see a conversation at all: a conversation one is not in does not exist (SPEC.md section 1, 404 vs 403).

use super::{App, Error};
use crate::domain::conversation::{Conversation, Kind, Member, Role};
use crate::ids::{ConversationId, UserId};

/// A conversation and the caller's row in it.
#[derive(Debug, Clone)]
pub struct Access {
    /// The conversation.
    pub conversation: Conversation,
    /// The caller's row; they are a member now.
    pub member: Member,
}

/// The conversation, for its members; for everyone else it is not found. Read from the stored rows: what is decided on
/// it must be decided again in the log if it matters.
pub async fn member_of(app: &App, id: ConversationId, user: UserId) -> Result<Access, Error> {
    let conversations = &app.stores.conversations;
    let member = conversations.member(id, user).await?.filter(Member::is_in);
    let member = member.ok_or(Error::NotFound("conversation"))?;
    let conversation = conversations
        .get(id)
        .await?
        .ok_or(Error::NotFound("conversation"))?;
    Ok(Access { conversation, member })
}

impl Access {
    /// Whether the caller manages members and settings.
    pub fn manages(&self) -> bool {
        match self.conversation.kind {
            Kind::Direct => false,
            Kind::Group | Kind::Room(_) => match self.member.role {
                Role::Owner | Role::Admin | Role::Moderator => true,
                Role::Member => false,
            },
        }
    }
}

/// The id of a conversation as clients write it.
pub fn conversation_id(text: &str) -> Result<ConversationId, Error> {
    text.parse().map_err(|_| Error::InvalidId("conversationId"))
}
