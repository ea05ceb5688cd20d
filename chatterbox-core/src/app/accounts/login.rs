use serde::{Deserialize, Serialize};

use super::LoggedIn;
use crate::app::{App, Caller, Error, Outcome, UseCase};
use crate::auth::Verdict;
use crate::domain::profile::Password;
use crate::domain::secret::Secret;
use crate::domain::user::{Email, LoginName, Username};

/// The one answer to an unknown name and to a wrong password (THREATS.md C6).
pub(super) const REFUSED: Error = Error::Unauthenticated("wrong username or password");

/// How often a login looks again because the stored hash was replaced meanwhile; the second look finds a new one.
const ATTEMPTS: usize = 3;

/// Logs in (S-053).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// A username or an address.
    pub login: String,
    /// In clear.
    pub password: Secret,
    /// `User-Agent` of the request.
    #[serde(default)]
    pub user_agent: Option<String>,
}

impl Login {
    /// What the store finds the account by; `None` if no account can have this name. No username holds an `@`.
    pub(super) fn name(&self) -> Option<LoginName> {
        if self.login.contains('@') {
            Email::parse(&self.login)
                .ok()
                .map(|email| LoginName::Email(email.key))
        } else {
            Username::look_up(&self.login).map(LoginName::Username)
        }
    }
}

impl UseCase for Login {
    type Reply = LoggedIn;
    const SEVERAL_STEPS: bool = true;

    /// An unknown name costs as much time as a wrong password, and that an account is suspended is told only to who
    /// knows its password.
    async fn run(self, app: &App, _by: Caller) -> Result<Outcome<LoggedIn>, Error> {
        let Ok(password) = Password::attempt(self.password.clone()) else {
            return Err(REFUSED);
        };
        for _ in 0..ATTEMPTS {
            let credentials = match self.name() {
                Some(name) => app.stores.users.credentials(&name).await?,
                None => None,
            };
            let stored = credentials.as_ref().map(|found| found.password_hash.clone());
            let verdict = app.accounts.passwords.verify(password.clone(), stored).await?;
            let Some(credentials) = credentials.filter(|_| verdict != Verdict::Wrong) else {
                return Err(REFUSED);
            };
            let (user, mut hash) = (credentials.user, credentials.password_hash);
            if user.suspended {
                return Err(Error::AccountSuspended);
            }
            if verdict == Verdict::RightButOutdated {
                let new = app.accounts.passwords.hash(password.clone()).await?;
                let users = &app.stores.users;
                if !users.replace_password_hash(user.id, &hash.0, &new.0).await? {
                    // Another login did the same, or the password is another one now.
                    continue;
                }
                hash = new;
            }
            return app.log_in(user.id, Some(&hash), self.user_agent).await;
        }
        Err(Error::Unavailable(None))
    }
}
