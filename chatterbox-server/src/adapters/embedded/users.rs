use async_trait::async_trait;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::user::{Credentials, LoginName, NewUser, PasswordHash, User};
use chatterbox_core::ids::UserId;
use chatterbox_core::ports::storage::{InsertUserError, StoreError, UserStore};
use rusqlite::{OptionalExtension as _, Row, named_params, params};

use super::EmbeddedStore;
use super::error::store_error;

const COLUMNS: &str = "id, username, email, display_name, created_at, suspended, admin, password_hash";

pub(super) struct EmbeddedUsers(EmbeddedStore);

enum Inserted {
    Yes,
    NameTaken,
    EmailTaken,
}

impl EmbeddedUsers {
    pub(super) fn new(store: &EmbeddedStore) -> EmbeddedUsers {
        EmbeddedUsers(store.clone())
    }

    /// Sets one column of one account.
    async fn set(&self, id: UserId, statement: &'static str, value: bool) -> Result<bool, StoreError> {
        self.0
            .writer
            .write(move |writing| {
                let mut update = writing
                    .connection
                    .prepare_cached(statement)
                    .map_err(store_error)?;
                let changed = update
                    .execute(params![id.as_bytes(), value])
                    .map_err(store_error)?;
                Ok(changed == 1)
            })
            .await
    }
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId::from_bytes(row.get(0)?),
        username: row.get(1)?,
        email: row.get(2)?,
        display_name: row.get(3)?,
        created_at: Timestamp::from_millis(row.get(4)?),
        suspended: row.get(5)?,
        admin: row.get(6)?,
    })
}

#[async_trait]
impl UserStore for EmbeddedUsers {
    async fn insert(&self, new: NewUser) -> Result<(), InsertUserError> {
        let inserted = self
            .0
            .writer
            .write(move |writing| {
                let exists = |condition: &str, values: &[&str]| -> rusqlite::Result<bool> {
                    writing
                        .connection
                        .prepare_cached(&format!("SELECT 1 FROM users WHERE {condition}"))?
                        .exists(rusqlite::params_from_iter(values))
                };
                let insert = || -> rusqlite::Result<Inserted> {
                    let mut same = writing
                        .connection
                        .prepare_cached("SELECT 1 FROM users WHERE id = ?1")?;
                    if same.exists([new.id.as_bytes()])? {
                        return Ok(Inserted::Yes);
                    }
                    if exists("name_key = ?1", &[&new.name.key])? || exists("skeleton = ?1", &[&new.name.skeleton])? {
                        return Ok(Inserted::NameTaken);
                    }
                    if exists("email_key = ?1", &[&new.email.key])? {
                        return Ok(Inserted::EmailTaken);
                    }
                    writing
                        .connection
                        .prepare_cached(
                            "INSERT INTO users (id, username, name_key, skeleton, email, email_key, display_name,
                                                password_hash, created_at)
                             VALUES (:id, :username, :name_key, :skeleton, :email, :email_key, :display_name,
                                     :password_hash, :created_at)",
                        )?
                        .execute(named_params! {
                            ":id": new.id.as_bytes(),
                            ":username": new.name.shown,
                            ":name_key": new.name.key,
                            ":skeleton": new.name.skeleton,
                            ":email": new.email.shown,
                            ":email_key": new.email.key,
                            ":display_name": new.display_name,
                            ":password_hash": new.password_hash.0,
                            ":created_at": new.created_at.as_millis(),
                        })?;
                    Ok(Inserted::Yes)
                };
                insert().map_err(store_error)
            })
            .await?;
        match inserted {
            Inserted::Yes => Ok(()),
            Inserted::NameTaken => Err(InsertUserError::UsernameTaken),
            Inserted::EmailTaken => Err(InsertUserError::EmailTaken),
        }
    }

    async fn get(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.get_many(&[id]).await?.pop())
    }

    async fn get_many(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        self.0
            .readers
            .read(move |connection| {
                let find = || -> rusqlite::Result<Vec<User>> {
                    let mut by_id =
                        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE id = ?1"))?;
                    let mut found = Vec::with_capacity(ids.len());
                    for id in &ids {
                        found.extend(by_id.query_row([id.as_bytes()], user).optional()?);
                    }
                    Ok(found)
                };
                find().map_err(store_error)
            })
            .await
    }

    async fn credentials(&self, login: &LoginName) -> Result<Option<Credentials>, StoreError> {
        let (column, key) = match login {
            LoginName::Username(key) => ("name_key", key.clone()),
            LoginName::Email(key) => ("email_key", key.clone()),
        };
        self.0
            .readers
            .read(move |connection| {
                connection
                    .prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE {column} = ?1"))
                    .and_then(|mut by_key| {
                        by_key
                            .query_row([key], |row| {
                                Ok(Credentials {
                                    user: user(row)?,
                                    password_hash: PasswordHash(row.get(7)?),
                                })
                            })
                            .optional()
                    })
                    .map_err(store_error)
            })
            .await
    }

    async fn replace_password_hash(&self, id: UserId, old: &str, new: &str) -> Result<bool, StoreError> {
        let (old, new) = (old.to_owned(), new.to_owned());
        self.0
            .writer
            .write(move |writing| {
                let changed = writing
                    .connection
                    .prepare_cached(
                        "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2",
                    )
                    .and_then(|mut update| update.execute(params![id.as_bytes(), old, new]))
                    .map_err(store_error)?;
                Ok(changed == 1)
            })
            .await
    }

    async fn set_suspended(&self, id: UserId, suspended: bool) -> Result<bool, StoreError> {
        self.set(id, "UPDATE users SET suspended = ?2 WHERE id = ?1", suspended)
            .await
    }

    async fn set_admin(&self, id: UserId, admin: bool) -> Result<bool, StoreError> {
        self.set(id, "UPDATE users SET admin = ?2 WHERE id = ?1", admin)
            .await
    }

    async fn list(&self, after: Option<UserId>, limit: usize) -> Result<Vec<User>, StoreError> {
        // No id is empty, and every id is above the empty one.
        let after = after.map_or(Vec::new(), |id| id.as_bytes().to_vec());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.0
            .readers
            .read(move |connection| {
                connection
                    .prepare_cached(&format!(
                        "SELECT {COLUMNS} FROM users WHERE id > ?1 ORDER BY id LIMIT ?2"
                    ))
                    .and_then(|mut page| page.query_map(params![after, limit], user)?.collect())
                    .map_err(store_error)
            })
            .await
    }
}
