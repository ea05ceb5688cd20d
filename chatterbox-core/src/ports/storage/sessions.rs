use async_trait::async_trait;

use super::StoreError;
use crate::clock::Timestamp;
use crate::domain::session::Session;
use crate::ids::{SessionId, UserId};

/// The answer to an attempt to take a refresh family to its next generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// This call did it.
    Rotated,
    /// The family stands elsewhere, is revoked or gone: read it again.
    Lost,
}

/// Logins: one row per device, which is also the family of its refresh tokens (S-055). The row is the truth about
/// whether a session lives; nodes cache it for one second at most (S-054).
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Adds a session, durable when it returns. The same id again changes nothing.
    async fn insert(&self, session: &Session) -> Result<(), StoreError>;

    /// One session, revoked ones included.
    async fn get(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// Compare-and-set: if the session is at generation `from` and not revoked, it goes to `from + 1` with
    /// `rotated_at = now` and the new expiry. Of concurrent calls with the same `from` exactly one is `Rotated`.
    async fn rotate(
        &self,
        id: SessionId,
        from: u32,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError>;

    /// Ends one session; true if this call ended it, false if it was ended before or never existed. The first
    /// `revoked_at` stays.
    async fn revoke(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError>;

    /// Ends all living sessions of a user but `except`, and tells which these were.
    async fn revoke_all(
        &self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError>;

    /// Sessions of a user that are neither revoked nor expired at `now`, newest first.
    async fn of_user(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError>;

    /// At most `limit` of the sessions that were revoked at `since` or later, earliest first: what a node asks that may
    /// have missed a revocation by another (I8).
    async fn revoked_since(&self, since: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError>;

    /// Deletes at most `limit` rows that expired or were revoked before `before`; how many it deleted.
    async fn sweep(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;
}
