use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use super::{Manager, fenced, managed, not_direct};
use crate::app::access::{conversation_id, user_id};
use crate::app::{App, Caller, Cost, Error, Outcome, UseCase};
use crate::domain::change::{Ban, Change};
use crate::domain::conversation::Role;
use crate::domain::entry::EntryKind;
use crate::domain::limits::BANS_MAX;
use crate::domain::rights::Right;
use crate::domain::standing::Standing;
use crate::ids::{ConversationId, EntryId, UserId};
use crate::log::{Decided, Proposal};

/// Keeps somebody out of a group or room; a member is one no longer (S-071). Being banned already is fine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BanMember {
    /// Where.
    pub conversation_id: String,
    /// Whom.
    pub user_id: String,
}

/// The user is banned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Banned {
    /// Where.
    pub conversation_id: ConversationId,
    /// Who.
    pub user_id: UserId,
}

impl UseCase for BanMember {
    type Reply = Banned;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Change;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<Banned>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let target = user_id(&self.user_id)?;
        if target == user {
            return Err(Error::invalid("userId", "somebody else; leave instead"));
        }
        let (conversation, manager) = managed(app, id, user).await?;
        not_direct(&conversation)?;
        by.toll.pay().await?;
        let exists = app.stores.users.get(target).await?.is_some();
        let proposal = Proposal::several([EntryId::new(&*app.ids)], user, move |state| {
            decide_ban(&state.standing, manager, target, exists)
        });
        let posted = app.log.submit(id, proposal)?.await?;
        app.rooms.forget_member(id, target);
        let banned = Banned {
            conversation_id: id,
            user_id: target,
        };
        Ok(fenced(banned, id, &posted))
    }
}

/// What a ban does where the conversation stands.
fn decide_ban(standing: &Standing, by: Manager, target: UserId, exists: bool) -> Result<Decided, Error> {
    let role = standing.role(target).unwrap_or(Role::Member);
    by.check(standing, Right::to_remove(role))?;
    if !exists {
        return Err(Error::NotFound("user"));
    }
    if standing.bans.contains(&target) {
        return Ok(Decided::new());
    }
    if standing.bans.len() >= BANS_MAX {
        return Err(Error::QuotaExceeded("as many users are banned as can be"));
    }
    Ok(smallvec![ban(target, Change::Added)])
}

fn ban(user: UserId, change: Change) -> EntryKind {
    EntryKind::Ban(Ban { user, change })
}

/// Lets somebody become a member again who was banned (S-071). Not being banned is fine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnbanMember {
    /// Where.
    pub conversation_id: String,
    /// Whom.
    pub user_id: String,
}

/// The user is not banned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unbanned {
    /// Where.
    pub conversation_id: ConversationId,
    /// Who.
    pub user_id: UserId,
}

impl UseCase for UnbanMember {
    type Reply = Unbanned;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Change;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<Unbanned>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let target = user_id(&self.user_id)?;
        let (conversation, manager) = managed(app, id, user).await?;
        not_direct(&conversation)?;
        by.toll.pay().await?;
        let proposal = Proposal::several([EntryId::new(&*app.ids)], user, move |state| {
            manager.check(&state.standing, Right::Unban)?;
            if state.standing.bans.contains(&target) {
                Ok(smallvec![ban(target, Change::Removed)])
            } else {
                Ok(Decided::new())
            }
        });
        app.log.submit(id, proposal)?.await?;
        Ok(Outcome::of(Unbanned {
            conversation_id: id,
            user_id: target,
        }))
    }
}
