use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use utoipa::ToSchema;

use super::{Manager, group_only, managed};
use crate::app::access::{conversation_id, user_id};
use crate::app::{App, Caller, Cost, Error, Outcome, UseCase};
use crate::domain::change::RoleChange;
use crate::domain::conversation::Role;
use crate::domain::entry::EntryKind;
use crate::domain::rights::Right;
use crate::domain::standing::Standing;
use crate::ids::{ConversationId, EntryId, UserId};
use crate::log::{Decided, Proposal};

/// Gives a member of a group another role (S-069, S-095). Who becomes owner takes it from the owner, who stays as
/// admin.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetRole {
    /// In which group.
    pub conversation_id: String,
    /// Whose.
    pub user_id: String,
    /// From now on.
    pub role: GroupRole,
}

/// A role in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupRole {
    /// Exactly one.
    Owner,
    /// Manages members and settings.
    Admin,
    /// Reads and writes.
    Member,
}

impl From<GroupRole> for Role {
    fn from(role: GroupRole) -> Role {
        match role {
            GroupRole::Owner => Role::Owner,
            GroupRole::Admin => Role::Admin,
            GroupRole::Member => Role::Member,
        }
    }
}

/// The member has the role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleSet {
    /// Where.
    pub conversation_id: ConversationId,
    /// Who.
    pub user_id: UserId,
    /// Which.
    pub role: GroupRole,
}

impl UseCase for SetRole {
    type Reply = RoleSet;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Change;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<RoleSet>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let target = user_id(&self.user_id)?;
        let (conversation, manager) = managed(app, id, user).await?;
        group_only(&conversation)?;
        by.toll.pay().await?;
        let role = Role::from(self.role);
        let ids = [EntryId::new(&*app.ids), EntryId::new(&*app.ids)];
        let proposal = Proposal::several(ids, user, move |state| {
            decide(&state.standing, manager, target, role)
        });
        app.log.submit(id, proposal)?.await?;
        Ok(Outcome::of(RoleSet {
            conversation_id: id,
            user_id: target,
            role: self.role,
        }))
    }
}

/// What a change of role does where the group stands.
fn decide(standing: &Standing, by: Manager, target: UserId, role: Role) -> Result<Decided, Error> {
    let needed = match (standing.role(target), role) {
        // Nobody learns who is in it, or not, but who may change something.
        (None, _) => Right::Promote,
        (_, Role::Owner) | (Some(Role::Owner), _) => Right::HandOver,
        (Some(Role::Admin), Role::Member) => Right::Demote,
        (Some(_), _) => Right::Promote,
    };
    by.check(standing, needed)?;
    let previous = standing.role(target).ok_or(Error::NotFound("participant"))?;
    if previous == role {
        return Ok(Decided::new());
    }
    if previous == Role::Owner {
        return Err(Error::LastOwner);
    }
    let change = |user, role, previous| EntryKind::Role(RoleChange { user, role, previous });
    let first = change(target, role, previous);
    match standing.owner() {
        // The first made it so; the second tells of it (S-107).
        Some(owner) if role == Role::Owner => Ok(smallvec![first, change(owner, Role::Admin, Role::Owner)]),
        Some(_) | None => Ok(smallvec![first]),
    }
}
