//! Opening the file: its settings, its schema, and the copy kept before the schema changes.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::users;

/// What took the schema from nothing to its newest version, one file a version. A file that was released never changes.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_blocks.sql"),
    include_str!("migrations/0003_journal.sql"),
    include_str!("migrations/0004_conversations.sql"),
    include_str!("migrations/0005_profiles.sql"),
    include_str!("migrations/0006_invites.sql"),
    include_str!("migrations/0007_blockers.sql"),
    include_str!("migrations/0008_search.sql"),
];

/// The last schema without keys to find users by; they are made in code, since SQL can't fold names.
pub(super) const BEFORE_USER_KEYS: usize = 4;

/// Marks the file as ours ("chbx").
const APPLICATION_ID: i32 = 0x6368_6278;

/// Why the store can't be opened. Each is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer version has written it.
    #[error(
        "the store {path} has schema {found}, but this version knows schemas up to {known}: run the newer version, or \
         restore the copy that was kept before the update"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// The newest that is known.
        known: usize,
    },
    /// Another program's database.
    #[error("{path} is a database, but not one of ChatterBox")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// SQLite can't.
    #[error("the store {path} can't be opened: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The system can't.
    #[error("the store {path} can't be opened: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The connection that writes, with the schema up to date.
pub(super) fn open(path: &Path, migrations: &[&str]) -> Result<Connection, OpenError> {
    // Hashes of passwords are in it: for the owner's eyes only. SQLite gives its other files the same mode.
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| OpenError::Io {
            path: path.to_owned(),
            source,
        })?;
    let failed = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    check_owner(&connection, path)?;
    configure(&connection).map_err(failed)?;
    migrate(&mut connection, path, migrations)?;
    Ok(connection)
}

/// A connection that reads. The writer's is open before, so the schema is there and the WAL's index as well.
pub(super) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        share_settings(&connection)?;
        Ok(connection)
    };
    open().map_err(|source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    })
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Each commit syncs the WAL: what was answered survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // In pages. The file is brought up to date by the writer itself; from another thread the WAL would grow unbounded
    // under steady load.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What was deleted is overwritten (S-131). Appends write 1 % more for it, the pages that the journal gives back.
    connection.pragma_update(None, "secure_delete", true)?;
    share_settings(connection)
}

fn share_settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    // Without this a statement is prepared anew for other values, which may suit another plan: 35 % of what logging in
    // costs. Ours have one plan that is right (`pages_and_duplicates_are_found_by_the_indexes`).
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "mmap_size", 256_i64 << 20)?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(())
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

fn check_owner(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let check = || {
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok(tables == 0 || pragma(connection, "application_id")? == APPLICATION_ID)
    };
    match check() {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenError::Foreign {
            path: path.to_owned(),
        }),
        Err(source) => Err(OpenError::Sqlite {
            path: path.to_owned(),
            source,
        }),
    }
}

fn migrate(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let version = pragma(connection, "user_version").map_err(failed)?;
    let found = usize::try_from(version).unwrap_or(usize::MAX);
    if found > migrations.len() {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: migrations.len(),
        });
    }
    if found == migrations.len() {
        return Ok(());
    }
    if found > 0 {
        keep_copy(connection, path, found)?;
    }
    let mut upgrade = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        for migration in &migrations[found..] {
            transaction.execute_batch(migration)?;
        }
        if (found..migrations.len()).contains(&BEFORE_USER_KEYS) {
            users::add_missing_keys(&transaction)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(
            None,
            "user_version",
            i32::try_from(migrations.len()).unwrap_or(i32::MAX),
        )?;
        transaction.commit()
    };
    upgrade().map_err(failed)
}

/// Writes `chatterbox.db.schema-N` beside the file, whole or not at all.
fn keep_copy(connection: &Connection, path: &Path, version: usize) -> Result<(), OpenError> {
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".schema-{version}"));
    let copy = PathBuf::from(copy);
    let unfinished = copy.with_extension("unfinished");
    let failed = |source| OpenError::Io {
        path: copy.clone(),
        source,
    };
    if unfinished.exists() {
        fs::remove_file(&unfinished).map_err(failed)?;
    }
    connection
        .execute("VACUUM INTO ?1", [unfinished.to_string_lossy()])
        .map_err(|source| OpenError::Sqlite {
            path: copy.clone(),
            source,
        })?;
    let file = fs::File::open(&unfinished).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::set_permissions(&unfinished, fs::metadata(path).map_err(failed)?.permissions()).map_err(failed)?;
    fs::rename(&unfinished, &copy).map_err(failed)
}
