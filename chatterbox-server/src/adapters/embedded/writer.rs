//! The one thread that writes: it takes whatever waits, runs it in one transaction, commits, and only then answers.
//!
//! ```text
//! write(work) ──bounded channel──▶ gather ──▶ BEGIN · work · work · … (at most 512) · COMMIT ──▶ each one's answer
//!                                    └─ nobody writes for a while ──▶ BEGIN · settle some entries · COMMIT
//! ```
//!
//! A work checks before it writes, and what it writes first is the only statement that a constraint can refuse, which
//! SQLite undoes by itself. So no work fails half-way but by the engine (a full disk, an I/O error), and no savepoint
//! is needed for each: two statements less in every append. Should one fail after it has changed a row, the
//! whole transaction is rolled back and everybody in it is told so.
//!
//! The answers of a group are given by a task of the runtime if there is one ([`Writer::answer_in`]): given from this
//! thread, each would wake the runtime by a system call, and on a machine of few cores interrupt the thread at the
//! first; whoever is answered would find itself alone, and its frames would leave alone (big rooms: 1.8 times what the
//! bound costs instead of 1.6).

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use chatterbox_core::ids::ConversationId;
use chatterbox_core::ports::storage::StoreError;
use chatterbox_core::tasks::Tasks;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::error::{closed, store_error};
use super::log::{Heads, Journal};
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

/// When nothing came for so long, entries are settled that wait for it.
pub(super) const SETTLE_AFTER: Duration = Duration::from_millis(400);

/// Groups whose answers may wait for the task that gives them; the thread gives those of further ones itself.
const ANSWERING_MAX: usize = 4;

/// The way to the thread that writes. Clones lead to the same thread.
#[derive(Clone)]
pub(super) struct Writer {
    commands: mpsc::Sender<Command>,
    answering: Arc<OnceLock<mpsc::Sender<Answers>>>,
}

enum Command {
    Work(Box<dyn Work>),
    Close(oneshot::Sender<()>),
}

/// What a write sees: the connection within a transaction, and what this thread remembers of the logs.
pub(super) struct Writing {
    pub(super) connection: Connection,
    pub(super) heads: Heads,
    pub(super) journal: Journal,
}

impl Writing {
    /// Brings a conversation's entries where they are read from, and out of the journal: for every write that reads,
    /// changes or deletes its rows of `entries`, before it does. Costs about a millisecond.
    ///
    /// Look first whether the write will succeed: one that fails behind this fails its whole group, as after any change.
    pub(super) fn settle(&mut self, conversation: ConversationId) -> Result<(), StoreError> {
        self.journal.settle(&self.connection, conversation)
    }

    /// The same for all conversations; some 10 us for each entry that waits, of which there are some thousands at most.
    pub(super) fn settle_all(&mut self) -> rusqlite::Result<()> {
        self.journal.settle_all(&self.connection)
    }

    /// Does something in a transaction of its own.
    fn transact(&mut self, act: impl FnOnce(&mut Writing) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
        let done = execute(&self.connection, "BEGIN IMMEDIATE")
            .and_then(|()| act(self))
            .and_then(|()| execute(&self.connection, "COMMIT"));
        if done.is_ok() {
            self.journal.committed();
            return done;
        }
        self.heads.forget();
        self.journal.rolled_back();
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction of the store can't be rolled back");
        }
        done
    }
}

/// A group's answers, given when this is dropped.
struct Answers {
    group: Vec<Box<dyn Work>>,
    committed: Result<(), Arc<rusqlite::Error>>,
}

impl Drop for Answers {
    fn drop(&mut self) {
        for work in self.group.drain(..) {
            work.answer(&self.committed);
        }
    }
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
    pub(super) fn start(
        connection: Connection,
        journal: Journal,
        settle_after: Duration,
    ) -> Result<Writer, OpenError> {
        let (commands, incoming) = mpsc::channel(WAITING_MAX);
        let path = connection.path().unwrap_or_default().into();
        let answering = Arc::new(OnceLock::new());
        let writing = Writing {
            connection,
            heads: Heads::default(),
            journal,
        };
        let thread = WriterThread {
            writing,
            incoming,
            answering: answering.clone(),
            settle_after,
        };
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || thread.serve())
            .map_err(|source| OpenError::Io { path, source })?;
        Ok(Writer { commands, answering })
    }

    /// Has answers given by a task until `tasks` are stopped.
    pub(super) fn answer_in(&self, tasks: &Tasks) {
        let (sender, mut groups) = mpsc::channel::<Answers>(ANSWERING_MAX);
        if self.answering.set(sender).is_ok() {
            tasks.spawn_until_stopped(async move {
                while let Some(answers) = groups.recv().await {
                    drop(answers);
                }
            });
        }
    }

    /// Runs `work` in a transaction with others; its answer comes when that is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writing) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (command, answer) = pending(work);
        self.commands.send(command).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// As [`write`](Writer::write), for a thread that is none of a runtime's.
    pub(super) fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writing) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (command, answer) = pending(work);
        self.commands.blocking_send(command).map_err(|_| closed())?;
        answer.blocking_recv().unwrap_or_else(|_| Err(closed()))
    }

    /// Whether the thread takes no more.
    pub(super) fn is_closed(&self) -> bool {
        self.commands.is_closed()
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

fn pending<T: Send + 'static>(
    work: impl FnOnce(&mut Writing) -> Result<T, StoreError> + Send + 'static,
) -> (Command, oneshot::Receiver<Result<T, StoreError>>) {
    let (asker, answer) = oneshot::channel();
    let pending = Pending {
        work: Some(work),
        answer: None,
        asker,
    };
    (Command::Work(Box::new(pending)), answer)
}

struct WriterThread {
    /// See [`SETTLE_AFTER`].
    settle_after: Duration,
    writing: Writing,
    incoming: mpsc::Receiver<Command>,
    answering: Arc<OnceLock<mpsc::Sender<Answers>>>,
}

impl WriterThread {
    fn serve(mut self) {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut closing = None;
        // How long to wait before entries are settled that are there.
        let mut patience = Some(self.settle_after);
        while closing.is_none() {
            let patience_now = patience.filter(|_| !self.writing.journal.is_empty());
            match receive(&mut self.incoming, &waker, patience_now) {
                Received::Command(first) => {
                    let mut group = Vec::new();
                    closing = gather(first, &mut self.incoming, &mut group);
                    self.commit(group);
                    patience = Some(self.settle_after);
                }
                // Slice by slice, so that a write that comes now doesn't wait for all of them.
                Received::Nothing => patience = self.settle_some().then_some(Duration::ZERO),
                Received::Over => break,
            }
        }
        drop(self.incoming);
        self.writing.finish();
        drop(self.writing);
        if let Some(asker) = closing {
            let _ = asker.send(());
        }
    }

    fn commit(&mut self, mut group: Vec<Box<dyn Work>>) {
        if group.is_empty() {
            return;
        }
        let committed = self.writing.transact(|writing| {
            run_group(writing, &mut group)?;
            writing.journal.settle_excess(&writing.connection)
        });
        let answers = Answers {
            group,
            committed: committed.map_err(Arc::new),
        };
        if let Some(task) = self.answering.get() {
            // If it takes none now, or has ended, they are given here, where they are dropped.
            let _ = task.try_send(answers);
        }
    }

    /// False if it failed: what is in the journal is safe there, so that is tried again only after the next write.
    fn settle_some(&mut self) -> bool {
        let settled = self
            .writing
            .transact(|writing| writing.journal.settle_some(&writing.connection));
        if let Err(error) = &settled {
            tracing::warn!(%error, "entries stay in the store's journal for now");
        }
        settled.is_ok()
    }
}

impl Writing {
    /// Leaves little to do to whoever opens the file next; all of it can be done there as well.
    fn finish(&mut self) {
        if !self.journal.is_empty()
            && let Err(error) = self.transact(Writing::settle_all)
        {
            tracing::warn!(%error, "entries stay in the store's journal until it is opened again");
        }
        let _ = self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE");
    }
}

enum Received {
    Command(Command),
    /// Nothing came in the given time.
    Nothing,
    /// Nobody is left who could send.
    Over,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

/// Waits for a command, but not longer than `patience` if there is one. `waker` wakes this thread.
fn receive(incoming: &mut mpsc::Receiver<Command>, waker: &Waker, patience: Option<Duration>) -> Received {
    let until = patience.map(|patience| Instant::now() + patience);
    loop {
        match incoming.poll_recv(&mut Context::from_waker(waker)) {
            Poll::Ready(Some(command)) => return Received::Command(command),
            Poll::Ready(None) => return Received::Over,
            Poll::Pending => {}
        }
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            None => std::thread::park(),
            Some(Duration::ZERO) => return Received::Nothing,
            Some(left) => std::thread::park_timeout(left),
        }
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
        // Returning early only looks earlier.
        std::thread::park_timeout(GATHER_PAUSE);
        next = incoming.try_recv().ok();
    }
}

/// Runs each in the transaction.
fn run_group(writing: &mut Writing, group: &mut [Box<dyn Work>]) -> rusqlite::Result<()> {
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
    Ok(())
}

/// Does something that may find rows unreadable: that is undone and told by an answer within the answer, and those who
/// share the transaction don't notice. Entries that are to be settled for it are settled before.
pub(super) fn alone<T>(
    connection: &Connection,
    act: impl FnOnce() -> Result<T, StoreError>,
) -> Result<Result<T, StoreError>, StoreError> {
    let run = |statement| execute(connection, statement).map_err(store_error);
    run("SAVEPOINT alone")?;
    let done = act();
    match &done {
        Ok(_) => {}
        Err(StoreError::Corrupt(_)) => run("ROLLBACK TO alone")?,
        Err(StoreError::Unavailable(_) | StoreError::Full) => return done.map(Ok),
    }
    run("RELEASE alone")?;
    Ok(done)
}

fn execute(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}
