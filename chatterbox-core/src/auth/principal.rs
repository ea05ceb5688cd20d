use crate::clock::Timestamp;
use crate::ids::{SessionId, TokenId, UserId};

/// Who an access token speaks for. That its session still lives is another question: see
/// [`crate::app::sessions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user: UserId,
    /// The login it belongs to.
    pub session: SessionId,
    /// The token itself.
    pub token: TokenId,
    /// From then on it is worth nothing.
    pub expires_at: Timestamp,
}
