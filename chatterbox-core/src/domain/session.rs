//! Logins.

use std::fmt;

use crate::clock::Timestamp;
use crate::ids::{SessionId, UserId};

/// A login of one device, which is also the family of its refresh tokens (S-055).
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Id of the session and of the family.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// Random; with the refresh key it makes the secret of every generation.
    pub salt: [u8; 32],
    /// The generation whose token is current.
    pub generation: u32,
    /// When the current generation was made.
    pub rotated_at: Timestamp,
    /// When the login happened.
    pub created_at: Timestamp,
    /// When the current refresh token ends.
    pub expires_at: Timestamp,
    /// When the session was ended, if it was.
    pub revoked_at: Option<Timestamp>,
    /// `User-Agent` of the login, cut to 200 characters.
    pub user_agent: Option<String>,
}

impl Session {
    /// Whether it is neither revoked nor expired.
    pub fn lives_at(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("user", &self.user)
            .field("generation", &self.generation)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}
