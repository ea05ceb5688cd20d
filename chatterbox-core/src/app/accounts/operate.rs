//! What an operator does to accounts, from the CLI.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AccountView;
use super::register::{Register, create};
use super::session::{Which, effects};
use crate::app::{App, Caller, Effect, EndReason, Error, Outcome, UseCase};
use crate::clock::Timestamp;
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::ids::{SessionId, UserId};

/// Creates an account without logging it in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateUser {
    /// Unique name.
    pub username: String,
    /// Unique address.
    pub email: String,
    /// In clear.
    pub password: Secret,
    /// Shown beside the username.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Whether it administrates the server.
    #[serde(default)]
    pub admin: bool,
}

/// The account that was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserCreated {
    /// The account.
    #[serde(flatten)]
    pub user: AccountView,
}

impl UseCase for CreateUser {
    type Reply = UserCreated;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<UserCreated>, Error> {
        by.actor.operator()?;
        let CreateUser {
            username,
            email,
            password,
            display_name,
            admin,
        } = self;
        let wanted = Register {
            username,
            email,
            password,
            display_name,
            user_agent: None,
        };
        let mut user = create(app, wanted).await?;
        if admin {
            user.admin = app.stores.users.set_admin(user.id, true).await?;
        }
        let created = Effect::Audit {
            what: "account created by an operator",
            user: user.id,
        };
        Ok(Outcome::of(UserCreated { user: user.into() }).with(created))
    }
}

/// Accounts in order of id.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListUsers {
    /// Those behind this one.
    #[serde(default)]
    pub after: Option<UserId>,
    /// At most so many, 1 to 100.
    pub limit: usize,
}

/// An account as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserRow {
    /// What its owner sees.
    #[serde(flatten)]
    pub account: AccountView,
    /// Whether it is suspended.
    pub suspended: bool,
}

/// A page of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserList {
    /// The accounts.
    pub items: Vec<UserRow>,
    /// Whether there are more behind the last.
    pub has_more: bool,
}

impl UseCase for ListUsers {
    type Reply = UserList;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<UserList>, Error> {
        by.actor.operator()?;
        let limit = self.limit.clamp(1, 100);
        let mut users = app.stores.users.list(self.after, limit + 1).await?;
        let has_more = users.len() > limit;
        users.truncate(limit);
        let row = |user: User| UserRow {
            suspended: user.suspended,
            account: user.into(),
        };
        let items = users.into_iter().map(row).collect();
        Ok(Outcome::of(UserList { items, has_more }))
    }
}

/// Suspends an account, which ends its sessions, or lifts the suspension.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SuspendUser {
    /// Whose.
    pub id: UserId,
    /// False lifts it.
    pub suspended: bool,
}

/// The account is as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserSuspended {
    /// Sessions that ended by it.
    pub sessions_ended: usize,
}

impl UseCase for SuspendUser {
    type Reply = UserSuspended;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<UserSuspended>, Error> {
        by.actor.operator()?;
        if !app.stores.users.set_suspended(self.id, self.suspended).await? {
            return Err(Error::NotFound("user"));
        }
        let (ended, what) = if self.suspended {
            (app.end_sessions(self.id, Which::All).await?, "account suspended")
        } else {
            (Vec::new(), "suspension lifted")
        };
        let reply = UserSuspended {
            sessions_ended: ended.len(),
        };
        let effects = effects(ended, EndReason::Suspended);
        Ok(Outcome { reply, effects }.with(Effect::Audit { what, user: self.id }))
    }
}

/// Gives or takes the right to administrate the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetAdmin {
    /// Whose.
    pub id: UserId,
    /// False takes it.
    pub admin: bool,
}

/// The account is as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdminSet {}

impl UseCase for SetAdmin {
    type Reply = AdminSet;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<AdminSet>, Error> {
        by.actor.operator()?;
        if !app.stores.users.set_admin(self.id, self.admin).await? {
            return Err(Error::NotFound("user"));
        }
        let what = if self.admin {
            "made an administrator"
        } else {
            "administrator no more"
        };
        Ok(Outcome::of(AdminSet {}).with(Effect::Audit { what, user: self.id }))
    }
}

/// A user's living sessions, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListSessions {
    /// Whose.
    pub user: UserId,
}

/// A session as operators and its user see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Id.
    pub id: SessionId,
    /// When the login happened.
    pub created_at: Timestamp,
    /// When its tokens were refreshed last.
    pub refreshed_at: Timestamp,
    /// When it ends if it isn't refreshed.
    pub expires_at: Timestamp,
    /// With what the login happened.
    pub user_agent: Option<String>,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> SessionView {
        SessionView {
            id: session.id,
            created_at: session.created_at,
            refreshed_at: session.rotated_at,
            expires_at: session.expires_at,
            user_agent: session.user_agent,
        }
    }
}

/// A user's living sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionList {
    /// The sessions.
    pub items: Vec<SessionView>,
}

impl UseCase for ListSessions {
    type Reply = SessionList;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<SessionList>, Error> {
        by.actor.operator()?;
        exists(app, self.user).await?;
        let sessions = app.stores.sessions.of_user(self.user, app.clock.now()).await?;
        let items = sessions.into_iter().map(SessionView::from).collect();
        Ok(Outcome::of(SessionList { items }))
    }
}

/// Ends one of a user's sessions, or all of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokeSessions {
    /// Whose.
    pub user: UserId,
    /// Which; all if not given.
    #[serde(default)]
    pub session: Option<SessionId>,
}

/// The sessions have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionsRevoked {
    /// Those that this call ended.
    pub ended: Vec<SessionId>,
}

impl UseCase for RevokeSessions {
    type Reply = SessionsRevoked;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<SessionsRevoked>, Error> {
        by.actor.operator()?;
        exists(app, self.user).await?;
        let which = self.session.map_or(Which::All, Which::One);
        let ended = app.end_sessions(self.user, which).await?;
        let reply = SessionsRevoked { ended: ended.clone() };
        let effects = effects(ended, EndReason::Revoked);
        Ok(Outcome { reply, effects }.with(Effect::Audit {
            what: "sessions ended by an operator",
            user: self.user,
        }))
    }
}

async fn exists(app: &App, user: UserId) -> Result<(), Error> {
    let found = app.stores.users.get(user).await?;
    found.map(drop).ok_or(Error::NotFound("user"))
}
