//! Accounts and the names people give themselves.

use std::fmt;

use crate::clock::Timestamp;
use crate::ids::UserId;

/// A username as shown, with the two forms in which it is unique (S-052, THREATS.md F1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    /// As the user wrote it, NFKC-normalised.
    pub shown: String,
    /// Case-folded: what one logs in with.
    pub key: String,
    /// Confusable skeleton (UTS 39) over both letter cases: equal for names that look alike.
    pub skeleton: String,
}

/// An email address as given, and the form in which it is unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// As the user wrote it.
    pub shown: String,
    /// Normalised.
    pub key: String,
}

/// A PHC or bcrypt string. Never shown, not even by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// An account about to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Made before the first attempt.
    pub id: UserId,
    /// Unique name.
    pub name: Username,
    /// Unique address.
    pub email: Email,
    /// Name to show beside the username.
    pub display_name: Option<String>,
    /// Hash of the password.
    pub password_hash: PasswordHash,
    /// When.
    pub created_at: Timestamp,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Id.
    pub id: UserId,
    /// Unique name, as shown.
    pub username: String,
    /// Address, as shown to the user alone.
    pub email: String,
    /// Name to show beside the username.
    pub display_name: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether an administrator has suspended it: no login, no session.
    pub suspended: bool,
    /// Whether it administrates the server.
    pub admin: bool,
}

/// What a login is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The account.
    pub user: User,
    /// Hash of its password.
    pub password_hash: PasswordHash,
}

/// What somebody logs in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginName {
    /// [`Username::key`].
    Username(String),
    /// [`Email::key`].
    Email(String),
}
