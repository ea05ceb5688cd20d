//! Entries, clustered by `number << 32 | seq`.

use std::collections::HashMap;

use async_trait::async_trait;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::entry::{ClientMessageId, Entry, Seq};
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::ports::storage::{Appended, ConversationLog, Head, NewEntry, READ_MAX, StoreError};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};

use super::EmbeddedStore;
use super::error::{is_duplicate, store_error};
use super::writer::Writing;

/// As [`entry`] reads them.
macro_rules! columns {
    () => {
        "key & 0xFFFFFFFF, id, ordinal, gov, sender, client_message_id, created_at, kind"
    };
}

/// Below the first key of the log of conversation `?1`. Without a log it is null, and no key compares to that.
macro_rules! base {
    () => {
        "((SELECT number FROM logs WHERE conversation = ?1) << 32)"
    };
}

/// Conversations whose heads the writer remembers (about 6 MiB).
const HEADS_MAX: usize = 1 << 16;

pub(super) struct EmbeddedLog(EmbeddedStore);

/// What the writer remembers of the logs it has appended to.
///
/// It may, because nobody else can append: this thread has the only connection that writes, the lock on the data
/// directory keeps other processes away, and a transaction that fails makes it forget everything.
#[derive(Default)]
pub(super) struct Heads(HashMap<ConversationId, Log>);

#[derive(Clone, Copy)]
struct Log {
    /// `None` before the first entry.
    number: Option<u32>,
    head: Head,
}

impl Heads {
    /// Forgets everything: the next append reads.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    fn of(&mut self, connection: &Connection, conversation: ConversationId) -> Result<Log, StoreError> {
        if let Some(log) = self.0.get(&conversation) {
            return Ok(*log);
        }
        let number = connection
            .prepare_cached("SELECT number FROM logs WHERE conversation = ?1")
            .and_then(|mut find| {
                find.query_row([conversation.as_bytes()], |row| row.get(0))
                    .optional()
            })
            .map_err(store_error)?;
        let log = Log {
            number,
            head: head(connection, conversation)?,
        };
        self.remember(conversation, log);
        Ok(log)
    }

    fn remember(&mut self, conversation: ConversationId, log: Log) {
        if self.0.len() >= HEADS_MAX {
            self.forget();
        }
        self.0.insert(conversation, log);
    }
}

impl EmbeddedLog {
    pub(super) fn new(store: &EmbeddedStore) -> EmbeddedLog {
        EmbeddedLog(store.clone())
    }
}

fn entry(conversation: ConversationId, row: &Row<'_>) -> rusqlite::Result<Entry> {
    let client_message_id = match row.get_ref(5)?.as_str_or_null()? {
        Some(text) => Some(ClientMessageId::parse(text).map_err(|error| unreadable(5, error))?),
        None => None,
    };
    let kind = serde_json::from_str(row.get_ref(7)?.as_str()?).map_err(|error| unreadable(7, error))?;
    Ok(Entry {
        id: EntryId::from_bytes(row.get(1)?),
        conversation,
        seq: Seq(row.get(0)?),
        ordinal: row.get(2)?,
        gov: Seq(row.get(3)?),
        sender: UserId::from_bytes(row.get(4)?),
        client_message_id,
        created_at: Timestamp::from_millis(row.get(6)?),
        kind,
    })
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// The entries that a query finds.
fn entries(
    connection: &Connection,
    conversation: ConversationId,
    query: &str,
    values: impl Params,
) -> Result<Vec<Entry>, StoreError> {
    connection
        .prepare_cached(query)
        .and_then(|mut query| query.query_map(values, |row| entry(conversation, row))?.collect())
        .map_err(store_error)
}

fn head(connection: &Connection, conversation: ConversationId) -> Result<Head, StoreError> {
    let found = connection
        .prepare_cached(concat!(
            "SELECT key & 0xFFFFFFFF, ordinal, gov, created_at FROM entries WHERE key > ",
            base!(),
            " AND key <= ",
            base!(),
            " + 0xFFFFFFFF ORDER BY key DESC LIMIT 1"
        ))
        .and_then(|mut query| {
            query
                .query_row([conversation.as_bytes()], |row| {
                    Ok(Head {
                        seq: Seq(row.get(0)?),
                        ordinal: row.get(1)?,
                        gov: Seq(row.get(2)?),
                        created_at: Timestamp::from_millis(row.get(3)?),
                    })
                })
                .optional()
        })
        .map_err(store_error)?;
    Ok(found.unwrap_or(Head::EMPTY))
}

fn after(
    connection: &Connection,
    conversation: ConversationId,
    after: Seq,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let query = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE key > ",
        base!(),
        " + ?2 AND key <= ",
        base!(),
        " + 0xFFFFFFFF ORDER BY key LIMIT ?3"
    );
    let limit = i64::try_from(limit.min(READ_MAX)).unwrap_or(i64::MAX);
    let values = params![conversation.as_bytes(), after.0, limit];
    entries(connection, conversation, query, values)
}

fn by_id(
    connection: &Connection,
    conversation: ConversationId,
    id: EntryId,
) -> Result<Option<Entry>, StoreError> {
    let query = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE id = ?2 AND log = (SELECT number FROM logs WHERE conversation = ?1)"
    );
    let values = params![conversation.as_bytes(), id.as_bytes()];
    Ok(entries(connection, conversation, query, values)?.pop())
}

fn by_key(
    connection: &Connection,
    conversation: ConversationId,
    sender: UserId,
    key: &ClientMessageId,
) -> Result<Option<Entry>, StoreError> {
    let query = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE log = (SELECT number FROM logs WHERE conversation = ?1) AND sender = ?2
             AND client_message_id = ?3"
    );
    let values = params![conversation.as_bytes(), sender.as_bytes(), key.as_str()];
    Ok(entries(connection, conversation, query, values)?.pop())
}

/// The entry that is there already under the id, or else under the sender's key.
fn duplicate_of(
    connection: &Connection,
    conversation: ConversationId,
    id: EntryId,
    sender: UserId,
    key: Option<&ClientMessageId>,
) -> Result<Option<Entry>, StoreError> {
    if let Some(entry) = by_id(connection, conversation, id)? {
        return Ok(Some(entry));
    }
    match key {
        Some(key) => by_key(connection, conversation, sender, key),
        None => Ok(None),
    }
}

/// Adds one entry; false if one with its id or its key is there.
fn insert(connection: &Connection, number: u32, entry: &Entry) -> Result<bool, StoreError> {
    let kind = serde_json::to_string(&entry.kind)
        .map_err(|error| StoreError::Corrupt(format!("entry {} can't be written: {error}", entry.id)))?;
    let inserted = connection
        .prepare_cached(
            "INSERT INTO entries (key, id, ordinal, gov, sender, client_message_id, created_at, kind)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                i64::from(number) << 32 | i64::from(entry.seq.0),
                entry.id.as_bytes(),
                entry.ordinal,
                entry.gov.0,
                entry.sender.as_bytes(),
                entry.client_message_id.as_ref().map(ClientMessageId::as_str),
                entry.created_at.as_millis(),
                kind,
            ])
        });
    match inserted {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(store_error(error)),
    }
}

/// The indexes find duplicates while they are written, so an entry that is none costs no look-up.
fn append(
    writing: &mut Writing,
    conversation: ConversationId,
    decided_at: Seq,
    new_entries: Vec<NewEntry>,
) -> Result<Appended, StoreError> {
    let connection = &writing.connection;
    let mut log = writing.heads.of(connection, conversation)?;
    if log.head.seq != decided_at {
        if let Some(first) = new_entries.first()
            && let Some(duplicate) = duplicate_of(
                connection,
                conversation,
                first.id,
                first.sender,
                first.client_message_id.as_ref(),
            )?
        {
            return Ok(Appended::Duplicate(duplicate));
        }
        return Ok(Appended::Moved {
            entries_since: after(connection, conversation, decided_at, READ_MAX)?,
            head: log.head,
        });
    }
    let number = match log.number {
        Some(number) => number,
        None => give_number(connection, conversation)?,
    };
    log.number = Some(number);
    let mut added = Vec::with_capacity(new_entries.len());
    for new in new_entries {
        let mut head = log.head;
        let Some(entry) = head.place(conversation, new) else {
            break;
        };
        if !insert(connection, number, &entry)? {
            if !added.is_empty() {
                break;
            }
            let key = entry.client_message_id.as_ref();
            let duplicate = duplicate_of(connection, conversation, entry.id, entry.sender, key)?;
            return duplicate.map(Appended::Duplicate).ok_or_else(|| {
                StoreError::Corrupt(format!("entry {} is in another conversation", entry.id))
            });
        }
        log.head = head;
        added.push(entry);
    }
    if added.is_empty() {
        return Err(StoreError::Full);
    }
    writing.heads.remember(conversation, log);
    Ok(Appended::At(added))
}

fn give_number(connection: &Connection, conversation: ConversationId) -> Result<u32, StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO logs (conversation) VALUES (?1)
             ON CONFLICT (conversation) DO UPDATE SET number = number RETURNING number",
        )
        .and_then(|mut insert| insert.query_row([conversation.as_bytes()], |row| row.get(0)))
        .map_err(store_error)
}

#[async_trait]
impl ConversationLog for EmbeddedLog {
    async fn append(
        &self,
        conversation: ConversationId,
        decided_at: Seq,
        entries: Vec<NewEntry>,
    ) -> Result<Appended, StoreError> {
        self.0
            .writer
            .write(move |writing| append(writing, conversation, decided_at, entries))
            .await
    }

    async fn head(&self, conversation: ConversationId) -> Result<Head, StoreError> {
        self.0
            .readers
            .read(move |connection| head(connection, conversation))
            .await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        let conversations = conversations.to_vec();
        self.0
            .readers
            .read(move |connection| {
                conversations
                    .iter()
                    .map(|conversation| head(connection, *conversation))
                    .collect()
            })
            .await
    }

    async fn read_after(
        &self,
        conversation: ConversationId,
        above: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.0
            .readers
            .read(move |connection| after(connection, conversation, above, limit))
            .await
    }

    async fn read_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let last = before.map_or(u32::MAX, |before| before.0.saturating_sub(1));
        let limit = i64::try_from(limit.min(READ_MAX)).unwrap_or(i64::MAX);
        self.0
            .readers
            .read(move |connection| {
                let query = concat!(
                    "SELECT ",
                    columns!(),
                    " FROM entries WHERE key > ",
                    base!(),
                    " AND key <= ",
                    base!(),
                    " + ?2 ORDER BY key DESC LIMIT ?3"
                );
                let values = params![conversation.as_bytes(), last, limit];
                let mut page = entries(connection, conversation, query, values)?;
                page.reverse();
                Ok(page)
            })
            .await
    }

    async fn get(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Entry>, StoreError> {
        self.0
            .readers
            .read(move |connection| by_id(connection, conversation, id))
            .await
    }

    async fn by_client_message_id(
        &self,
        conversation: ConversationId,
        sender: UserId,
        key: &ClientMessageId,
    ) -> Result<Option<Entry>, StoreError> {
        let key = key.clone();
        self.0
            .readers
            .read(move |connection| by_key(connection, conversation, sender, &key))
            .await
    }
}
