//! Why a call was refused or failed: one type, with the stable code that clients switch on.

use std::time::Duration;

use crate::ports::bus::BusError;
use crate::ports::presence::PresenceError;
use crate::ports::queue::QueueError;
use crate::ports::rate_limit::RateLimitError;
use crate::ports::storage::StoreError;

/// One input field and the rule it broke.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Name of the field as clients write it, for example `content`.
    pub field: String,
    /// The rule, for example `at most 4000 code points`.
    pub rule: String,
}

/// Why a call was refused or failed. The text is one clear sentence for the client, without internals.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Input that breaks a rule.
    #[error("{}", describe(.0))]
    Validation(Vec<FieldError>),
    /// An id that is not 24 hex digits.
    #[error("{0} is not an id of 24 hex digits")]
    InvalidId(&'static str),
    /// A refresh or one-time token that is unknown, used, expired or revoked.
    #[error("the token is not valid")]
    InvalidToken,
    /// A page cursor that we did not make for this list.
    #[error("the cursor does not belong to this list")]
    InvalidCursor,
    /// No access token, or one that is not ours or whose session has ended.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// An access token past its time.
    #[error("the access token has expired")]
    TokenExpired,
    /// The caller may see it but not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The caller is not a member of the room.
    #[error("join the room before writing to it")]
    NotAMember,
    /// One of the two blocks the other.
    #[error("one of you has blocked the other")]
    Blocked,
    /// A direct conversation ends for nobody; it can be hidden.
    #[error("a direct conversation can't be left, only hidden")]
    DirectCannotLeave,
    /// A group has exactly one owner: the role is handed over, not laid down.
    #[error("the owner stays the owner until the group is handed over")]
    LastOwner,
    /// The group has as many members as allowed.
    #[error("the group is full")]
    GroupFull,
    /// What the caller saw has changed since.
    #[error("it has changed since you read it")]
    Outdated,
    /// It would take too much to find out.
    #[error("at least two letters, and at most eight words")]
    QueryTooCostly,
    /// The account is suspended.
    #[error("the account is suspended")]
    AccountSuspended,
    /// There is no such thing, or the caller may not know that there is.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// It was there and is closed for good.
    #[error("{0}")]
    Gone(&'static str),
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(&'static str),
    /// A room of that name exists.
    #[error("a room of this name exists already")]
    DuplicateRoom,
    /// The username, or one that looks like it, is in use.
    #[error("the username is taken")]
    UsernameTaken,
    /// The address is in use.
    #[error("the email address is taken")]
    EmailTaken,
    /// The caller has as many as allowed.
    #[error("{0}")]
    QuotaExceeded(&'static str),
    /// Too often.
    #[error("too many requests, try again in {} ms", .retry_after.as_millis())]
    RateLimited {
        /// When it will be allowed, if nothing else is asked meanwhile.
        retry_after: Duration,
    },
    /// A part of the server can't answer now; the same call may succeed later.
    #[error("the server can't do this right now, try again later")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// A fault of the server.
    #[error("something went wrong on the server")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// One field that breaks a rule.
    pub fn invalid(field: impl Into<String>, rule: impl Into<String>) -> Error {
        Error::Validation(vec![FieldError {
            field: field.into(),
            rule: rule.into(),
        }])
    }

    /// Stable and documented (SPEC.md section 1); clients switch on it.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Validation(_) => "VALIDATION",
            Error::InvalidId(_) => "INVALID_ID",
            Error::InvalidToken => "INVALID_TOKEN",
            Error::InvalidCursor => "INVALID_CURSOR",
            Error::Unauthenticated(_) => "UNAUTHENTICATED",
            Error::TokenExpired => "TOKEN_EXPIRED",
            Error::Forbidden(_) => "FORBIDDEN",
            Error::NotAMember => "NOT_A_MEMBER",
            Error::Blocked => "BLOCKED",
            Error::DirectCannotLeave => "DIRECT_CANNOT_LEAVE",
            Error::LastOwner => "LAST_OWNER",
            Error::GroupFull => "GROUP_FULL",
            Error::Outdated => "PRECONDITION_FAILED",
            Error::QueryTooCostly => "QUERY_TOO_COSTLY",
            Error::AccountSuspended => "ACCOUNT_SUSPENDED",
            Error::NotFound(_) => "NOT_FOUND",
            Error::Gone(_) => "GONE",
            Error::Conflict(_) => "CONFLICT",
            Error::DuplicateRoom => "DUPLICATE_ROOM",
            Error::UsernameTaken => "USERNAME_TAKEN",
            Error::EmailTaken => "EMAIL_TAKEN",
            Error::QuotaExceeded(_) => "QUOTA_EXCEEDED",
            Error::RateLimited { .. } => "RATE_LIMITED",
            Error::Unavailable(_) => "UNAVAILABLE",
            Error::Internal(_) => "INTERNAL",
        }
    }

    /// Whether the fault lies with the server, so that its log should tell.
    pub fn is_fault(&self) -> bool {
        matches!(self, Error::Unavailable(_) | Error::Internal(_))
    }

    /// When to try again, for refusals that say so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::RateLimited { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}

fn describe(fields: &[FieldError]) -> String {
    let parts: Vec<String> = fields
        .iter()
        .map(|one| format!("{}: {}", one.field, one.rule))
        .collect();
    parts.join("; ")
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        match error {
            StoreError::Unavailable(_) | StoreError::Full => Error::Unavailable(Some(Box::new(error))),
            StoreError::Corrupt(_) => Error::Internal(Box::new(error)),
        }
    }
}

macro_rules! unavailable {
    ($($port:ty),*) => {$(
        impl From<$port> for Error {
            fn from(error: $port) -> Error {
                Error::Unavailable(Some(Box::new(error)))
            }
        }
    )*};
}

unavailable!(PresenceError, QueueError, RateLimitError, BusError);
