//! Connections coming and going (S-007), and who may see that (S-061).

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{App, Caller, Effect, Error, Outcome, UseCase};
use crate::clock::Timestamp;
use crate::domain::user::User;
use crate::ids::UserId;
use crate::log::Subscribed;
use crate::ports::presence::PresenceError;

/// A connection of the calling user came up.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Connect {
    /// What it hears, if that was just read.
    #[serde(skip)]
    pub circle: Option<Arc<Subscribed>>,
}

/// Taken note of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connected {}

impl UseCase for Connect {
    type Reply = Connected;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, _app: &App, by: Caller) -> Result<Outcome<Connected>, Error> {
        let principal = by.actor.user()?;
        Ok(Outcome::of(Connected {}).with(Effect::Arrived {
            user: principal.user,
            circle: self.circle,
        }))
    }
}

/// A connection of the calling user ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Disconnect {
    /// Whether the user was not at the device.
    #[serde(default)]
    pub was_away: bool,
}

/// Taken note of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disconnected {}

impl UseCase for Disconnect {
    type Reply = Disconnected;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, _app: &App, by: Caller) -> Result<Outcome<Disconnected>, Error> {
        let principal = by.actor.user()?;
        Ok(Outcome::of(Disconnected {}).with(Effect::Left {
            user: principal.user,
            session: principal.session,
            was_away: self.was_away,
        }))
    }
}

/// The calling user has left a device, or is back at it (S-092).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetActivity {
    /// Whether they have left it.
    pub away: bool,
}

/// Taken note of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActivitySet {}

impl UseCase for SetActivity {
    type Reply = ActivitySet;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, _app: &App, by: Caller) -> Result<Outcome<ActivitySet>, Error> {
        let user = by.actor.user()?.user;
        let effect = Effect::Activity {
            user,
            away: self.away,
        };
        Ok(Outcome::of(ActivitySet {}).with(effect))
    }
}

/// The most users asked about at a time.
pub const ASKED_MAX: usize = 100;

/// Asks who is online.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetPresence {
    /// About whom, at most [`ASKED_MAX`].
    pub user_ids: Vec<UserId>,
}

/// Who is online, in the order of the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PresenceList {
    /// One for each user.
    pub items: Vec<PresenceView>,
}

/// Whether somebody is online, as far as the caller may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PresenceView {
    /// Who.
    pub user_id: UserId,
    /// Whether.
    pub status: Status,
    /// When they were last, if they are offline and let others see it.
    pub last_seen: Option<Timestamp>,
}

/// Whether somebody is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Yes.
    Online,
    /// Connected, but at no device.
    Away,
    /// No, or they don't let others see it.
    Offline,
    /// Nobody with whom the caller shares a conversation; or everybody, while the server can't tell (S-026).
    Unknown,
}

impl UseCase for GetPresence {
    type Reply = PresenceList;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<PresenceList>, Error> {
        let caller = by.actor.user()?.user;
        if self.user_ids.len() > ASKED_MAX {
            return Err(Error::invalid("ids", format!("at most {ASKED_MAX} users")));
        }
        let ids = &self.user_ids;
        let hidden = hidden_from(app, caller, ids).await?;
        let mut known = app.stores.conversations.acquainted(caller, ids).await?;
        known.extend(ids.contains(&caller).then_some(caller));
        let is_visible = |user: &UserId| !hidden.contains(user);
        let visible: Vec<UserId> = known.iter().copied().filter(is_visible).collect();
        let seen = look(app, ids, &visible).await.inspect_err(|error| {
            tracing::debug!(
                error = error as &dyn std::error::Error,
                "who is online can't be told; it is answered with unknown"
            );
        });
        let view = |user: &UserId| {
            let (status, last_seen) = match &seen {
                Ok(seen) if known.contains(user) => {
                    let told = seen.get(user).copied();
                    told.unwrap_or((Status::Offline, None))
                }
                // Also of those who hide it: the answer is not to tell them from others.
                Ok(_) | Err(_) => (Status::Unknown, None),
            };
            PresenceView {
                user_id: *user,
                status,
                last_seen,
            }
        };
        let items = ids.iter().map(view).collect();
        Ok(Outcome::of(PresenceList { items }))
    }
}

/// Whether each of `visible` is online, and when those who are not were seen last. Asks about all of `users` in any
/// case, so that whether there is an answer doesn't depend on who is visible.
async fn look(
    app: &App,
    users: &[UserId],
    visible: &[UserId],
) -> Result<HashMap<UserId, (Status, Option<Timestamp>)>, PresenceError> {
    let online = app.presence.online_among(users).await?;
    let away = app.presence.away_among(&online).await?;
    let last_seen = app.presence.last_seen(visible).await?;
    let seen = visible.iter().zip(last_seen).map(|(user, last_seen)| {
        let status = if away.contains(user) {
            (Status::Away, None)
        } else if online.contains(user) {
            (Status::Online, None)
        } else {
            (Status::Offline, last_seen)
        };
        (*user, status)
    });
    Ok(seen.collect())
}

/// Those of the users whose presence the caller doesn't see: one blocks the other (S-135), or they don't show it.
async fn hidden_from(app: &App, caller: UserId, users: &[UserId]) -> Result<Vec<UserId>, Error> {
    let mut hidden = app.stores.blocks.blockers_of(caller, users).await?;
    hidden.extend(app.stores.blocks.blocked_by(caller, users).await?);
    let found = app.stores.users.get_many(users).await?;
    let hides = |user: &&User| !user.settings.show_presence && user.id != caller;
    hidden.extend(found.iter().filter(hides).map(|user| user.id));
    Ok(hidden)
}
