use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Tokens;
use super::session::{Which, effects};
use crate::app::{App, Caller, Effect, EndReason, Error, Outcome, UseCase};
use crate::auth::{Judgement, RefreshToken};
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::ports::storage::Rotation;

/// How often a refresh looks again because another request rotated the family meanwhile. The second look finds the
/// token just rotated, so more are needed only when tokens are used faster than they are answered.
const ATTEMPTS: usize = 4;

/// Takes a refresh token for new tokens (S-055).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refresh {
    /// The token, in its wire form.
    pub refresh_token: Secret,
}

/// The answer to a refresh. A refusal is an answer too: the reuse of a replaced token has effects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Refreshed {
    /// Tokens of the current generation.
    Tokens(Tokens),
    /// The token is worth nothing, or not any more.
    Refused,
}

impl UseCase for Refresh {
    type Reply = Refreshed;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, _by: Caller) -> Result<Outcome<Refreshed>, Error> {
        let refused = Ok(Outcome::of(Refreshed::Refused));
        let Some(token) = RefreshToken::parse(self.refresh_token.as_str()) else {
            return refused;
        };
        for _ in 0..ATTEMPTS {
            let now = app.clock.now();
            let Some(session) = app.stores.sessions.get(token.family).await? else {
                return refused;
            };
            match app.accounts.refresh.judge(&token, &session, now) {
                Judgement::Forged | Judgement::Ended => return refused,
                Judgement::Reused => return bury_family(app, &session).await,
                Judgement::JustRotated => {
                    return Ok(Outcome::of(Refreshed::Tokens(app.tokens(&session, now))));
                }
                Judgement::Current => {}
            }
            match app.stores.users.get(session.user).await? {
                None => return refused,
                Some(user) if user.suspended => return Err(Error::AccountSuspended),
                Some(_) => {}
            }
            let expires_at = now.plus(app.accounts.refresh_ttl);
            let rotation = app
                .stores
                .sessions
                .rotate(session.id, session.generation, now, expires_at)
                .await?;
            match rotation {
                Rotation::Lost => {}
                Rotation::Rotated => {
                    let rotated = Session {
                        generation: session.generation + 1,
                        rotated_at: now,
                        expires_at,
                        ..session
                    };
                    // Its new end must be known to whoever checks the token issued now.
                    app.accounts.live.forget(rotated.id);
                    return Ok(Outcome::of(Refreshed::Tokens(app.tokens(&rotated, now))));
                }
            }
        }
        Err(Error::Unavailable(None))
    }
}

/// Two hold the family's tokens, and one of them is a thief: neither keeps it (THREATS.md C4).
async fn bury_family(app: &App, session: &Session) -> Result<Outcome<Refreshed>, Error> {
    warn!(
        user.id = %session.user,
        session.id = %session.id,
        "a replaced refresh token of session {} was used again: the session is ended", session.id
    );
    let ended = app.end_sessions(session.user, Which::One(session.id)).await?;
    let mut outcome = Outcome::of(Refreshed::Refused).with(Effect::Audit {
        what: "refresh token used twice",
        user: session.user,
    });
    outcome.effects.extend(effects(ended, EndReason::Revoked));
    Ok(outcome)
}
