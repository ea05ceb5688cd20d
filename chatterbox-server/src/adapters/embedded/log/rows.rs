//! Settled entries: rows of `entries`, clustered by `number << 32 | seq`, the number being the conversation's.

use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::entry::{ClientMessageId, Entry, Seq};
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::ports::storage::{Head, StoreError};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};

use super::super::error::store_error;

/// As [`entry`] reads them.
macro_rules! columns {
    () => {
        "key & 0xFFFFFFFF, id, ordinal, gov, sender, client_message_id, created_at, kind"
    };
}

/// The place of an entry in the table.
pub(super) fn key(number: u32, seq: Seq) -> i64 {
    i64::from(number) << 32 | i64::from(seq.0)
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

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The number of a conversation that has entries. It never changes.
pub(super) fn number(
    connection: &Connection,
    conversation: ConversationId,
) -> Result<Option<u32>, StoreError> {
    connection
        .prepare_cached("SELECT number FROM logs WHERE conversation = ?1")
        .and_then(|mut find| {
            find.query_row([conversation.as_bytes()], |row| row.get(0))
                .optional()
        })
        .map_err(store_error)
}

pub(super) fn give_number(connection: &Connection, conversation: ConversationId) -> Result<u32, StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO logs (conversation) VALUES (?1)
             ON CONFLICT (conversation) DO UPDATE SET number = number RETURNING number",
        )
        .and_then(|mut insert| insert.query_row([conversation.as_bytes()], |row| row.get(0)))
        .map_err(store_error)
}

pub(super) fn head(connection: &Connection, number: u32) -> Result<Head, StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT key & 0xFFFFFFFF, ordinal, gov, created_at FROM entries WHERE key > ?1 AND key <= ?2
             ORDER BY key DESC LIMIT 1",
        )
        .and_then(|mut query| {
            query
                .query_row([key(number, Seq::ZERO), key(number, Seq(u32::MAX))], |row| {
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

/// The first `limit` entries above `above` and up to `last`.
pub(super) fn first_of(
    connection: &Connection,
    (conversation, number): (ConversationId, u32),
    (above, last): (Seq, Seq),
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let query = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE key > ?1 AND key <= ?2 ORDER BY key LIMIT ?3"
    );
    let values = [key(number, above), key(number, last), sql_limit(limit)];
    entries(connection, conversation, query, values)
}

/// The last `limit` entries up to `last`, in order of seq.
pub(super) fn last_of(
    connection: &Connection,
    (conversation, number): (ConversationId, u32),
    last: Seq,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let query = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE key > ?1 AND key <= ?2 ORDER BY key DESC LIMIT ?3"
    );
    let values = [key(number, Seq::ZERO), key(number, last), sql_limit(limit)];
    let mut page = entries(connection, conversation, query, values)?;
    page.reverse();
    Ok(page)
}

pub(super) fn by_id(
    connection: &Connection,
    (conversation, number): (ConversationId, u32),
    id: EntryId,
) -> Result<Option<Entry>, StoreError> {
    let query = concat!("SELECT ", columns!(), " FROM entries WHERE id = ?2 AND log = ?1");
    Ok(entries(connection, conversation, query, params![number, id.as_bytes()])?.pop())
}

/// Whether any conversation has an entry of this id.
pub(super) fn has_id(connection: &Connection, id: EntryId) -> Result<bool, StoreError> {
    connection
        .prepare_cached("SELECT 1 FROM entries WHERE id = ?1")
        .and_then(|mut find| find.exists([id.as_bytes()]))
        .map_err(store_error)
}

pub(super) fn by_key(
    connection: &Connection,
    (conversation, number): (ConversationId, u32),
    sender: UserId,
    key: &ClientMessageId,
) -> Result<Option<Entry>, StoreError> {
    let query = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE log = ?1 AND sender = ?2 AND client_message_id = ?3"
    );
    let values = params![number, sender.as_bytes(), key.as_str()];
    Ok(entries(connection, conversation, query, values)?.pop())
}
