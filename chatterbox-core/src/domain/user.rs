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
    /// What the user wants others to see and find.
    pub settings: UserSettings,
}

/// What a user wants others to see and find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserSettings {
    /// Others see how far the user has read, and the user how far they have (S-108).
    pub read_receipts: bool,
    /// Others see whether the user is online; else the user looks offline (S-061).
    pub show_presence: bool,
    /// Who knows the user's address finds the user by it (S-059).
    pub email_search: bool,
}

impl Default for UserSettings {
    /// Seen by those who share a conversation; not found by address.
    fn default() -> UserSettings {
        UserSettings {
            read_receipts: true,
            show_presence: true,
            email_search: false,
        }
    }
}

/// What becomes of the name shown beside a username.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NameChange {
    /// It stays.
    #[default]
    Keep,
    /// There is none any more.
    Remove,
    /// It is this one.
    Set(String),
}

/// A change of a profile; what it doesn't name stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileChange {
    /// The name shown beside the username.
    pub display_name: NameChange,
    /// [`UserSettings::read_receipts`].
    pub read_receipts: Option<bool>,
    /// [`UserSettings::show_presence`].
    pub show_presence: Option<bool>,
    /// [`UserSettings::email_search`].
    pub email_search: Option<bool>,
}

impl ProfileChange {
    /// The account with the change made.
    pub fn apply_to(&self, user: &mut User) {
        match &self.display_name {
            NameChange::Keep => {}
            NameChange::Remove => user.display_name = None,
            NameChange::Set(name) => user.display_name = Some(name.clone()),
        }
        let set = |setting: &mut bool, wanted: Option<bool>| *setting = wanted.unwrap_or(*setting);
        set(&mut user.settings.read_receipts, self.read_receipts);
        set(&mut user.settings.show_presence, self.show_presence);
        set(&mut user.settings.email_search, self.email_search);
    }
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
