use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Manager, group_only, managed};
use crate::app::access::{conversation_id, user_id};
use crate::app::messages::IdList;
use crate::app::{App, Caller, Cost, Error, Outcome, UseCase};
use crate::domain::change::Join;
use crate::domain::conversation::Role;
use crate::domain::entry::EntryKind;
use crate::domain::limits::{IDS_PER_CALL_MAX, PARTICIPANTS_PER_CALL_MAX};
use crate::domain::rights::Right;
use crate::domain::standing::Standing;
use crate::ids::{EntryId, UserId};
use crate::log::{Decided, Proposal};

/// Makes users members of a group (S-067, S-093). Who is one already stays as they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddMembers {
    /// Of which group.
    pub conversation_id: String,
    /// Either one,
    #[serde(default)]
    pub user_id: Option<String>,
    /// or some.
    #[serde(default)]
    pub user_ids: Option<IdList<IDS_PER_CALL_MAX>>,
}

/// What became of each of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MembersAdded {
    /// In the order in which they were named.
    pub results: Vec<Added>,
}

/// What became of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Added {
    /// Who.
    pub user_id: UserId,
    /// Whether they are a member now.
    pub ok: bool,
    /// Whether they were one before.
    pub already_member: bool,
    /// Why they are not: `NOT_FOUND`, `BLOCKED` or `FORBIDDEN` (banned).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

/// Somebody who was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Who.
    pub user_id: UserId,
    /// Why.
    pub code: &'static str,
}

impl Refused {
    pub(super) fn blocked(user_id: UserId) -> Refused {
        Refused {
            user_id,
            code: Error::Blocked.code(),
        }
    }
}

/// What becomes of one user, as it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Added,
    Already,
    Unknown,
    Blocked,
    Banned,
}

impl UseCase for AddMembers {
    type Reply = MembersAdded;
    const SEVERAL_STEPS: bool = true;
    const COST: Cost = Cost::Contact;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MembersAdded>, Error> {
        let user = by.actor.user()?.user;
        let id = conversation_id(&self.conversation_id)?;
        let (named, is_one) = self.named()?;
        let (conversation, manager) = managed(app, id, user).await?;
        group_only(&conversation)?;

        let known = app.stores.users.get_many(&named).await?;
        let blocked = blocked_with(app, user, &named).await?;
        let mut fates = BTreeMap::new();
        for one in &named {
            if known.iter().all(|user| user.id != *one) {
                fates.insert(*one, Fate::Unknown);
            }
        }
        let wanted: Vec<UserId> = named
            .iter()
            .copied()
            .filter(|one| !fates.contains_key(one))
            .collect();

        // What was decided last is what came into the log.
        let decided: Arc<Mutex<Vec<(UserId, Fate)>>> = Arc::default();
        let members_max = app.quotas.group_members_max;
        let tell = decided.clone();
        let ids = wanted.iter().map(|_| EntryId::new(&*app.ids)).collect::<Vec<_>>();
        let proposal = Proposal::several(ids, user, move |state| {
            let found = decide(&state.standing, manager, &wanted, &blocked, members_max)?;
            let joins = found
                .iter()
                .filter(|(_, fate)| *fate == Fate::Added)
                .map(|(user, _)| join(*user));
            let entries: Decided = joins.collect();
            *tell.lock().unwrap_or_else(PoisonError::into_inner) = found;
            Ok(entries)
        });
        app.log.submit(id, proposal)?.await?;
        fates.extend(decided.lock().unwrap_or_else(PoisonError::into_inner).drain(..));

        let results: Vec<Added> = named
            .iter()
            .filter_map(|one| fates.get(one).map(|fate| fate.told(*one)))
            .collect();
        match (&results[..], is_one) {
            ([only], true) if !only.ok => Err(fates
                .get(&only.user_id)
                .map_or(Error::NotFound("user"), |fate| fate.refusal())),
            _ => Ok(Outcome::of(MembersAdded { results })),
        }
    }
}

impl AddMembers {
    /// Who is named, and whether by `userId`: then a refusal is the answer.
    fn named(&self) -> Result<(Vec<UserId>, bool), Error> {
        match (&self.user_id, &self.user_ids) {
            (Some(_), Some(_)) => Err(Error::invalid("userIds", "either this or userId")),
            (None, None) => Err(Error::invalid("userId", "required, or userIds")),
            (Some(one), None) => Ok((vec![user_id(one)?], true)),
            (None, Some(some)) => {
                let users = some.parse::<UserId>("userIds")?;
                if (1..=PARTICIPANTS_PER_CALL_MAX).contains(&users.len()) {
                    Ok((users, false))
                } else {
                    let rule = format!("1 to {PARTICIPANTS_PER_CALL_MAX} ids");
                    Err(Error::invalid("userIds", rule))
                }
            }
        }
    }
}

impl Fate {
    fn told(self, user_id: UserId) -> Added {
        let ok = matches!(self, Fate::Added | Fate::Already);
        Added {
            user_id,
            ok,
            already_member: self == Fate::Already,
            code: (!ok).then(|| self.refusal().code()),
        }
    }

    /// Why they are no member.
    fn refusal(self) -> Error {
        match self {
            Fate::Added | Fate::Already | Fate::Unknown => Error::NotFound("user"),
            Fate::Blocked => Error::Blocked,
            Fate::Banned => Error::Forbidden("this user is banned; lift the ban first"),
        }
    }
}

/// Who of `wanted` becomes a member where the group stands.
fn decide(
    standing: &Standing,
    by: Manager,
    wanted: &[UserId],
    blocked: &[UserId],
    members_max: u64,
) -> Result<Vec<(UserId, Fate)>, Error> {
    by.check(standing, Right::Add)?;
    let fate = |user: &UserId| {
        // Who is one stays one, whoever blocks whom (S-067).
        if standing.members.contains_key(user) {
            Fate::Already
        } else if blocked.contains(user) {
            Fate::Blocked
        } else if standing.bans.contains(user) {
            Fate::Banned
        } else {
            Fate::Added
        }
    };
    let found: Vec<(UserId, Fate)> = wanted.iter().map(|user| (*user, fate(user))).collect();
    let added = found.iter().filter(|(_, fate)| *fate == Fate::Added).count();
    if added > 0 && (standing.members.len() + added) as u64 > members_max {
        return Err(Error::GroupFull);
    }
    Ok(found)
}

/// The entry of a new member.
pub(super) fn join(user: UserId) -> EntryKind {
    EntryKind::Join(Join {
        user,
        role: Role::Member,
    })
}

/// Those whom `user` can't add to a group: one of the two blocks the other (S-135).
pub(super) async fn blocked_with(app: &App, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, Error> {
    let blocks = &app.stores.blocks;
    let mut found = blocks.blockers_of(user, others).await?;
    found.extend(blocks.blocked_by(user, others).await?);
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
