use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use super::invites;
use super::item::item;
use super::members::join;
use crate::app::access::conversation_id;
use crate::app::rooms::JoinRoom;
use crate::app::{App, Caller, Cost, Error, Outcome, UseCase};
use crate::domain::conversation::{Kind, Visibility};
use crate::domain::standing::Standing;
use crate::ids::{EntryId, UserId};
use crate::log::{Decided, Proposal};
use crate::views::ConversationItem;

/// Makes the caller a member of a room, a public group, or with an invite of a private one (S-071). Being one already
/// is fine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinConversation {
    /// Which.
    pub conversation_id: String,
    /// The token of an invite.
    #[serde(default)]
    pub invite_token: Option<String>,
}

/// The caller is a member.
#[derive(Debug, Clone, Serialize)]
pub struct ConversationJoined {
    /// Of which.
    #[serde(flatten)]
    pub conversation: ConversationItem,
}

/// How somebody comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    Uninvited,
    Invited,
    /// With a token that leads elsewhere, or nowhere any more.
    Misled,
}

impl UseCase for JoinConversation {
    type Reply = ConversationJoined;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Contact;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<ConversationJoined>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let found = app.stores.conversations.get(id).await?;
        let conversation = found.ok_or(Error::NotFound("conversation"))?;
        let effects = if let Kind::Room(name) = conversation.kind {
            let room_name = name.to_string();
            JoinRoom { room_name }.run(app, by).await?.effects
        } else {
            let comes = match &self.invite_token {
                None => Comes::Uninvited,
                Some(token) => match invites::find(app, token).await? {
                    Some(invite) if invite.conversation == id => Comes::Invited,
                    Some(_) | None => Comes::Misled,
                },
            };
            let members_max = app.quotas.group_members_max;
            let proposal = Proposal::several([EntryId::new(&*app.ids)], user, move |state| {
                decide(&state.standing, user, comes, members_max)
            });
            app.log.submit(id, proposal)?.await?;
            Vec::new()
        };
        let conversation = item(app, id, user).await?;
        Ok(Outcome {
            reply: ConversationJoined { conversation },
            effects,
        })
    }
}

/// What a join does where the conversation stands.
fn decide(standing: &Standing, user: UserId, comes: Comes, members_max: u64) -> Result<Decided, Error> {
    if standing.role(user).is_some() {
        return Ok(Decided::new());
    }
    let conversation = &standing.conversation;
    let is_open = match comes {
        Comes::Uninvited => conversation.visibility == Visibility::Public,
        Comes::Invited => true,
        Comes::Misled => false,
    };
    if conversation.kind != Kind::Group || !is_open {
        return Err(Error::NotFound("conversation"));
    }
    if standing.bans.contains(&user) {
        return Err(Error::Forbidden("you are banned from this group"));
    }
    if conversation.archived {
        return Err(Error::Gone("the conversation is closed"));
    }
    if standing.members.len() as u64 >= members_max {
        return Err(Error::GroupFull);
    }
    Ok(smallvec![join(user)])
}
