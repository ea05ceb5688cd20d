//! The one thread that writes: it takes whatever waits, runs it in one transaction, commits, and only then answers.
//!
//! ```text
//! write(work) ──bounded channel──▶ gather ──▶ BEGIN · work · work · … (at most 512) · COMMIT ──▶ each one's answer
//! ```
//!
//! A work checks before it writes, and what it writes first is the only statement that a constraint can refuse, which
//! SQLite undoes by itself. So no work fails half-way but by the engine (a full disk, an I/O error), and no savepoint
//! is needed for each: two statements less in every append. Should one fail after it has changed a row, the
//! whole transaction is rolled back and everybody in it is told so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chatterbox_core::ports::storage::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::error::{closed, store_error};
use super::log::Heads;
use super::schema::OpenError;

/// Writes that may wait; beyond them callers wait before they are queued.
const WAITING_MAX: usize = 4_096;

/// Writes in one transaction. Bounds how long the first one waits for the last.
const GROUP_MAX: usize = 512;

/// From so many writes at once it pays to wait for more: a commit costs as much as several inserts, and whatever is
/// committed together reaches its readers in fewer system calls.
const GATHER_FROM: usize = 4;

/// The thread looks for more so often, and commits when nothing came in between or the group has waited long enough.
const GATHER_PAUSE: Duration = Duration::from_micros(200);
const GATHER_MAX: Duration = Duration::from_millis(2);

/// The way to the thread that writes. Clones lead to the same thread.
#[derive(Clone)]
pub(super) struct Writer {
    commands: mpsc::Sender<Command>,
}

enum Command {
    Work(Box<dyn Work>),
    Close(oneshot::Sender<()>),
}

/// What a write sees: the connection within a transaction, and what this thread remembers of the logs.
pub(super) struct Writing {
    pub(super) connection: Connection,
    pub(super) heads: Heads,
}

/// A write and whoever waits for it.
trait Work: Send {
    /// Runs within the transaction; false if it failed.
    fn run(&mut self, writing: &mut Writing) -> bool;

    /// Answers: what `run` gave if the transaction was committed, else why it was not.
    fn answer(self: Box<Self>, committed: &Result<(), Arc<rusqlite::Error>>);
}

struct Pending<F, T> {
    work: Option<F>,
    answer: Option<Result<T, StoreError>>,
    asker: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Work for Pending<F, T>
where
    F: FnOnce(&mut Writing) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, writing: &mut Writing) -> bool {
        self.answer = self.work.take().map(|work| work(writing));
        matches!(self.answer, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: &Result<(), Arc<rusqlite::Error>>) {
        let answer = match (committed, self.answer) {
            (Ok(()), Some(answer)) => answer,
            // The one whose failure spoiled the transaction knows best why.
            (Err(_), Some(Err(error))) => Err(error),
            (Err(error), Some(Ok(_)) | None) => Err(rolled_back(error)),
            (Ok(()), None) => Err(closed()),
        };
        // Whoever no longer waits has lost an answer, not the write.
        let _ = self.asker.send(answer);
    }
}

/// The transaction was rolled back for a reason that all in it share.
fn rolled_back(error: &Arc<rusqlite::Error>) -> StoreError {
    match &**error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            store_error(rusqlite::Error::SqliteFailure(*failure, message.clone()))
        }
        _ => StoreError::Unavailable(Box::new(Arc::clone(error))),
    }
}

impl Writer {
    /// Starts the thread; it ends when the last clone is gone, after what waits.
    pub(super) fn start(connection: Connection) -> Result<Writer, OpenError> {
        let (commands, incoming) = mpsc::channel(WAITING_MAX);
        let path = connection.path().unwrap_or_default().into();
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || serve(connection, incoming))
            .map_err(|source| OpenError::Io { path, source })?;
        Ok(Writer { commands })
    }

    /// Runs `work` in a transaction with others; its answer comes when that is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writing) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (asker, answer) = oneshot::channel();
        let pending = Pending {
            work: Some(work),
            answer: None,
            asker,
        };
        self.commands
            .send(Command::Work(Box::new(pending)))
            .await
            .map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Writes that wait for the thread.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.commands.max_capacity() - self.commands.capacity()
    }

    /// Ends the thread behind what waits.
    pub(super) async fn close(&self) {
        let (closed, closing) = oneshot::channel();
        if self.commands.send(Command::Close(closed)).await.is_ok() {
            // The thread may have ended already, which is what was asked for.
            let _ = closing.await;
        }
    }
}

fn serve(connection: Connection, mut incoming: mpsc::Receiver<Command>) {
    let mut writing = Writing {
        connection,
        heads: Heads::default(),
    };
    let mut group = Vec::with_capacity(GROUP_MAX);
    let mut closing = None;
    while closing.is_none()
        && let Some(first) = incoming.blocking_recv()
    {
        closing = gather(first, &mut incoming, &mut group);
        let committed = commit_group(&mut writing, &mut group);
        for work in group.drain(..) {
            work.answer(&committed);
        }
    }
    drop(incoming);
    // Leaves a short WAL to whoever opens the file next; without it that one reads a longer one.
    let _ = writing
        .connection
        .pragma_update(None, "wal_checkpoint", "TRUNCATE");
    drop(writing);
    if let Some(asker) = closing {
        let _ = asker.send(());
    }
}

/// Collects a group: the first command and what comes with it or soon after. Somebody who asks for the end ends it.
fn gather(
    first: Command,
    incoming: &mut mpsc::Receiver<Command>,
    group: &mut Vec<Box<dyn Work>>,
) -> Option<oneshot::Sender<()>> {
    let began = Instant::now();
    let mut next = Some(first);
    loop {
        let before = group.len();
        while let Some(command) = next.take() {
            match command {
                Command::Work(work) => group.push(work),
                Command::Close(asker) => return Some(asker),
            }
            if group.len() < GROUP_MAX {
                next = incoming.try_recv().ok();
            }
        }
        let still_comes = group.len() > before;
        if group.len() < GATHER_FROM
            || group.len() >= GROUP_MAX
            || !still_comes
            || began.elapsed() >= GATHER_MAX
        {
            return None;
        }
        // Nobody unparks this thread; a spurious return only looks earlier.
        std::thread::park_timeout(GATHER_PAUSE);
        next = incoming.try_recv().ok();
    }
}

fn commit_group(writing: &mut Writing, group: &mut [Box<dyn Work>]) -> Result<(), Arc<rusqlite::Error>> {
    if group.is_empty() {
        return Ok(());
    }
    let committed = run_group(writing, group);
    if committed.is_err() {
        writing.heads.forget();
        if !writing.connection.is_autocommit()
            && let Err(error) = writing.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction of the store can't be rolled back");
        }
    }
    committed.map_err(Arc::new)
}

fn run_group(writing: &mut Writing, group: &mut [Box<dyn Work>]) -> rusqlite::Result<()> {
    execute(&writing.connection, "BEGIN IMMEDIATE")?;
    for work in group {
        let before = writing.connection.total_changes();
        let succeeded = work.run(writing);
        if !succeeded {
            writing.heads.forget();
        }
        // SQLite ends a transaction by itself on some failures.
        if writing.connection.is_autocommit() || !succeeded && writing.connection.total_changes() != before {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT),
                Some("another write of the same transaction failed".to_owned()),
            ));
        }
    }
    execute(&writing.connection, "COMMIT")
}

fn execute(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}
