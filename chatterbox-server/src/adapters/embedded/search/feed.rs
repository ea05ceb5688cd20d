//! How messages get into the table: behind the appends, by a thread that asks the writer for a slice at a time.
//!
//! The writer remembers which logs have entries that have settled lately; where each one stands in the table is a row of its own. What was
//! remembered is lost with the process or with a transaction that fails, and is found again by looking at all logs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use chatterbox_core::domain::entry::EntryKind;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::StoreError;
use rusqlite::{Connection, params};

use super::{insert, mark, newest, refresh};
use crate::adapters::embedded::error::store_error;
use crate::adapters::embedded::log;
use crate::adapters::embedded::schema::{self, OpenError};
use crate::adapters::embedded::writer::{Writer, Writing, alone};

/// A message is found two seconds after its append at the latest, and others may be fed before it.
const PAUSE: Duration = Duration::from_secs(1);

/// Of the writer's time at most one part in so many goes into feeding.
const SHARE: u32 = 4;

/// Entries and bytes of a slice: others who write wait for one, some 2 ms.
const SLICE_ENTRIES: usize = 128;
const SLICE_BYTES: usize = 64 << 10;

/// Entries of a slice that one counts for whose words are taken out of the table.
const REFRESHED_AS: usize = 16;

/// Logs that the writer remembers; beyond them it looks at all.
const LOGS_MAX: usize = 1 << 16;

/// Logs looked at between two looks whether the store is still there.
const LOOK_AT: i64 = 4_096;

/// What the writer has to tell the feeder.
#[derive(Default)]
pub(in super::super) struct News {
    has_some: AtomicBool,
    is_incomplete: AtomicBool,
}

impl News {
    /// Whether not all is known since the last time this was asked.
    pub(super) fn take_incomplete(&self) -> bool {
        self.is_incomplete.swap(false, Ordering::Relaxed)
    }
}

/// The logs that may have entries which aren't in the table, as the writer knows them.
pub(in super::super) struct Unfed {
    logs: BTreeSet<ConversationId>,
    news: Arc<News>,
}

impl Unfed {
    fn new() -> Unfed {
        let news = News::default();
        // What an earlier process left behind.
        news.is_incomplete.store(true, Ordering::Relaxed);
        news.has_some.store(true, Ordering::Relaxed);
        Unfed {
            logs: BTreeSet::new(),
            news: Arc::new(news),
        }
    }

    pub(in super::super) fn news(&self) -> Arc<News> {
        self.news.clone()
    }

    /// There is something to do.
    pub(in super::super) fn announce(&self) {
        self.news.has_some.store(true, Ordering::Relaxed);
    }

    /// Entries of a log have settled.
    pub(in super::super) fn add(&mut self, conversation: ConversationId) {
        if self.logs.len() >= LOGS_MAX {
            self.lose();
        }
        self.logs.insert(conversation);
        self.announce();
    }

    /// What was remembered may not be so.
    pub(in super::super) fn lose(&mut self) {
        self.logs.clear();
        self.news.is_incomplete.store(true, Ordering::Relaxed);
        self.announce();
    }
}

impl Default for Unfed {
    fn default() -> Unfed {
        Unfed::new()
    }
}

/// Keeps the thread; it ends with this.
pub(in super::super) struct Feeder {
    _end: mpsc::Sender<()>,
}

impl Feeder {
    /// Starts the thread.
    pub(in super::super) fn start(path: &Path, writer: Writer, news: Arc<News>) -> Result<Feeder, OpenError> {
        let (end, ended) = mpsc::channel();
        let thread = FeederThread {
            path: path.to_owned(),
            writer,
            news,
        };
        std::thread::Builder::new()
            .name("store-search".to_owned())
            .spawn(move || thread.serve(&ended))
            .map_err(|source| OpenError::Io {
                path: path.to_owned(),
                source,
            })?;
        Ok(Feeder { _end: end })
    }
}

struct FeederThread {
    path: PathBuf,
    writer: Writer,
    news: Arc<News>,
}

impl FeederThread {
    fn serve(&self, ended: &mpsc::Receiver<()>) {
        let mut pause = Duration::ZERO;
        while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(pause) {
            if self.writer.is_closed() {
                return;
            }
            pause = self.turn(ended).unwrap_or_else(|error| {
                tracing::warn!(%error, "the search index stands still for now");
                self.news.is_incomplete.store(true, Ordering::Relaxed);
                PAUSE
            });
        }
    }

    /// Feeds a slice, if there is something; until when to wait then.
    fn turn(&self, ended: &mpsc::Receiver<()>) -> Result<Duration, StoreError> {
        if self.news.take_incomplete() {
            self.look_at_all(ended)?;
        }
        if !self.news.has_some.load(Ordering::Relaxed) {
            return Ok(PAUSE);
        }
        let (is_all, took) = self.writer.write_blocking(|writing| {
            let began = Instant::now();
            Ok((feed(writing)?, began.elapsed()))
        })?;
        let is_all = is_all?;
        Ok(if is_all { PAUSE } else { took * (SHARE - 1) })
    }

    /// Tells the writer every log that is behind.
    fn look_at_all(&self, ended: &mpsc::Receiver<()>) -> Result<(), StoreError> {
        let connection =
            schema::open_reader(&self.path).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let mut after = 0;
        while let Err(mpsc::TryRecvError::Empty) = ended.try_recv() {
            let looked_at = logs_above(&connection, after).map_err(store_error)?;
            let Some(last) = looked_at.last() else {
                break;
            };
            after = last.number;
            let behind: Vec<ConversationId> = looked_at
                .iter()
                .filter_map(|log| log.is_behind.then_some(log.conversation))
                .collect();
            if !behind.is_empty() {
                self.writer.write_blocking(move |writing| {
                    let unfed = writing.journal.unfed();
                    for conversation in behind {
                        unfed.add(conversation);
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }
}

/// A log that was looked at.
pub(super) struct Log {
    number: u32,
    conversation: ConversationId,
    /// Whether it has settled entries that aren't in the table.
    pub(super) is_behind: bool,
}

/// The next logs in order of their numbers.
pub(super) fn logs_above(connection: &Connection, after: u32) -> rusqlite::Result<Vec<Log>> {
    connection
        .prepare_cached(
            "SELECT l.number, l.conversation, ifnull(
                 (SELECT max(key) FROM entries WHERE key > l.number << 32 AND key <= (l.number << 32) + 0xFFFFFFFF)
                     > ifnull((SELECT key FROM search_marks WHERE log = l.number), 0), 0)
             FROM logs l WHERE l.number > ?1 ORDER BY l.number LIMIT ?2",
        )?
        .query_map(params![after, LOOK_AT], |row| {
            Ok(Log {
                number: row.get(0)?,
                conversation: ConversationId::from_bytes(row.get(1)?),
                is_behind: row.get(2)?,
            })
        })?
        .collect()
}

/// Settles some entries and puts a slice of those that have settled into the table; whether nothing is left.
pub(super) fn feed(writing: &mut Writing) -> Result<Result<bool, StoreError>, StoreError> {
    let (connection, journal) = (&writing.connection, &mut writing.journal);
    // Where there is always somebody who writes, entries would settle only when there are very many.
    journal.settle_some(connection).map_err(store_error)?;
    let mut logs = std::mem::take(&mut journal.unfed().logs);
    let fed = alone(connection, || {
        feed_slice(connection, &mut logs).map_err(store_error)
    })?;
    let unfed = journal.unfed();
    let is_fresh = match fed {
        Ok(is_fresh) => is_fresh,
        Err(error) => {
            unfed.lose();
            return Ok(Err(error));
        }
    };
    unfed.logs = logs;
    let is_all = is_fresh && unfed.logs.is_empty() && journal.is_empty();
    journal.unfed().news.has_some.store(!is_all, Ordering::Relaxed);
    Ok(Ok(is_all))
}

/// Refreshes what is stale, and takes logs out that are in the table as a whole, until the slice is full. Whether
/// nothing is stale any more.
fn feed_slice(connection: &Connection, logs: &mut BTreeSet<ConversationId>) -> rusqlite::Result<bool> {
    let mut left = Slice {
        entries: SLICE_ENTRIES,
        bytes: SLICE_BYTES,
    };
    let mut is_fresh = false;
    while !left.is_empty() && !is_fresh {
        match refresh(connection)? {
            Some(bytes) => left.take(REFRESHED_AS, bytes.saturating_mul(REFRESHED_AS)),
            None => is_fresh = true,
        }
    }
    while !left.is_empty()
        && let Some(conversation) = logs.first().copied()
    {
        if feed_log(connection, conversation, &mut left)? {
            logs.remove(&conversation);
        }
    }
    Ok(is_fresh)
}

/// What still fits.
struct Slice {
    entries: usize,
    bytes: usize,
}

impl Slice {
    fn is_empty(&self) -> bool {
        self.entries == 0 || self.bytes == 0
    }

    fn take(&mut self, entries: usize, bytes: usize) {
        self.entries = self.entries.saturating_sub(entries);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Whether the log is in the table as a whole now.
fn feed_log(
    connection: &Connection,
    conversation: ConversationId,
    left: &mut Slice,
) -> rusqlite::Result<bool> {
    let Some(number) = log::number_of(connection, conversation)? else {
        return Ok(true);
    };
    let from = mark(connection, number)?;
    let mut upto = from;
    let mut behind = connection.prepare_cached(
        "SELECT key, sender, kind FROM entries WHERE key > ?1 AND key <= (?2 << 32) + 0xFFFFFFFF ORDER BY key",
    )?;
    let mut rows = behind.query(params![from, number])?;
    let is_all = loop {
        if left.is_empty() {
            break false;
        }
        let Some(row) = rows.next()? else {
            break true;
        };
        upto = row.get(0)?;
        left.take(1, row.get_ref(2)?.as_bytes()?.len());
        let sender = UserId::from_bytes(row.get(1)?);
        match log::json(row, 2) {
            Ok(EntryKind::Message(body)) if body.redacted_at.is_none() => {
                let words = newest(connection, number, (upto, sender), body)?;
                insert(connection, upto, &words)?;
            }
            Ok(_) => {}
            // Whoever reads it is told; the others are to be found all the same.
            Err(error) => tracing::warn!(%error, "an entry can't be searched"),
        }
    };
    if upto > from {
        connection
            .prepare_cached(
                "INSERT INTO search_marks (log, key) VALUES (?1, ?2)
                 ON CONFLICT (log) DO UPDATE SET key = excluded.key",
            )?
            .execute(params![number, upto])?;
    }
    Ok(is_all)
}
