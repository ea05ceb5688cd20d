use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use super::{Manager, fenced, group_only, managed};
use crate::app::access::{conversation_id, user_id};
use crate::app::rooms::LeaveRoom;
use crate::app::{App, Caller, Cost, Error, Outcome, UseCase};
use crate::domain::change::{Leave, LeaveReason, RoleChange, SettingsChange};
use crate::domain::conversation::{Kind, Role};
use crate::domain::entry::EntryKind;
use crate::domain::rights::Right;
use crate::domain::standing::Standing;
use crate::ids::{ConversationId, EntryId, UserId};
use crate::log::{Decided, Posted, Proposal};

/// Ends the caller's membership of a group or room (S-072). An owner's group goes to the admin who has been in it
/// longest, else to the member; the last one closes it. Having left before is fine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaveConversation {
    /// Which.
    pub conversation_id: String,
}

/// The caller is no member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationLeft {
    /// Of which.
    pub conversation_id: ConversationId,
}

impl UseCase for LeaveConversation {
    type Reply = ConversationLeft;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Change;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<ConversationLeft>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let conversations = &app.stores.conversations;
        // Who was a member once knows that there is such a conversation.
        let member = conversations.member(id, user).await?;
        let member = member.ok_or(Error::NotFound("conversation"))?;
        let conversation = conversations
            .get(id)
            .await?
            .ok_or(Error::NotFound("conversation"))?;
        let left = ConversationLeft { conversation_id: id };
        if let Kind::Room(name) = conversation.kind {
            let room_name = name.to_string();
            let outcome = LeaveRoom { room_name }.run(app, by).await?;
            return Ok(outcome.map(|_| left));
        }
        if member.is_in() {
            by.toll.pay().await?;
        }
        let posted = leave(app, id, user).await?;
        Ok(fenced(left, id, &posted))
    }
}

async fn leave(app: &App, id: ConversationId, user: UserId) -> Result<Posted, Error> {
    let ids = [EntryId::new(&*app.ids), EntryId::new(&*app.ids)];
    let proposal = Proposal::several(ids, user, move |state| decide_leave(&state.standing, user));
    app.log.submit(id, proposal)?.await
}

/// What a leave does where the conversation stands.
pub(super) fn decide_leave(standing: &Standing, user: UserId) -> Result<Decided, Error> {
    if standing.conversation.kind == Kind::Direct {
        return Err(Error::DirectCannotLeave);
    }
    let Some(role) = standing.role(user) else {
        return Ok(Decided::new());
    };
    let heir = standing.heir(user).filter(|_| role == Role::Owner);
    let leave = EntryKind::Leave(Leave {
        user,
        reason: LeaveReason::Left,
        heir,
    });
    if let Some(heir) = heir
        && let Some(previous) = standing.role(heir)
    {
        // The leave made it so; this tells of it.
        let told = EntryKind::Role(RoleChange {
            user: heir,
            role: Role::Owner,
            previous,
        });
        return Ok(smallvec![leave, told]);
    }
    if standing.members.len() == 1 && !standing.conversation.archived {
        return Ok(smallvec![leave, closed()]);
    }
    Ok(smallvec![leave])
}

/// The entry that closes a conversation for good.
pub(super) fn closed() -> EntryKind {
    EntryKind::Settings(SettingsChange {
        archived: Some(true),
        ..SettingsChange::default()
    })
}

/// Ends somebody's membership of a group; the caller's own is a leave (S-068, S-094). Having ended before is fine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveMember {
    /// Of which group.
    pub conversation_id: String,
    /// Whose.
    pub user_id: String,
}

/// The user is no member, and nothing written from then on reaches them (I5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRemoved {
    /// Of which.
    pub conversation_id: ConversationId,
    /// Who.
    pub user_id: UserId,
}

impl UseCase for RemoveMember {
    type Reply = MemberRemoved;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Change;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MemberRemoved>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let target = user_id(&self.user_id)?;
        let removed = MemberRemoved {
            conversation_id: id,
            user_id: target,
        };
        if target == user {
            let leave = LeaveConversation {
                conversation_id: self.conversation_id,
            };
            return Ok(leave.run(app, by).await?.map(|_| removed));
        }
        let (conversation, manager) = managed(app, id, user).await?;
        group_only(&conversation)?;
        let was_member = app.stores.conversations.member(id, target).await?.is_some();
        by.toll.pay().await?;
        let proposal = Proposal::several([EntryId::new(&*app.ids)], user, move |state| {
            decide_removal(&state.standing, manager, target, was_member)
        });
        let posted = app.log.submit(id, proposal)?.await?;
        Ok(fenced(removed, id, &posted))
    }
}

/// What a removal does where the group stands.
fn decide_removal(
    standing: &Standing,
    by: Manager,
    target: UserId,
    was_member: bool,
) -> Result<Decided, Error> {
    let Some(role) = standing.role(target) else {
        // Only who may remove at all learns whether there is anybody to remove.
        by.check(standing, Right::RemoveMember)?;
        return if was_member {
            Ok(Decided::new())
        } else {
            Err(Error::NotFound("participant"))
        };
    };
    by.check(standing, Right::to_remove(role))?;
    Ok(smallvec![EntryKind::Leave(Leave {
        user: target,
        reason: LeaveReason::Removed,
        heir: None,
    })])
}
