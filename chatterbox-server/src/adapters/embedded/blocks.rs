use async_trait::async_trait;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::ids::UserId;
use chatterbox_core::ports::storage::{Between, Block, BlockStore, Blocked, StoreError};
use rusqlite::{Connection, params};

use super::error::store_error;
use super::{EmbeddedStore, sql_limit};

pub(super) struct EmbeddedBlocks(EmbeddedStore);

impl EmbeddedBlocks {
    pub(super) fn new(store: &EmbeddedStore) -> EmbeddedBlocks {
        EmbeddedBlocks(store.clone())
    }

    /// Those of `others` for whom it is so.
    async fn among(
        &self,
        others: &[UserId],
        is_so: impl Fn(&Connection, UserId) -> rusqlite::Result<bool> + Send + 'static,
    ) -> Result<Vec<UserId>, StoreError> {
        let mut others = others.to_vec();
        others.sort_unstable();
        others.dedup();
        self.0
            .readers
            .read(move |connection| {
                let mut found = Vec::new();
                for other in others {
                    if is_so(connection, other).map_err(store_error)? {
                        found.push(other);
                    }
                }
                Ok(found)
            })
            .await
    }
}

fn blocks(connection: &Connection, user: UserId, other: UserId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM blocks WHERE user = ?1 AND blocked = ?2")?
        .exists(params![user.as_bytes(), other.as_bytes()])
}

fn block(
    connection: &Connection,
    user: UserId,
    other: UserId,
    now: Timestamp,
    blocks_max: u64,
) -> rusqlite::Result<Blocked> {
    if blocks(connection, user, other)? {
        return Ok(Blocked::Already);
    }
    let of_user: u32 = connection
        .prepare_cached("SELECT count(*) FROM blocks WHERE user = ?1")?
        .query_row([user.as_bytes()], |row| row.get(0))?;
    if u64::from(of_user) >= blocks_max {
        return Ok(Blocked::TooMany);
    }
    connection
        .prepare_cached("INSERT INTO blocks (user, blocked, since) VALUES (?1, ?2, ?3)")?
        .execute(params![user.as_bytes(), other.as_bytes(), now.as_millis()])?;
    Ok(Blocked::Now)
}

#[async_trait]
impl BlockStore for EmbeddedBlocks {
    async fn block(
        &self,
        user: UserId,
        other: UserId,
        now: Timestamp,
        blocks_max: u64,
    ) -> Result<Blocked, StoreError> {
        self.0
            .writer
            .write(move |writing| {
                block(&writing.connection, user, other, now, blocks_max).map_err(store_error)
            })
            .await
    }

    async fn unblock(&self, user: UserId, other: UserId) -> Result<bool, StoreError> {
        self.0
            .writer
            .write(move |writing| {
                let deleted = writing
                    .connection
                    .prepare_cached("DELETE FROM blocks WHERE user = ?1 AND blocked = ?2")
                    .and_then(|mut delete| delete.execute(params![user.as_bytes(), other.as_bytes()]))
                    .map_err(store_error)?;
                Ok(deleted == 1)
            })
            .await
    }

    async fn between(&self, first: UserId, second: UserId) -> Result<Between, StoreError> {
        self.0
            .readers
            .read(move |connection| {
                // One statement, so that both are seen at one moment.
                connection
                    .prepare_cached(
                        "SELECT EXISTS (SELECT 1 FROM blocks WHERE user = ?1 AND blocked = ?2),
                                EXISTS (SELECT 1 FROM blocks WHERE user = ?2 AND blocked = ?1)",
                    )
                    .and_then(|mut both| {
                        both.query_row(params![first.as_bytes(), second.as_bytes()], |row| {
                            Ok(Between {
                                first_blocks: row.get(0)?,
                                second_blocks: row.get(1)?,
                            })
                        })
                    })
                    .map_err(store_error)
            })
            .await
    }

    async fn blockers_of(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        self.among(others, move |connection, other| blocks(connection, other, user))
            .await
    }

    async fn blockers(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.0
            .readers
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT user FROM blocks WHERE blocked = ?1 LIMIT ?2")
                    .and_then(|mut found| {
                        found
                            .query_map(params![user.as_bytes(), sql_limit(limit)], |row| {
                                row.get(0).map(UserId::from_bytes)
                            })?
                            .collect()
                    })
                    .map_err(store_error)
            })
            .await
    }

    async fn blocked_by(&self, user: UserId, others: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        self.among(others, move |connection, other| blocks(connection, user, other))
            .await
    }

    async fn list(
        &self,
        user: UserId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Block>, StoreError> {
        // No id is empty, and every id is above the empty one.
        let after = after.map_or(Vec::new(), |id| id.as_bytes().to_vec());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.0
            .readers
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT blocked, since FROM blocks WHERE user = ?1 AND blocked > ?2
                         ORDER BY blocked LIMIT ?3",
                    )
                    .and_then(|mut page| {
                        page.query_map(params![user.as_bytes(), after, limit], |row| {
                            Ok(Block {
                                user: UserId::from_bytes(row.get(0)?),
                                since: Timestamp::from_millis(row.get(1)?),
                            })
                        })?
                        .collect()
                    })
                    .map_err(store_error)
            })
            .await
    }
}
