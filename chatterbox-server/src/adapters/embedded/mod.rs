//! The store of a server that runs alone: one SQLite file in the data directory.
//!
//! ```text
//! users · sessions · blocks · conversations · messages · log · queue      one file or folder a port: SQL and rows
//!      │ writes                    │ reads
//!      ▼                           ▼
//!   writer: one thread,         readers: a thread per core,
//!   one connection,             read-only connections,
//!   group commit                snapshots of what is committed
//!      └───────────┬───────────────┘
//!            chatterbox.db (WAL, synchronous=FULL)
//! ```
//!
//! A write is answered when the transaction it was in is on disk. Whatever waits goes into one transaction, so the cost of
//! making it durable is shared by all conversations (DESIGN.md section 5). One process has the file: the server
//! holds `DATA_DIR/lock` before it opens the store.

mod blocks;
mod conversations;
mod error;
mod log;
#[cfg(feature = "measure")]
pub mod measure;
mod messages;
mod queue;
mod readers;
mod schema;
mod search;
mod sessions;
mod users;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chatterbox_core::ports::queue::Queue;
use chatterbox_core::ports::storage::Stores;
use chatterbox_core::tasks::Tasks;

pub use schema::OpenError;

use log::{Journal, Unsettled};
use readers::Readers;
use search::{Feeder, News, Unfed};
use writer::Writer;

/// Name of the database in the data directory; SQLite keeps `-wal` and `-shm` beside it.
pub const FILE_NAME: &str = "chatterbox.db";

/// An open store. Clones, and the ports they give out, share its threads, which end with the last of them.
#[derive(Clone)]
pub struct EmbeddedStore {
    writer: Writer,
    readers: Readers,
    unsettled: Unsettled,
    /// Its thread ends with the last clone.
    feeder: Option<Arc<Feeder>>,
}

impl EmbeddedStore {
    /// Opens the store in `dir`, which exists and is this process's own; a new one if there is none. Brings an older
    /// schema up to date after it has kept a copy, and refuses a newer one. Blocks: for the start of the process.
    pub fn open(dir: &Path) -> Result<EmbeddedStore, OpenError> {
        EmbeddedStore::open_with(dir, schema::MIGRATIONS)
    }

    fn open_with(dir: &Path, migrations: &[&str]) -> Result<EmbeddedStore, OpenError> {
        let path: PathBuf = dir.join(FILE_NAME);
        let (mut store, news) = EmbeddedStore::open_unfed(&path, migrations, writer::SETTLE_AFTER)?;
        let feeder = Feeder::start(&path, store.writer.clone(), news)?;
        store.feeder = Some(Arc::new(feeder));
        Ok(store)
    }

    /// Without the thread that makes messages searchable.
    fn open_unfed(
        path: &Path,
        migrations: &[&str],
        settle_after: Duration,
    ) -> Result<(EmbeddedStore, Arc<News>), OpenError> {
        let mut connection = schema::open(path, migrations)?;
        let unfed = Unfed::default();
        let news = unfed.news();
        let journal = Journal::open(&mut connection, unfed).map_err(|source| OpenError::Sqlite {
            path: path.to_owned(),
            source,
        })?;
        let unsettled = journal.unsettled().clone();
        let store = EmbeddedStore {
            writer: Writer::start(connection, journal, settle_after)?,
            readers: Readers::start(path)?,
            unsettled,
            feeder: None,
        };
        Ok((store, news))
    }

    /// Has the answers of writes that were committed together given together, by a task: those who get them run one
    /// right after another, and what they send leaves together. Until `tasks` are stopped.
    pub fn answer_in(&self, tasks: &Tasks) {
        self.writer.answer_in(tasks);
    }

    /// The storage ports.
    pub fn stores(&self) -> Stores {
        Stores {
            users: Arc::new(users::EmbeddedUsers::new(self)),
            sessions: Arc::new(sessions::EmbeddedSessions::new(self)),
            blocks: Arc::new(blocks::EmbeddedBlocks::new(self)),
            conversations: Arc::new(conversations::EmbeddedConversations::new(self)),
            messages: Arc::new(messages::EmbeddedMessages::new(self)),
            log: Arc::new(log::EmbeddedLog::new(self)),
        }
    }

    /// The job queue, in the same file.
    pub fn queue(&self) -> Arc<dyn Queue> {
        Arc::new(queue::EmbeddedQueue::new(self))
    }

    /// Commits what was asked for so far and closes the file for writing; later writes answer `Unavailable`. Nothing is
    /// lost without it: an answered write is durable already.
    pub async fn close(&self) {
        self.writer.close().await;
    }
}

/// As a statement takes it.
fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Ids as a statement reads them with `json_each` and `unhex`.
fn in_json(ids: &[impl Display]) -> String {
    let quoted: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    format!("[{}]", quoted.join(","))
}
