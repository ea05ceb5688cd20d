use serde::{Deserialize, Serialize};

use super::item::{item, participants};
use crate::app::access::{conversation_id, member_of};
use crate::app::{App, Caller, Error, Outcome, UseCase};
use crate::domain::conversation::Conversation;
use crate::ids::{ConversationId, UserId};
use crate::views::{ConversationItem, Participant};

/// Members shown with one conversation; the others come by [`ListMembers`].
const MEMBERS_SHOWN: usize = 100;

/// One conversation, for its members (S-065).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetConversation {
    /// Which.
    pub conversation_id: String,
}

/// The conversation with its first 100 members.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationFound {
    /// The conversation.
    #[serde(flatten)]
    pub conversation: ConversationItem,
    /// The last member shown, if there are more.
    #[serde(skip)]
    pub more_behind: Option<UserId>,
}

impl UseCase for GetConversation {
    type Reply = ConversationFound;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<ConversationFound>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let mut conversation = item(app, id, user).await?;
        let members = page(app, id, None, MEMBERS_SHOWN).await?;
        conversation.participants = members.items;
        let last = conversation.participants.last().map(|last| last.user.id);
        Ok(Outcome::of(ConversationFound {
            conversation,
            more_behind: last.filter(|_| members.has_more),
        }))
    }
}

/// The members of a conversation, for its members, in order of id (S-065).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMembers {
    /// Of which.
    pub conversation_id: String,
    /// Those behind this one.
    #[serde(default)]
    pub after: Option<UserId>,
    /// At most so many, 1 to 100.
    pub limit: usize,
}

/// A page of members.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberList {
    /// The members.
    pub items: Vec<Participant>,
    /// Whether there are more behind the last.
    pub has_more: bool,
}

impl UseCase for ListMembers {
    type Reply = MemberList;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MemberList>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let Conversation { id, .. } = member_of(app, id, user).await?.conversation;
        let members = page(app, id, self.after, self.limit.clamp(1, 100)).await?;
        Ok(Outcome::of(members))
    }
}

async fn page(
    app: &App,
    id: ConversationId,
    after: Option<UserId>,
    limit: usize,
) -> Result<MemberList, Error> {
    let mut members = app.stores.conversations.members(id, after, limit + 1).await?;
    let has_more = members.len() > limit;
    members.truncate(limit);
    let ids: Vec<UserId> = members.iter().map(|member| member.user).collect();
    let known = app.names.get_many(ids).await?;
    Ok(MemberList {
        items: participants(&known, &members),
        has_more,
    })
}
