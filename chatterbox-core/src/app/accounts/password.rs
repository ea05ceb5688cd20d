use serde::{Deserialize, Serialize};

use super::Fields;
use super::session::{Which, effects};
use crate::app::{App, Caller, Effect, EndReason, Error, Outcome, UseCase};
use crate::auth::Verdict;
use crate::domain::profile::Password;
use crate::domain::secret::Secret;

/// Not 401: the session is fine, and clients would refresh their tokens for it.
const REFUSED: Error = Error::Forbidden("the current password is wrong");

/// Changes the caller's password and ends the caller's other sessions (S-134, S-055).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangePassword {
    /// In clear; a stolen session alone changes nothing.
    pub current_password: Secret,
    /// In clear.
    pub new_password: Secret,
}

/// It is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PasswordChanged {
    /// Sessions that this call ended.
    pub ended: usize,
}

impl UseCase for ChangePassword {
    type Reply = PasswordChanged;
    const SEVERAL_STEPS: bool = true;

    /// Of two changes at once one is refused: neither knew the password that the other had set. A login that was
    /// checked against the old password finds that out when its session begins.
    async fn run(self, app: &App, by: Caller) -> Result<Outcome<PasswordChanged>, Error> {
        let principal = by.actor.user()?;
        let mut fields = Fields::default();
        let Some(new) = fields.check("newPassword", Password::new(self.new_password)) else {
            return Err(fields.refused());
        };
        let Ok(current) = Password::attempt(self.current_password) else {
            return Err(REFUSED);
        };
        let account = app.credentials_of(principal.user).await?;
        let account = account.ok_or(Error::Unauthenticated("the account is gone"))?;
        let old = account.password_hash;
        match app.accounts.passwords.verify(current, Some(old.clone())).await? {
            Verdict::Wrong => return Err(REFUSED),
            Verdict::Right | Verdict::RightButOutdated => {}
        }
        let new = app.accounts.passwords.hash(new).await?;
        let users = &app.stores.users;
        if !users
            .replace_password_hash(principal.user, &old.0, &new.0)
            .await?
        {
            return Err(Error::Conflict("the password was changed meanwhile"));
        }
        let others = Which::AllBut(principal.session);
        let ended = app.end_sessions(principal.user, others).await?;
        let reply = PasswordChanged { ended: ended.len() };
        let effects = effects(ended, EndReason::Revoked);
        Ok(Outcome { reply, effects }.with(Effect::Audit {
            what: "password changed",
            user: principal.user,
        }))
    }
}
