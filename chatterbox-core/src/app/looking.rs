//! Having a conversation before one's eyes (S-087, S-127).

use serde::{Deserialize, Serialize};

use super::access::{self, Access};
use super::{App, Caller, Error, Outcome, UseCase};
use crate::domain::conversation::Kind;
use crate::domain::entry::Seq;
use crate::ids::ConversationId;
use crate::log::Place;

/// The caller opens a conversation. What this means for the connection is the socket's own affair.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenConversation {
    /// Which.
    pub conversation_id: String,
    /// The client has everything up to this entry; what is above is replayed.
    #[serde(default)]
    pub after_seq: Option<Seq>,
}

/// The caller is a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationOpened {
    /// Which.
    pub conversation_id: ConversationId,
    /// The end of its log.
    pub head_seq: Seq,
    /// For the replay.
    #[serde(skip)]
    pub place: Place,
}

impl UseCase for OpenConversation {
    type Reply = ConversationOpened;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<ConversationOpened>, Error> {
        let user = by.actor.user()?.user;
        let id = access::conversation_id(&self.conversation_id)?;
        let Access { conversation, member } = access::member_of(app, id, user).await?;
        let head = app.stores.log.head(id).await?;
        Ok(Outcome::of(ConversationOpened {
            conversation_id: id,
            head_seq: head.seq,
            place: Place {
                conversation: id,
                head: head.seq,
                moved_at: head.created_at,
                joined: member.joined_seq,
                sees_above: member.sees_above(&conversation),
                unasked: !matches!(conversation.kind, Kind::Room(_)),
            },
        }))
    }
}
