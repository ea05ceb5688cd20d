//! Connections coming and going (S-007), and who may see that (S-061).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{App, Caller, Effect, Error, Outcome, UseCase};
use crate::clock::Timestamp;
use crate::domain::user::User;
use crate::ids::UserId;
use crate::log::Subscribed;

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
    /// Nobody with whom the caller shares a conversation.
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
        let online = app.presence.online_among(ids).await?;
        let away = app.presence.away_among(&online).await?;
        let mut items = Vec::with_capacity(ids.len());
        for user in ids {
            let view = |status, last_seen| PresenceView {
                user_id: *user,
                status,
                last_seen,
            };
            let knows = *user == caller || app.stores.conversations.share_conversation(caller, *user).await?;
            items.push(if !knows {
                view(Status::Unknown, None)
            } else if hidden.contains(user) {
                view(Status::Offline, None)
            } else if away.contains(user) {
                view(Status::Away, None)
            } else if online.contains(user) {
                view(Status::Online, None)
            } else {
                view(Status::Offline, app.presence.last_seen(*user).await?)
            });
        }
        Ok(Outcome::of(PresenceList { items }))
    }
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
