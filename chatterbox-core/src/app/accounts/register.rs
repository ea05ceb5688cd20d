use serde::{Deserialize, Serialize};
use tracing::info;

use super::{Fields, LoggedIn};
use crate::app::{App, Caller, Error, Outcome, UseCase};
use crate::domain::profile::{Password, display_name};
use crate::domain::secret::Secret;
use crate::domain::user::{Email, NewUser, User, UserSettings, Username};
use crate::ids::UserId;
use crate::ports::storage::InsertUserError;

/// Creates an account and logs it in (S-052). Of concurrent calls with one name or address exactly one succeeds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// Unique name.
    pub username: String,
    /// Unique address.
    pub email: String,
    /// In clear.
    pub password: Secret,
    /// Shown beside the username.
    #[serde(default)]
    pub display_name: Option<String>,
    /// `User-Agent` of the request.
    #[serde(default)]
    pub user_agent: Option<String>,
}

/// The account and the tokens of its first session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Registered(pub LoggedIn);

impl UseCase for Register {
    type Reply = Registered;
    const SEVERAL_STEPS: bool = true;

    async fn run(self, app: &App, _by: Caller) -> Result<Outcome<Registered>, Error> {
        let user_agent = self.user_agent.clone();
        let user = create(app, self).await?;
        info!(user.id = %user.id, "user {} registered", user.id);
        Ok(app.log_in(user.id, None, user_agent).await?.map(Registered))
    }
}

/// Checks the input and adds the account.
pub(super) async fn create(app: &App, wanted: Register) -> Result<User, Error> {
    let mut fields = Fields::default();
    let name = fields.check("username", Username::parse(&wanted.username));
    let email = fields.check("email", Email::parse(&wanted.email));
    let password = fields.check("password", Password::new(wanted.password));
    let shown = wanted.display_name.as_deref().map(display_name).transpose();
    let display_name = fields.check("displayName", shown);
    let (Some(name), Some(email), Some(password), Some(display_name)) = (name, email, password, display_name)
    else {
        return Err(fields.refused());
    };
    let new = NewUser {
        id: UserId::new(&*app.ids),
        name,
        email,
        display_name,
        password_hash: app.accounts.passwords.hash(password).await?,
        created_at: app.clock.now(),
    };
    let user = User {
        id: new.id,
        username: new.name.shown.clone(),
        email: new.email.shown.clone(),
        display_name: new.display_name.clone(),
        created_at: new.created_at,
        suspended: false,
        admin: false,
        settings: UserSettings::default(),
    };
    match app.stores.users.insert(new).await {
        Ok(()) => Ok(user),
        Err(InsertUserError::UsernameTaken) => Err(Error::UsernameTaken),
        Err(InsertUserError::EmailTaken) => Err(Error::EmailTaken),
        Err(InsertUserError::Store(error)) => Err(error.into()),
    }
}
