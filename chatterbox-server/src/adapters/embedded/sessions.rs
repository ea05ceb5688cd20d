use async_trait::async_trait;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::session::Session;
use chatterbox_core::ids::{SessionId, UserId};
use chatterbox_core::ports::storage::{Rotation, SessionStore, StoreError};
use rusqlite::{OptionalExtension as _, Row, named_params, params};

use super::EmbeddedStore;
use super::error::store_error;

const COLUMNS: &str =
    "id, user, salt, generation, rotated_at, created_at, expires_at, revoked_at, user_agent";

pub(super) struct EmbeddedSessions(EmbeddedStore);

impl EmbeddedSessions {
    pub(super) fn new(store: &EmbeddedStore) -> EmbeddedSessions {
        EmbeddedSessions(store.clone())
    }

    /// Runs one statement; how many rows it changed.
    async fn change(
        &self,
        statement: &'static str,
        values: impl rusqlite::Params + Send + 'static,
    ) -> Result<usize, StoreError> {
        self.0
            .writer
            .write(move |writing| {
                writing
                    .connection
                    .prepare_cached(statement)
                    .and_then(|mut statement| statement.execute(values))
                    .map_err(store_error)
            })
            .await
    }
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: SessionId::from_bytes(row.get(0)?),
        user: UserId::from_bytes(row.get(1)?),
        salt: row.get(2)?,
        generation: row.get(3)?,
        rotated_at: Timestamp::from_millis(row.get(4)?),
        created_at: Timestamp::from_millis(row.get(5)?),
        expires_at: Timestamp::from_millis(row.get(6)?),
        revoked_at: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis),
        user_agent: row.get(8)?,
    })
}

#[async_trait]
impl SessionStore for EmbeddedSessions {
    async fn insert(&self, session: &Session) -> Result<(), StoreError> {
        let session = session.clone();
        self.0
            .writer
            .write(move |writing| {
                writing
                    .connection
                    .prepare_cached(&format!(
                        "INSERT INTO sessions ({COLUMNS})
                         VALUES (:id, :user, :salt, :generation, :rotated_at, :created_at, :expires_at, :revoked_at,
                                 :user_agent)
                         ON CONFLICT (id) DO NOTHING"
                    ))
                    .and_then(|mut insert| {
                        insert.execute(named_params! {
                            ":id": session.id.as_bytes(),
                            ":user": session.user.as_bytes(),
                            ":salt": session.salt,
                            ":generation": session.generation,
                            ":rotated_at": session.rotated_at.as_millis(),
                            ":created_at": session.created_at.as_millis(),
                            ":expires_at": session.expires_at.as_millis(),
                            ":revoked_at": session.revoked_at.map(Timestamp::as_millis),
                            ":user_agent": session.user_agent,
                        })
                    })
                    .map(drop)
                    .map_err(store_error)
            })
            .await
    }

    async fn get(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.0
            .readers
            .read(move |connection| {
                connection
                    .prepare_cached(&format!("SELECT {COLUMNS} FROM sessions WHERE id = ?1"))
                    .and_then(|mut by_id| by_id.query_row([id.as_bytes()], session).optional())
                    .map_err(store_error)
            })
            .await
    }

    async fn rotate(
        &self,
        id: SessionId,
        from: u32,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let Some(next) = from.checked_add(1) else {
            return Ok(Rotation::Lost);
        };
        let changed = self
            .change(
                "UPDATE sessions SET generation = ?3, rotated_at = ?4, expires_at = ?5
                 WHERE id = ?1 AND generation = ?2 AND revoked_at IS NULL",
                (
                    *id.as_bytes(),
                    from,
                    next,
                    now.as_millis(),
                    expires_at.as_millis(),
                ),
            )
            .await?;
        Ok(if changed == 1 {
            Rotation::Rotated
        } else {
            Rotation::Lost
        })
    }

    async fn revoke(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self
            .change(
                "UPDATE sessions SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
                (*id.as_bytes(), now.as_millis()),
            )
            .await?;
        Ok(changed == 1)
    }

    async fn revoke_all(
        &self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.0
            .writer
            .write(move |writing| {
                writing
                    .connection
                    .prepare_cached(
                        "UPDATE sessions SET revoked_at = ?3
                         WHERE user = ?1 AND revoked_at IS NULL AND expires_at > ?3 AND id IS NOT ?2
                         RETURNING id",
                    )
                    .and_then(|mut update| {
                        let except = except.map(|id| *id.as_bytes());
                        update
                            .query_map(params![user.as_bytes(), except, now.as_millis()], |row| {
                                row.get(0).map(SessionId::from_bytes)
                            })?
                            .collect()
                    })
                    .map_err(store_error)
            })
            .await
    }

    async fn of_user(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        self.0
            .readers
            .read(move |connection| {
                connection
                    .prepare_cached(&format!(
                        "SELECT {COLUMNS} FROM sessions WHERE user = ?1 AND revoked_at IS NULL AND expires_at > ?2
                         ORDER BY created_at DESC, id DESC"
                    ))
                    .and_then(|mut living| {
                        living
                            .query_map(params![user.as_bytes(), now.as_millis()], session)?
                            .collect()
                    })
                    .map_err(store_error)
            })
            .await
    }

    async fn revoked_since(&self, since: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.0
            .readers
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT id FROM sessions WHERE revoked_at >= ?1 ORDER BY revoked_at, id LIMIT ?2",
                    )
                    .and_then(|mut revoked| {
                        revoked
                            .query_map(params![since.as_millis(), limit], |row| {
                                row.get(0).map(SessionId::from_bytes)
                            })?
                            .collect()
                    })
                    .map_err(store_error)
            })
            .await
    }

    async fn sweep(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.change(
            "DELETE FROM sessions WHERE id IN
                (SELECT id FROM sessions WHERE expires_at < ?1 OR revoked_at < ?1 LIMIT ?2)",
            (before.as_millis(), i64::try_from(limit).unwrap_or(i64::MAX)),
        )
        .await
    }
}
