use serde::{Deserialize, Serialize};

use super::session::{Which, effects};
use crate::app::{Actor, App, Caller, EndReason, Error, Outcome, UseCase};
use crate::auth::{Judgement, RefreshToken};
use crate::domain::secret::Secret;
use crate::domain::session::Session;

/// Ends the caller's session, or all of the caller's (S-054). Again is fine.
///
/// Who has no valid access token any more names the session by its refresh token. To end all sessions that one must be
/// current: a copy of an old one is good for nothing but the session it came from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logout {
    /// A refresh token of the session, looked at when the call comes without a session.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// Every session of the user.
    #[serde(default)]
    pub all: bool,
}

/// The sessions have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedOut {
    /// How many this call ended.
    pub ended: usize,
}

impl UseCase for Logout {
    type Reply = LoggedOut;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<LoggedOut>, Error> {
        let (user, session, may_end_all) = match by.actor {
            Actor::User(principal) => (principal.user, principal.session, true),
            Actor::Nobody | Actor::Operator => {
                let (session, judgement) = named_session(app, self.refresh_token.as_ref()).await?;
                let is_current = matches!(judgement, Judgement::Current | Judgement::JustRotated);
                (session.user, session.id, is_current)
            }
        };
        let which = if self.all && may_end_all {
            Which::All
        } else {
            Which::One(session)
        };
        let ended = app.end_sessions(user, which).await?;
        Ok(Outcome {
            reply: LoggedOut { ended: ended.len() },
            effects: effects(ended, EndReason::LoggedOut),
        })
    }
}

async fn named_session(app: &App, token: Option<&Secret>) -> Result<(Session, Judgement), Error> {
    let token = token.ok_or(Error::Unauthenticated("log in first"))?;
    if let Some(token) = RefreshToken::parse(token.as_str())
        && let Some(session) = app.stores.sessions.get(token.family).await?
    {
        let judgement = app.accounts.refresh.judge(&token, &session, app.clock.now());
        if judgement != Judgement::Forged {
            return Ok((session, judgement));
        }
    }
    Err(Error::Unauthenticated("the refresh token is not valid"))
}
