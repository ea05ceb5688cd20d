//! Sessions: how they begin and how they end, whatever the use case.

use serde::Serialize;
use utoipa::ToSchema;

use super::AccountView;
use super::login::REFUSED;
use crate::app::{App, Effect, EndReason, Error, Outcome};
use crate::auth::fill_random;
use crate::clock::Timestamp;
use crate::domain::limits::USER_AGENT_CHARS_MAX;
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::user::{Credentials, LoginName, PasswordHash, User, Username};
use crate::ids::{SessionId, UserId};

/// Living sessions of one account; a login beyond them ends the oldest.
const SESSIONS_PER_USER_MAX: usize = 50;

/// Tokens of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// For `Authorization: Bearer …`.
    #[schema(value_type = String)]
    pub access_token: Secret,
    /// For the next refresh, and for that only.
    #[schema(value_type = String)]
    pub refresh_token: Secret,
    /// Seconds until the access token expires.
    pub expires_in: u64,
}

/// An account and the tokens of a new session of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggedIn {
    /// The account.
    pub user: AccountView,
    /// The session's tokens.
    #[serde(flatten)]
    pub tokens: Tokens,
}

/// Which of a user's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    One(SessionId),
    AllBut(SessionId),
    All,
}

impl App {
    /// An account with the hash of its password.
    pub(super) async fn credentials_of(&self, user: UserId) -> Result<Option<Credentials>, Error> {
        let Some(user) = self.stores.users.get(user).await? else {
            return Ok(None);
        };
        let Some(key) = Username::look_up(&user.username) else {
            return Ok(None);
        };
        Ok(self.stores.users.credentials(&LoginName::Username(key)).await?)
    }

    /// Begins a session for a user whose password was right by this hash, or who has just come to be.
    async fn open_session(
        &self,
        user: UserId,
        verified: Option<&PasswordHash>,
        user_agent: Option<String>,
    ) -> Result<(User, Session, Vec<Effect>), Error> {
        let now = self.clock.now();
        let mut salt = [0; 32];
        fill_random(&mut salt);
        let session = Session {
            id: SessionId::new(&*self.ids),
            user,
            salt,
            generation: 1,
            rotated_at: now,
            created_at: now,
            expires_at: now.plus(self.accounts.refresh_ttl),
            revoked_at: None,
            user_agent: user_agent.map(|text| text.chars().take(USER_AGENT_CHARS_MAX).collect()),
        };
        self.stores.sessions.insert(&session).await?;
        // A suspension or a new password that came since the password was checked has ended the sessions it found, but
        // not this one.
        let account = self.credentials_of(user).await?;
        let Credentials { user, password_hash } =
            account.ok_or(Error::Unauthenticated("the account is gone"))?;
        if verified.is_some_and(|verified| *verified != password_hash) {
            self.end_sessions(user.id, Which::One(session.id)).await?;
            return Err(REFUSED);
        }
        if user.suspended {
            self.end_sessions(user.id, Which::One(session.id)).await?;
            return Err(Error::AccountSuspended);
        }
        let mut ended = Vec::new();
        let living = self.stores.sessions.of_user(user.id, now).await?;
        for oldest in living.iter().skip(SESSIONS_PER_USER_MAX) {
            ended.extend(self.end_sessions(user.id, Which::One(oldest.id)).await?);
        }
        Ok((user, session, effects(ended, EndReason::Revoked)))
    }

    /// Ends sessions of the user and tells which: not those that had ended before, nor anybody else's.
    pub(super) async fn end_sessions(&self, user: UserId, which: Which) -> Result<Vec<SessionId>, Error> {
        let (store, now) = (&self.stores.sessions, self.clock.now());
        let ended = match which {
            Which::All => store.revoke_all(user, None, now).await?,
            Which::AllBut(kept) => store.revoke_all(user, Some(kept), now).await?,
            Which::One(id) => {
                let is_theirs = store.get(id).await?.is_some_and(|session| session.user == user);
                if is_theirs && store.revoke(id, now).await? {
                    vec![id]
                } else {
                    Vec::new()
                }
            }
        };
        for id in &ended {
            self.accounts.live.forget(*id);
        }
        Ok(ended)
    }

    /// An access token for the session and the refresh token of its generation.
    pub(super) fn tokens(&self, session: &Session, now: Timestamp) -> Tokens {
        let (access, principal) =
            self.accounts
                .access
                .issue(session.user, session.id, session.expires_at, now);
        Tokens {
            access_token: access.into(),
            refresh_token: self.accounts.refresh.current(session).into(),
            expires_in: principal.expires_at.since(now).as_secs(),
        }
    }

    /// Logs a user in; see [`open_session`](App::open_session).
    pub(super) async fn log_in(
        &self,
        user: UserId,
        verified: Option<&PasswordHash>,
        user_agent: Option<String>,
    ) -> Result<Outcome<LoggedIn>, Error> {
        let (user, session, effects) = self.open_session(user, verified, user_agent).await?;
        let tokens = self.tokens(&session, self.clock.now());
        let user = AccountView::from(user);
        Ok(Outcome {
            reply: LoggedIn { user, tokens },
            effects,
        })
    }
}

/// The effect of ended sessions, if any ended.
pub(super) fn effects(sessions: Vec<SessionId>, reason: EndReason) -> Vec<Effect> {
    if sessions.is_empty() {
        Vec::new()
    } else {
        vec![Effect::EndSessions { sessions, reason }]
    }
}
