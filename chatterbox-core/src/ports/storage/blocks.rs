use async_trait::async_trait;

use super::StoreError;
use crate::clock::Timestamp;
use crate::ids::UserId;

/// The answer to a wish to block somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// This call did it.
    Now,
    /// It was so before; the first stamp stays.
    Already,
    /// The user blocks as many as allowed; nothing was changed.
    TooMany,
}

/// Which of two users blocks the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Between {
    /// The first named blocks the second.
    pub first_blocks: bool,
    /// The second named blocks the first.
    pub second_blocks: bool,
}

impl Between {
    /// Whether there is a block at all: it holds in both directions for direct chats, typing and presence (S-135).
    pub fn any(self) -> bool {
        self.first_blocks || self.second_blocks
    }
}

/// Somebody whom a user blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Who is blocked.
    pub user: UserId,
    /// Since when.
    pub since: Timestamp,
}

/// Who blocks whom (S-135): one row per ordered pair. Whether the users exist is not this port's affair.
#[async_trait]
pub trait BlockStore: Send + Sync {
    /// `user` blocks `other`, durable when it returns. Of concurrent calls for one pair exactly one is
    /// [`Blocked::Now`]; together they never take the user above `blocks_max` blocks.
    async fn block(
        &self,
        user: UserId,
        other: UserId,
        now: Timestamp,
        blocks_max: u64,
    ) -> Result<Blocked, StoreError>;

    /// `user` blocks `other` no longer; whether this call ended it.
    async fn unblock(&self, user: UserId, other: UserId) -> Result<bool, StoreError>;

    /// Which of the two blocks the other, both directions from one moment.
    async fn between(&self, first: UserId, second: UserId) -> Result<Between, StoreError>;

    /// Those among `others` (at most 1,000) who block `user`, each once, in any order.
    async fn blockers_of(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError>;

    /// Those who block `user`, in any order, at most `limit` (to 10,001).
    async fn blockers(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError>;

    /// Those among `others` (at most 1,000) whom `user` blocks, each once, in any order.
    async fn blocked_by(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError>;

    /// Whom `user` blocks, in order of id, at most `limit` of those above `after`.
    async fn list(&self, user: UserId, after: Option<UserId>, limit: usize)
    -> Result<Vec<Block>, StoreError>;
}
