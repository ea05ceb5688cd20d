use std::time::Duration;

use async_trait::async_trait;
use chatterbox_core::app::jobs::Job;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::ids::JobId;
use chatterbox_core::ports::queue::{Buried, Claimed, DeadLetters, Queue, QueueError, UNKNOWN_PAUSE};
use chatterbox_core::ports::storage::StoreError;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::EmbeddedStore;
use super::error::store_error;

pub(super) struct EmbeddedQueue(EmbeddedStore);

impl EmbeddedQueue {
    pub(super) fn new(store: &EmbeddedStore) -> EmbeddedQueue {
        EmbeddedQueue(store.clone())
    }

    /// Whether there was anything to change.
    async fn change(
        &self,
        statement: &'static str,
        values: impl rusqlite::Params + Send + 'static,
    ) -> Result<bool, QueueError> {
        self.0
            .writer
            .write(move |writing| {
                writing
                    .connection
                    .prepare_cached(statement)
                    .and_then(|mut statement| statement.execute(values))
                    .map(|changed| changed > 0)
                    .map_err(store_error)
            })
            .await
            .map_err(queue_error)
    }
}

fn queue_error(error: StoreError) -> QueueError {
    QueueError(Box::new(error))
}

const BURY: &str = "UPDATE jobs SET buried_at = ?2, reason = ?3,
        burial = (SELECT coalesce(max(burial), 0) + 1 FROM jobs WHERE burial IS NOT NULL)
    WHERE id = ?1 AND burial IS NULL";

const PUT_OFF: &str = "UPDATE jobs SET due = ?2 WHERE id = ?1 AND burial IS NULL";

fn read_buried(row: &Row<'_>) -> rusqlite::Result<Buried> {
    let stored: String = row.get(1)?;
    Ok(Buried {
        id: JobId::from_bytes(row.get(0)?),
        kind: Job::kind_of(&stored),
        attempts: row.get(2)?,
        reason: row.get(3)?,
        at: Timestamp::from_millis(row.get(4)?),
    })
}

/// A job that may start: its id, its text, and which attempt comes next.
type Ready = ([u8; 12], String, u32);

fn read_ready(row: &Row<'_>) -> rusqlite::Result<Ready> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn ready(connection: &Connection, now: Timestamp, limit: i64) -> rusqlite::Result<Vec<Ready>> {
    connection
        .prepare_cached(
            "SELECT id, job, attempts + 1 FROM jobs WHERE burial IS NULL AND due <= ?1
             ORDER BY due, arrival LIMIT ?2",
        )?
        .query_map(params![now.as_millis(), limit], read_ready)?
        .collect()
}

fn ready_among(connection: &Connection, now: Timestamp, ids: &[JobId]) -> rusqlite::Result<Vec<Ready>> {
    let mut look = connection.prepare_cached(
        "SELECT id, job, attempts + 1 FROM jobs WHERE id = ?1 AND burial IS NULL AND due <= ?2",
    )?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(
            look.query_row(params![id.as_bytes(), now.as_millis()], read_ready)
                .optional()?,
        );
    }
    Ok(found)
}

fn claim(
    connection: &Connection,
    now: Timestamp,
    lease: Duration,
    ready: Vec<Ready>,
) -> rusqlite::Result<Vec<Claimed>> {
    let mut claimed = Vec::with_capacity(ready.len());
    for (id, job, attempt) in ready {
        let Ok(job) = serde_json::from_str(&job) else {
            // The version that left it here comes back.
            connection
                .prepare_cached("UPDATE jobs SET due = ?2 WHERE id = ?1")?
                .execute(params![id, now.plus(UNKNOWN_PAUSE).as_millis()])?;
            continue;
        };
        connection
            .prepare_cached("UPDATE jobs SET due = ?2, attempts = ?3 WHERE id = ?1")?
            .execute(params![id, now.plus(lease).as_millis(), attempt])?;
        claimed.push(Claimed {
            id: JobId::from_bytes(id),
            job,
            attempt,
        });
    }
    Ok(claimed)
}

#[async_trait]
impl Queue for EmbeddedQueue {
    async fn push(&self, id: JobId, job: &Job, not_before: Timestamp) -> Result<(), QueueError> {
        let job = serde_json::to_string(job).map_err(|error| QueueError(Box::new(error)))?;
        self.change(
            "INSERT INTO jobs (id, job, due) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
            (*id.as_bytes(), job, not_before.as_millis()),
        )
        .await
        .map(drop)
    }

    async fn claim(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<Claimed>, QueueError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // Workers ask all the time and mostly in vain: that shall not disturb the writer.
        let any = self
            .0
            .readers
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT 1 FROM jobs WHERE burial IS NULL AND due <= ?1 LIMIT 1")
                    .and_then(|mut due| due.exists([now.as_millis()]))
                    .map_err(store_error)
            })
            .await
            .map_err(queue_error)?;
        if !any {
            return Ok(Vec::new());
        }
        self.0
            .writer
            .write(move |writing| {
                ready(&writing.connection, now, limit)
                    .and_then(|ready| claim(&writing.connection, now, lease, ready))
                    .map_err(store_error)
            })
            .await
            .map_err(queue_error)
    }

    async fn claim_these(
        &self,
        ids: &[JobId],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Claimed>, QueueError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids = ids.to_vec();
        self.0
            .writer
            .write(move |writing| {
                ready_among(&writing.connection, now, &ids)
                    .and_then(|ready| claim(&writing.connection, now, lease, ready))
                    .map_err(store_error)
            })
            .await
            .map_err(queue_error)
    }

    async fn renew(&self, id: JobId, until: Timestamp) -> Result<(), QueueError> {
        self.change(PUT_OFF, (*id.as_bytes(), until.as_millis()))
            .await
            .map(drop)
    }

    async fn done(&self, id: JobId) -> Result<(), QueueError> {
        self.change(
            "DELETE FROM jobs WHERE id = ?1 AND burial IS NULL",
            [*id.as_bytes()],
        )
        .await
        .map(drop)
    }

    async fn retry(&self, id: JobId, not_before: Timestamp) -> Result<(), QueueError> {
        self.change(PUT_OFF, (*id.as_bytes(), not_before.as_millis()))
            .await
            .map(drop)
    }

    async fn bury(&self, id: JobId, reason: &str, now: Timestamp) -> Result<(), QueueError> {
        self.change(BURY, (*id.as_bytes(), now.as_millis(), reason.to_owned()))
            .await
            .map(drop)
    }
}

#[async_trait]
impl DeadLetters for EmbeddedQueue {
    async fn buried(&self, limit: usize) -> Result<Vec<Buried>, QueueError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.0
            .readers
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT id, job, attempts, reason, buried_at FROM jobs WHERE burial IS NOT NULL
                         ORDER BY burial DESC LIMIT ?1",
                    )
                    .and_then(|mut buried| buried.query_map([limit], read_buried)?.collect())
                    .map_err(store_error)
            })
            .await
            .map_err(queue_error)
    }

    async fn revive(&self, id: JobId, not_before: Timestamp) -> Result<bool, QueueError> {
        self.change(
            "UPDATE jobs SET due = ?2, attempts = 0, burial = NULL, buried_at = NULL, reason = NULL
             WHERE id = ?1 AND burial IS NOT NULL",
            (*id.as_bytes(), not_before.as_millis()),
        )
        .await
    }

    async fn discard(&self, id: JobId) -> Result<bool, QueueError> {
        self.change(
            "DELETE FROM jobs WHERE id = ?1 AND burial IS NOT NULL",
            [*id.as_bytes()],
        )
        .await
    }
}
