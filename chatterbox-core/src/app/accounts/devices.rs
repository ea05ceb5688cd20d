//! A user's own sessions: seen and ended from any device (S-134).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SessionView;
use super::session::{Which, effects};
use crate::app::{App, Caller, EndReason, Error, Outcome, UseCase};
use crate::ids::SessionId;

/// The caller's living sessions, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MySessions {}

/// One of one's own sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnSession {
    /// The session.
    #[serde(flatten)]
    pub session: SessionView,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// One's own living sessions: at most 50, so they are one page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OwnSessions {
    /// Newest first.
    pub items: Vec<OwnSession>,
}

impl UseCase for MySessions {
    type Reply = OwnSessions;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<OwnSessions>, Error> {
        let caller = by.actor.user()?;
        let living = app.stores.sessions.of_user(caller.user, app.clock.now()).await?;
        let items = living.into_iter().map(|session| OwnSession {
            current: session.id == caller.session,
            session: session.into(),
        });
        Ok(Outcome::of(OwnSessions {
            items: items.collect(),
        }))
    }
}

/// Ends one of the caller's sessions, or all but the one that asks. Again is fine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndMySessions {
    /// Which; all others if not given.
    #[serde(default)]
    pub session: Option<SessionId>,
}

/// They have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MySessionsEnded {
    /// How many this call ended.
    pub sessions_ended: usize,
}

impl UseCase for EndMySessions {
    type Reply = MySessionsEnded;
    const SEVERAL_STEPS: bool = true;

    /// A session of somebody else is as unknown as none.
    async fn run(self, app: &App, by: Caller) -> Result<Outcome<MySessionsEnded>, Error> {
        let caller = by.actor.user()?;
        let which = match self.session {
            None => Which::AllBut(caller.session),
            Some(id) => {
                let session = app.stores.sessions.get(id).await?;
                session
                    .filter(|session| session.user == caller.user)
                    .ok_or(Error::NotFound("session"))?;
                Which::One(id)
            }
        };
        let ended = app.end_sessions(caller.user, which).await?;
        let reply = MySessionsEnded {
            sessions_ended: ended.len(),
        };
        let effects = effects(ended, EndReason::Revoked);
        Ok(Outcome { reply, effects })
    }
}
