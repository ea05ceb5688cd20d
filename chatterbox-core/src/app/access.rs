//! Who may see a conversation at all: a conversation one is not in does not exist (SPEC.md section 1, 404 vs 403).

use super::{App, Error};
use crate::domain::conversation::{Conversation, Member};
use crate::domain::rights::{self, Acts, Right};
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
    /// Whether the caller may do it, as the rows say.
    pub fn may(&self, right: Right) -> bool {
        rights::may(&self.conversation.kind, Acts::As(self.member.role), right)
    }
}

/// Whether the user administrates the server.
pub async fn is_server_admin(app: &App, user: UserId) -> Result<bool, Error> {
    let user = app.stores.users.get(user).await?;
    Ok(user.is_some_and(|user| user.admin && !user.suspended))
}

/// The id of a conversation as clients write it.
pub fn conversation_id(text: &str) -> Result<ConversationId, Error> {
    text.parse().map_err(|_| Error::InvalidId("conversationId"))
}

/// The id of a user as clients write it.
pub fn user_id(text: &str) -> Result<UserId, Error> {
    text.parse().map_err(|_| Error::InvalidId("userId"))
}
