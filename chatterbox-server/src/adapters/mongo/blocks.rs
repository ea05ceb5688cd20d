//! Who blocks whom: one document per ordered pair. Each call is one round trip, blocking has two.

use async_trait::async_trait;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::ids::UserId;
use chatterbox_core::ports::storage::{Between, Block, BlockStore, Blocked, StoreError};
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, DateTime, doc};
use serde::{Deserialize, Serialize};

use super::error::{unless_duplicate, unsettled};
use super::ids::{self, Id as _, pair_key, pairs_behind, stamp, time};
use super::{Shared, slots};

#[derive(Serialize, Deserialize)]
struct BlockRow {
    #[serde(rename = "_id")]
    key: Binary,
    user: ObjectId,
    blocked: ObjectId,
    since: DateTime,
    /// Which of the user's blocks; see `slots`.
    slot: i64,
}

#[derive(Deserialize)]
struct SlotRow {
    slot: i64,
    blocked: ObjectId,
}

pub(super) struct MongoBlocks {
    shared: Shared,
    blocks: Collection<BlockRow>,
}

impl MongoBlocks {
    pub(super) fn new(shared: &Shared) -> MongoBlocks {
        MongoBlocks {
            blocks: shared.database.collection("blocks"),
            shared: shared.clone(),
        }
    }

    /// The pairs among these that are blocked.
    async fn among(
        &self,
        pairs: impl Iterator<Item = (UserId, UserId)>,
    ) -> Result<Vec<BlockRow>, StoreError> {
        let mut keys: Vec<Binary> = pairs.map(|(user, blocked)| pair_key(user, blocked)).collect();
        keys.dedup();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let all = ids::batch(keys.len());
        let find = self.blocks.find(doc! { "_id": { "$in": keys } }).batch_size(all);
        Ok(self.shared.gate.all(find).await?)
    }

    async fn taken(&self, user: UserId) -> Result<Vec<SlotRow>, StoreError> {
        let slots = self.blocks.clone_with_type::<SlotRow>();
        let find = slots
            .find(doc! { "user": user.oid() })
            .projection(doc! { "_id": 0, "slot": 1, "blocked": 1 });
        Ok(self.shared.gate.all(find).await?)
    }
}

#[async_trait]
impl BlockStore for MongoBlocks {
    async fn block(
        &self,
        user: UserId,
        other: UserId,
        now: Timestamp,
        blocks_max: u64,
    ) -> Result<Blocked, StoreError> {
        for _ in 0..slots::ATTEMPTS {
            let rows = self.taken(user).await?;
            if rows.iter().any(|row| row.blocked == other.oid()) {
                return Ok(Blocked::Already);
            }
            let taken: Vec<i64> = rows.iter().map(|row| row.slot).collect();
            let Some(slot) = slots::free(&taken, 0, blocks_max) else {
                return Ok(Blocked::TooMany);
            };
            let row = BlockRow {
                key: pair_key(user, other),
                user: user.oid(),
                blocked: other.oid(),
                since: stamp(now),
                slot,
            };
            let insert = self.blocks.insert_one(&row);
            if unless_duplicate(self.shared.gate.call(insert.into_future()).await)? {
                return Ok(Blocked::Now);
            }
        }
        Err(unsettled())
    }

    async fn unblock(&self, user: UserId, other: UserId) -> Result<bool, StoreError> {
        let delete = self.blocks.delete_one(doc! { "_id": pair_key(user, other) });
        let deleted = self.shared.gate.call(delete.into_future()).await?;
        Ok(deleted.deleted_count == 1)
    }

    async fn between(&self, first: UserId, second: UserId) -> Result<Between, StoreError> {
        let rows = self.among([(first, second), (second, first)].into_iter()).await?;
        let blocks = |user: UserId, other: UserId| {
            rows.iter()
                .any(|row| row.user == user.oid() && row.blocked == other.oid())
        };
        Ok(Between {
            first_blocks: blocks(first, second),
            second_blocks: blocks(second, first),
        })
    }

    async fn blockers_of(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        let rows = self.among(others.iter().map(|other| (*other, user))).await?;
        Ok(rows.iter().map(|row| UserId::from_oid(row.user)).collect())
    }

    async fn blockers(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let find = self
            .blocks
            .find(doc! { "blocked": user.oid() })
            .limit(ids::limit(limit))
            .batch_size(ids::batch(limit));
        let rows = self.shared.gate.all(find).await?;
        Ok(rows.iter().map(|row| UserId::from_oid(row.user)).collect())
    }

    async fn blocked_by(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        let rows = self.among(others.iter().map(|other| (user, *other))).await?;
        Ok(rows.iter().map(|row| UserId::from_oid(row.blocked)).collect())
    }

    async fn list(
        &self,
        user: UserId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Block>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let find = self
            .blocks
            .find(doc! { "_id": pairs_behind(user, after.map(UserId::oid)) })
            .sort(doc! { "_id": 1 })
            .limit(ids::limit(limit))
            .batch_size(ids::batch(limit));
        let rows = self.shared.gate.all(find).await?;
        let block = |row: BlockRow| Block {
            user: UserId::from_oid(row.blocked),
            since: time(row.since),
        };
        Ok(rows.into_iter().map(block).collect())
    }
}
