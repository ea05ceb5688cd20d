use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::messages::unread_total;
use crate::app::{Actor, App, Caller, Error, Outcome, UseCase};
use crate::auth::Principal;
use crate::clock::Timestamp;
use crate::domain::secret::Secret;
use crate::domain::user::{User, UserSettings};
use crate::ids::{SessionId, UserId};
use crate::views::PublicUser;

/// An account as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountView {
    /// Id.
    pub id: UserId,
    /// Unique name.
    pub username: String,
    /// Name to show beside it.
    pub display_name: Option<String>,
    /// Address, as given.
    pub email: String,
    /// Whether the account administrates the server.
    pub admin: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// What others see and find.
    pub settings: UserSettingsView,
}

/// What an account wants others to see and find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserSettingsView {
    /// Others see how far the user has read, and the user how far they have.
    pub read_receipts: bool,
    /// Others see whether the user is online.
    pub show_presence: bool,
    /// Who knows the user's address finds the user by it.
    pub allow_email_search: bool,
}

impl From<UserSettings> for UserSettingsView {
    fn from(settings: UserSettings) -> UserSettingsView {
        UserSettingsView {
            read_receipts: settings.read_receipts,
            show_presence: settings.show_presence,
            allow_email_search: settings.email_search,
        }
    }
}

impl From<User> for AccountView {
    fn from(user: User) -> AccountView {
        AccountView {
            id: user.id,
            username: user.username,
            display_name: user.display_name,
            email: user.email,
            admin: user.admin,
            created_at: user.created_at,
            settings: user.settings.into(),
        }
    }
}

/// The caller's own account (S-056).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Me {}

/// The caller's account, and how much waits for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnAccount {
    /// The account.
    #[serde(flatten)]
    pub account: AccountView,
    /// Messages the caller has not read; of each conversation, more than 1000 count as 1001.
    pub unread_total: u32,
}

impl OwnAccount {
    /// With what waits now.
    pub(super) async fn of(app: &App, account: AccountView) -> Result<OwnAccount, Error> {
        Ok(OwnAccount {
            unread_total: unread_total(app, account.id).await?,
            account,
        })
    }
}

impl UseCase for Me {
    type Reply = OwnAccount;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<OwnAccount>, Error> {
        let user = app.stores.users.get(by.actor.user()?.user).await?;
        let user = user.ok_or(Error::Unauthenticated("the account is gone"))?;
        OwnAccount::of(app, user.into()).await.map(Outcome::of)
    }
}

/// Somebody's public profile (S-060).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetUser {
    /// Whose.
    pub id: UserId,
}

impl UseCase for GetUser {
    type Reply = PublicUser;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<PublicUser>, Error> {
        match by.actor {
            Actor::User(_) | Actor::Operator => {}
            Actor::Nobody => return Err(Error::Unauthenticated("log in first")),
        }
        let user = app
            .stores
            .users
            .get(self.id)
            .await?
            .ok_or(Error::NotFound("user"))?;
        Ok(Outcome::of(user.into()))
    }
}

/// Whom an access token speaks for: what a socket's `auth` asks (S-083). Answers
/// [`Error::TokenExpired`] and [`Error::Unauthenticated`] like any request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyToken {
    /// The token.
    pub token: Secret,
}

/// The token is good and its session lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenVerified {
    /// Its user.
    pub user: PublicUser,
    /// Its session.
    pub session_id: SessionId,
    /// Who calls with it.
    #[serde(skip)]
    pub principal: Principal,
}

impl UseCase for VerifyToken {
    type Reply = TokenVerified;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, _by: Caller) -> Result<Outcome<TokenVerified>, Error> {
        let principal = app.accounts.live.verify(self.token.as_str()).await?;
        let user = app.stores.users.get(principal.user).await?;
        let user = user.ok_or(Error::Unauthenticated("the account is gone"))?;
        Ok(Outcome::of(TokenVerified {
            user: user.into(),
            session_id: principal.session,
            principal,
        }))
    }
}
