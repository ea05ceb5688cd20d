use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::domain::user::{Credentials, LoginName, NewUser, ProfileChange, User};
use crate::domain::user_search::UserQuery;
use crate::ids::UserId;

/// Why an account was not created. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum InsertUserError {
    /// Another account has this name, or one that looks like it.
    #[error("the username is taken")]
    UsernameTaken,
    /// Another account has this address.
    #[error("the email address is taken")]
    EmailTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where somebody stands among those whom a query finds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FoundAt {
    /// The first of the user's keys that begins with the query.
    pub key: String,
    /// Who.
    pub user: UserId,
}

/// Somebody whom a query finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundUser {
    /// Where; the next page begins behind it.
    pub at: FoundAt,
    /// Who.
    pub user: User,
}

/// Accounts.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Adds an account, durable when it returns. Atomic against concurrent inserts: of any that share a
    /// `name.key`, a `name.skeleton` or an `email.key`, exactly one wins (S-052). When both the name and the address
    /// are taken the answer is `UsernameTaken`. The same id again changes nothing and succeeds: the answer to the
    /// first attempt may have been lost.
    async fn insert(&self, user: NewUser) -> Result<(), InsertUserError>;

    /// One account by id.
    async fn get(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The accounts that exist among `ids` (at most 1,000), in any order.
    async fn get_many(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError>;

    /// The account and password hash behind a username key or an email key.
    async fn credentials(&self, login: &LoginName) -> Result<Option<Credentials>, StoreError>;

    /// Replaces the password hash if it still is `old`; false if it is not (or the account is gone).
    async fn replace_password_hash(&self, id: UserId, old: &str, new: &str) -> Result<bool, StoreError>;

    /// Suspends the account or lifts the suspension; false if there is no such account.
    async fn set_suspended(&self, id: UserId, suspended: bool) -> Result<bool, StoreError>;

    /// Gives or takes the right to administrate the server; false if there is no such account.
    async fn set_admin(&self, id: UserId, admin: bool) -> Result<bool, StoreError>;

    /// Changes what the change names and nothing else, in one step, durable when it returns: the account as it is now,
    /// `None` if there is no such account. Of concurrent changes each takes effect whole.
    async fn change_profile(&self, id: UserId, change: &ProfileChange) -> Result<Option<User>, StoreError>;

    /// The users one of whose [`search_keys`](crate::domain::user_search::search_keys) begins with the query, each
    /// once, in order of [`FoundAt`], at most `limit` of those behind `after`. Keys are compared byte by byte. What it
    /// costs depends on the page, not on how many users there are or are found.
    async fn search(
        &self,
        query: &UserQuery,
        after: Option<&FoundAt>,
        limit: usize,
    ) -> Result<Vec<FoundUser>, StoreError>;

    /// Accounts in order of id, at most `limit` of those above `after`; for administration.
    async fn list(&self, after: Option<UserId>, limit: usize) -> Result<Vec<User>, StoreError>;
}
