//! Accounts and logins: register, log in and out, refresh, what users do to their own accounts and sessions, and what
//! an operator does to all.
//!
//! ```text
//! Register ─┬─▶ session row ──▶ access token (minutes) ──▶ LiveSessions: signature, then the row, cached a second
//! Login ────┘   = family of ──▶ refresh tokens ──Refresh──▶ next generation
//! Logout, EndMySessions, ChangePassword, RevokeSessions, SuspendUser, a refresh token used twice ──▶ row revoked, Effect::EndSessions
//! ```
//! The row is what counts (S-054, I8); the effect only makes the sockets close sooner.

mod auth_limits;
mod devices;
mod live;
mod login;
mod logout;
mod lookup;
mod operate;
mod password;
mod profile;
mod refresh;
mod register;
mod session;

use std::sync::Arc;
use std::time::Duration;

pub use auth_limits::{AuthLimits, address_key};
pub use devices::{EndMySessions, MySessions, MySessionsEnded, OwnSession, OwnSessions};
pub use live::LiveSessions;
pub use login::Login;
pub use logout::{LoggedOut, Logout};
pub use lookup::{AccountView, GetUser, Me, OwnAccount, TokenVerified, UserSettingsView, VerifyToken};
pub use operate::{
    AdminSet, CreateUser, ListSessions, ListUsers, RevokeSessions, SessionList, SessionView, SessionsRevoked,
    SetAdmin, SuspendUser, UserCreated, UserList, UserRow, UserSuspended,
};
pub use password::{ChangePassword, PasswordChanged};
pub use profile::{ProfileUpdated, UpdateProfile};
pub use refresh::{Refresh, Refreshed};
pub use register::{Register, Registered};
pub use session::{LoggedIn, Tokens};

use super::{Error, FieldError};
use crate::auth::{AccessTokens, Passwords, RefreshTokens, TokenError, TooBusy};
use crate::domain::rule::Rule;

/// What the use cases of accounts need besides the stores.
#[derive(Clone)]
pub struct Accounts {
    /// Hashing.
    pub passwords: Arc<Passwords>,
    /// Access tokens.
    pub access: AccessTokens,
    /// Refresh tokens.
    pub refresh: RefreshTokens,
    /// Whether logins live, as far as this node knows.
    pub live: LiveSessions,
    /// How long a session lives without being refreshed.
    pub refresh_ttl: Duration,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts")
            .field("refresh_ttl", &self.refresh_ttl)
            .finish_non_exhaustive()
    }
}

/// Checks fields one after the other and tells everything that is wrong at once.
#[derive(Default)]
struct Fields {
    wrong: Vec<FieldError>,
}

impl Fields {
    fn check<T>(&mut self, field: &str, checked: Result<T, Rule>) -> Option<T> {
        checked
            .map_err(|rule| {
                self.wrong.push(FieldError {
                    field: field.to_owned(),
                    rule: rule.to_string(),
                });
            })
            .ok()
    }

    fn refused(self) -> Error {
        Error::Validation(self.wrong)
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Error {
        match error {
            TokenError::Expired => Error::TokenExpired,
            TokenError::Invalid => Error::Unauthenticated("the access token is not valid"),
        }
    }
}

impl From<TooBusy> for Error {
    fn from(error: TooBusy) -> Error {
        Error::Unavailable(Some(Box::new(error)))
    }
}
