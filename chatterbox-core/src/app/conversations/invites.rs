//! Tokens that let their bearers join a private group (S-071). The store has only their SHA-256: who reads it can't
//! join.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Manager, group_only, managed};
use crate::app::access::conversation_id;
use crate::app::{App, Caller, Cost, Error, Outcome, UseCase};
use crate::clock::Timestamp;
use crate::domain::limits::{INVITE_SECS, INVITE_SECS_DEFAULT};
use crate::domain::rights::Right;
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::Invite;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 24;

/// Makes a token that lets its bearers join a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateInvite {
    /// Which group.
    pub conversation_id: String,
    /// For how many seconds it is good; 7 days if nothing is said.
    #[serde(default)]
    pub expires_in: Option<u64>,
}

/// The invite. The token is told once.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InviteCreated {
    /// Where it leads.
    pub conversation_id: ConversationId,
    /// Whoever has it may join until then.
    pub token: String,
    /// Until when.
    pub expires_at: Timestamp,
}

impl UseCase for CreateInvite {
    type Reply = InviteCreated;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Contact;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<InviteCreated>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let seconds = self.expires_in.unwrap_or(INVITE_SECS_DEFAULT);
        if !INVITE_SECS.contains(&seconds) {
            let (min, max) = (INVITE_SECS.start(), INVITE_SECS.end());
            return Err(Error::invalid("expiresIn", format!("{min} to {max} seconds")));
        }
        let manager = inviter(app, id, user).await?;
        manager.check(&app.log.state(id).await?.standing, Right::Invite)?;
        let mut bytes = [0; TOKEN_BYTES];
        crate::auth::fill_random(&mut bytes);
        let token = URL_SAFE_NO_PAD.encode(bytes);
        let created_at = app.clock.now();
        let expires_at = created_at.plus(Duration::from_secs(seconds));
        let invite = Invite {
            token_hash: hash(&token),
            conversation: id,
            created_by: user,
            created_at,
            expires_at,
        };
        app.stores.conversations.add_invite(invite).await?;
        Ok(Outcome::of(InviteCreated {
            conversation_id: id,
            token,
            expires_at,
        }))
    }
}

/// Takes back all invites of a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokeInvites {
    /// Of which.
    pub conversation_id: String,
}

/// None of them is good any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvitesRevoked {
    /// How many there were.
    pub revoked: u64,
}

impl UseCase for RevokeInvites {
    type Reply = InvitesRevoked;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<InvitesRevoked>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let manager = inviter(app, id, user).await?;
        match manager.check(&app.log.state(id).await?.standing, Right::Invite) {
            // Those of a closed group lead nowhere.
            Ok(()) | Err(Error::Gone(_)) => {}
            Err(error) => return Err(error),
        }
        let revoked = app.stores.conversations.revoke_invites(id).await?;
        Ok(Outcome::of(InvitesRevoked { revoked }))
    }
}

async fn inviter(app: &App, id: ConversationId, user: UserId) -> Result<Manager, Error> {
    let (conversation, manager) = managed(app, id, user).await?;
    group_only(&conversation)?;
    Ok(manager)
}

/// Where an invite leads, before one joins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LookAtInvite {
    /// Its token.
    pub token: String,
}

/// The group as its invited see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InviteFound {
    /// Where it leads.
    pub conversation_id: ConversationId,
    /// Title of the group.
    pub name: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// How many members it has.
    pub participant_count: u64,
    /// Whether the caller is one.
    pub joined: bool,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

impl UseCase for LookAtInvite {
    type Reply = InviteFound;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<InviteFound>, Error> {
        let user = by.actor.user()?.user;
        let invite = find(app, &self.token).await?.ok_or(Error::NotFound("invite"))?;
        let id = invite.conversation;
        let conversations = &app.stores.conversations;
        let conversation = conversations.get(id).await?.ok_or(Error::NotFound("invite"))?;
        if conversation.archived {
            return Err(Error::Gone("the conversation is closed"));
        }
        let member = conversations.member(id, user).await?;
        Ok(Outcome::of(InviteFound {
            conversation_id: id,
            name: conversation.title,
            description: conversation.description,
            participant_count: conversations.member_count(id).await?,
            joined: member.is_some_and(|member| member.is_in()),
            expires_at: invite.expires_at,
        }))
    }
}

/// The invite of this token, if it is good.
pub(super) async fn find(app: &App, token: &str) -> Result<Option<Invite>, Error> {
    Ok(app
        .stores
        .conversations
        .invite(&hash(token), app.clock.now())
        .await?)
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}
