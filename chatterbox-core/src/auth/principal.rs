use crate::clock::Timestamp;
use crate::ids::{SessionId, TokenId, UserId};

/// Whom an access token speaks for. Whether its session still lives is another question, answered by
/// [`LiveSessions`](crate::app::accounts::LiveSessions).
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
