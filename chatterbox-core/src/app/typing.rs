//! Saying that one types (S-089, S-090).

use serde::{Deserialize, Serialize};

use super::access::{self, Access};
use super::{App, Caller, Effect, Error, Outcome, UseCase};
use crate::domain::conversation::Kind;
use crate::ids::{ConversationId, UserId};
use crate::live::Typist;

/// The conversation that is meant: by its id, or a room by its name.
async fn find(app: &App, id: Option<&str>, room_name: Option<&str>) -> Result<ConversationId, Error> {
    match (id, room_name) {
        (Some(id), None) => access::conversation_id(id),
        (None, Some(name)) => app.rooms.id_of(name).await,
        (Some(_), Some(_)) | (None, None) => Err(Error::invalid("conversationId", "give this or a roomName")),
    }
}

/// The caller types, for the next six seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartTyping {
    /// Id of any conversation.
    #[serde(default)]
    pub conversation_id: Option<String>,
    /// Name of a room, instead.
    #[serde(default)]
    pub room_name: Option<String>,
}

/// Taken note of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TypingStarted {}

impl UseCase for StartTyping {
    type Reply = TypingStarted;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<TypingStarted>, Error> {
        let principal = by.actor.user()?;
        let id = find(app, self.conversation_id.as_deref(), self.room_name.as_deref()).await?;
        let Access { conversation, .. } = access::member_of(app, id, principal.user).await?;
        let outcome = Outcome::of(TypingStarted {});
        if !may_be_told(app, &conversation.kind, id, principal.user).await? {
            return Ok(outcome);
        }
        let room = match conversation.kind {
            Kind::Room(name) => Some(name),
            Kind::Direct | Kind::Group => None,
        };
        let username = app.names.get(principal.user).await?.username.clone();
        Ok(outcome.with(Effect::Typing {
            typist: Typist {
                conversation: id,
                room,
                user: principal.user,
                username,
            },
            session: principal.session,
        }))
    }
}

/// Not to large audiences, and not between people of whom one blocks the other.
async fn may_be_told(app: &App, kind: &Kind, id: ConversationId, user: UserId) -> Result<bool, Error> {
    let conversations = &app.stores.conversations;
    match kind {
        Kind::Direct => {
            let pair = conversations.members(id, None, 2).await?;
            match pair.iter().find(|member| member.user != user) {
                Some(peer) => Ok(!app.stores.blocks.between(user, peer.user).await?.any()),
                None => Ok(true),
            }
        }
        Kind::Group | Kind::Room(_) => Ok(conversations.member_count(id).await? <= app.quotas.audience_large),
    }
}

/// The caller types no more; not having typed is fine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopTyping {
    /// Id of any conversation.
    #[serde(default)]
    pub conversation_id: Option<String>,
    /// Name of a room, instead.
    #[serde(default)]
    pub room_name: Option<String>,
}

/// Taken note of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TypingStopped {}

impl UseCase for StopTyping {
    type Reply = TypingStopped;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<TypingStopped>, Error> {
        let user = by.actor.user()?.user;
        // Who is no member does not type there: nothing is told.
        let conversation = find(app, self.conversation_id.as_deref(), self.room_name.as_deref()).await?;
        Ok(Outcome::of(TypingStopped {}).with(Effect::StopTyping { conversation, user }))
    }
}
