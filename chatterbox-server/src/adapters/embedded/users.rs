use async_trait::async_trait;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::user::{
    Credentials, LoginName, NewUser, PasswordHash, ProfileChange, User, UserSettings,
};
use chatterbox_core::domain::user_search::{UserQuery, search_keys};
use chatterbox_core::ids::UserId;
use chatterbox_core::ports::storage::{FoundAt, FoundUser, InsertUserError, StoreError, UserStore};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::EmbeddedStore;
use super::error::store_error;

const COLUMNS: &str = "id, username, email, display_name, created_at, suspended, admin, read_receipts, show_presence, \
                       email_search, password_hash";

/// The position of the password hash among [`COLUMNS`].
const PASSWORD_HASH: usize = 10;

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
        settings: UserSettings {
            read_receipts: row.get(7)?,
            show_presence: row.get(8)?,
            email_search: row.get(9)?,
        },
    })
}

fn by_id(connection: &Connection, id: UserId) -> rusqlite::Result<Option<User>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE id = ?1"))?
        .query_row([id.as_bytes()], user)
        .optional()
}

fn add_keys(
    connection: &Connection,
    id: UserId,
    username: &str,
    display_name: Option<&str>,
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO user_keys (key, user) VALUES (?1, ?2)")?;
    for key in search_keys(username, display_name) {
        insert.execute(params![key, id.as_bytes()])?;
    }
    Ok(())
}

/// Makes users of older schemas be found.
pub(super) fn add_missing_keys(connection: &Connection) -> rusqlite::Result<()> {
    let mut without = connection.prepare(
        "SELECT id, username, display_name FROM users
         WHERE NOT EXISTS (SELECT 1 FROM user_keys WHERE user = users.id)",
    )?;
    let mut rows = without.query([])?;
    while let Some(row) = rows.next()? {
        let (username, display_name): (String, Option<String>) = (row.get(1)?, row.get(2)?);
        let id = UserId::from_bytes(row.get(0)?);
        add_keys(connection, id, &username, display_name.as_deref())?;
    }
    Ok(())
}

fn change_profile(
    connection: &Connection,
    id: UserId,
    change: &ProfileChange,
) -> rusqlite::Result<Option<User>> {
    let Some(mut user) = by_id(connection, id)? else {
        return Ok(None);
    };
    change.apply_to(&mut user);
    connection
        .prepare_cached(
            "UPDATE users SET display_name = ?2, read_receipts = ?3, show_presence = ?4, email_search = ?5
             WHERE id = ?1",
        )?
        .execute(params![
            id.as_bytes(),
            user.display_name,
            user.settings.read_receipts,
            user.settings.show_presence,
            user.settings.email_search
        ])?;
    connection
        .prepare_cached("DELETE FROM user_keys WHERE user = ?1")?
        .execute([id.as_bytes()])?;
    add_keys(connection, id, &user.username, user.display_name.as_deref())?;
    Ok(Some(user))
}

/// The last character there is: no key is above a beginning followed by it.
const LAST_CHARACTER: char = '\u{10ffff}';

/// A range of the index; of several keys of one user the first counts.
fn search_statement() -> String {
    let columns = COLUMNS.split(", ").map(|column| format!("users.{column}"));
    let columns = columns.collect::<Vec<_>>().join(", ");
    format!(
        "SELECT {columns}, user_keys.key
         FROM user_keys CROSS JOIN users ON users.id = user_keys.user
         WHERE (user_keys.key, user_keys.user) > (:after_key, :after_user) AND user_keys.key < :end
           AND NOT EXISTS (SELECT 1 FROM user_keys AS earlier
                           WHERE earlier.user = user_keys.user AND earlier.key >= :query AND earlier.key < user_keys.key)
         ORDER BY user_keys.key, user_keys.user LIMIT :limit"
    )
}

fn search(
    connection: &Connection,
    query: &str,
    after: &FoundAt,
    limit: i64,
) -> rusqlite::Result<Vec<FoundUser>> {
    let mut page = connection.prepare_cached(&search_statement())?;
    let found = page.query_map(
        named_params! {
            ":query": query,
            ":end": format!("{query}{LAST_CHARACTER}"),
            ":after_key": after.key,
            ":after_user": after.user.as_bytes(),
            ":limit": limit,
        },
        |row| {
            let user = user(row)?;
            let key = row.get(PASSWORD_HASH + 1)?;
            Ok(FoundUser {
                at: FoundAt { key, user: user.id },
                user,
            })
        },
    )?;
    found.collect()
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
                    add_keys(&writing.connection, new.id, &new.name.shown, new.display_name.as_deref())?;
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
                                    password_hash: PasswordHash(row.get(PASSWORD_HASH)?),
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

    async fn change_profile(&self, id: UserId, change: &ProfileChange) -> Result<Option<User>, StoreError> {
        let change = change.clone();
        self.0
            .writer
            .write(move |writing| change_profile(&writing.connection, id, &change).map_err(store_error))
            .await
    }

    async fn search(
        &self,
        query: &UserQuery,
        after: Option<&FoundAt>,
        limit: usize,
    ) -> Result<Vec<FoundUser>, StoreError> {
        let query = query.as_str().to_owned();
        // No user has the least of all ids.
        let after = after.cloned().unwrap_or_else(|| FoundAt {
            key: query.clone(),
            user: UserId::from_bytes([0; 12]),
        });
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.0
            .readers
            .read(move |connection| search(connection, &query, &after, limit).map_err(store_error))
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

#[cfg(test)]
mod tests {
    use super::super::schema::MIGRATIONS;
    use super::*;

    #[test]
    fn s_059_a_search_reads_one_range_and_sorts_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        for migration in MIGRATIONS {
            connection.execute_batch(migration).unwrap();
        }
        let mut explain = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {}", search_statement()))
            .unwrap();
        let mut plan: Vec<String> = Vec::new();
        let mut steps = explain.raw_query();
        while let Some(step) = steps.next().unwrap() {
            plan.push(step.get(3).unwrap());
        }
        assert!(
            plan[0].starts_with("SEARCH user_keys USING PRIMARY KEY"),
            "{plan:#?}"
        );
        for step in &plan {
            assert!(
                !step.starts_with("SCAN") && !step.contains("TEMP B-TREE"),
                "{plan:#?}"
            );
        }
    }
}
