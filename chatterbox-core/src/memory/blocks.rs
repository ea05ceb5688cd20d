use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;

use async_trait::async_trait;

use super::lock;
use crate::clock::Timestamp;
use crate::ids::UserId;
use crate::ports::storage::{Between, Block, BlockStore, Blocked, StoreError};

/// Blocks in memory.
#[derive(Debug)]
pub struct MemoryBlocks {
    entries: usize,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    by_user: BTreeMap<UserId, BTreeMap<UserId, Timestamp>>,
    total: usize,
}

impl Rows {
    fn blocks(&self, user: UserId, other: UserId) -> bool {
        self.by_user
            .get(&user)
            .is_some_and(|blocked| blocked.contains_key(&other))
    }
}

impl MemoryBlocks {
    /// At most `entries` blocks, of all users together.
    pub fn new(entries: usize) -> MemoryBlocks {
        MemoryBlocks {
            entries,
            rows: Mutex::default(),
        }
    }

    fn among(&self, others: &[UserId], is_so: impl Fn(&Rows, UserId) -> bool) -> Vec<UserId> {
        let rows = lock(&self.rows);
        let mut found = others.to_vec();
        found.sort_unstable();
        found.dedup();
        found.retain(|other| is_so(&rows, *other));
        found
    }
}

#[async_trait]
impl BlockStore for MemoryBlocks {
    async fn block(
        &self,
        user: UserId,
        other: UserId,
        now: Timestamp,
        blocks_max: u64,
    ) -> Result<Blocked, StoreError> {
        let mut rows = lock(&self.rows);
        if rows.blocks(user, other) {
            return Ok(Blocked::Already);
        }
        let of_user = rows.by_user.get(&user).map_or(0, BTreeMap::len);
        if of_user as u64 >= blocks_max {
            return Ok(Blocked::TooMany);
        }
        if rows.total >= self.entries {
            return Err(StoreError::Full);
        }
        rows.total += 1;
        rows.by_user.entry(user).or_default().insert(other, now);
        Ok(Blocked::Now)
    }

    async fn unblock(&self, user: UserId, other: UserId) -> Result<bool, StoreError> {
        let mut rows = lock(&self.rows);
        let Some(blocked) = rows.by_user.get_mut(&user) else {
            return Ok(false);
        };
        let ended = blocked.remove(&other).is_some();
        if blocked.is_empty() {
            rows.by_user.remove(&user);
        }
        rows.total -= usize::from(ended);
        Ok(ended)
    }

    async fn between(&self, first: UserId, second: UserId) -> Result<Between, StoreError> {
        let rows = lock(&self.rows);
        Ok(Between {
            first_blocks: rows.blocks(first, second),
            second_blocks: rows.blocks(second, first),
        })
    }

    async fn blockers_of(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        Ok(self.among(others, |rows, other| rows.blocks(other, user)))
    }

    async fn blockers(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        let rows = lock(&self.rows);
        let blockers = rows.by_user.keys().filter(|other| rows.blocks(**other, user));
        Ok(blockers.take(limit).copied().collect())
    }

    async fn blocked_by(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        Ok(self.among(others, |rows, other| rows.blocks(user, other)))
    }

    async fn list(
        &self,
        user: UserId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Block>, StoreError> {
        let above = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = lock(&self.rows);
        let blocked = rows.by_user.get(&user).into_iter();
        Ok(blocked
            .flat_map(|blocked| blocked.range((above, Bound::Unbounded)))
            .take(limit)
            .map(|(user, since)| Block {
                user: *user,
                since: *since,
            })
            .collect())
    }
}
