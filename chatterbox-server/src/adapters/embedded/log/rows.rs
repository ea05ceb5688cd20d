//! Settled entries: rows of `entries`, clustered by `number << 32 | seq`, the number being the conversation's.

use std::collections::BTreeSet;

use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::entry::{ClientMessageId, Entry, Seq};
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::ports::storage::{Head, StoreError};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};
use serde::de::DeserializeOwned;

use super::super::error::store_error;
use super::super::sql_limit;
use super::unsettled::Which;

/// As [`entry`] reads them, of a table called `e`.
macro_rules! entry_columns {
    () => {
        "e.key & 0xFFFFFFFF, e.id, e.ordinal, e.gov, e.sender, e.client_message_id, e.created_at, e.kind"
    };
}
pub(in super::super) use entry_columns;

/// Whether history shows an entry ([`EntryKind::is_shown`](chatterbox_core::domain::entry::EntryKind::is_shown)), by
/// the beginning of its JSON: `{"kind":"edit"…`.
macro_rules! shown {
    () => {
        "substr(e.kind, 1, 13) NOT IN ('{\"kind\":\"edit', '{\"kind\":\"dele', '{\"kind\":\"reac')"
    };
}
pub(in super::super) use shown;

/// The place of an entry in the table.
pub(in super::super) fn key(number: u32, seq: Seq) -> i64 {
    i64::from(number) << 32 | i64::from(seq.0)
}

/// The number of the log in which the entry is that has this place.
pub(in super::super) fn number_in(key: i64) -> u32 {
    u32::try_from(key >> 32).unwrap_or(0)
}

/// An entry from the columns that begin at `from`.
pub(in super::super) fn entry(
    conversation: ConversationId,
    row: &Row<'_>,
    from: usize,
) -> rusqlite::Result<Entry> {
    let client_message_id = match row.get_ref(from + 5)?.as_str_or_null()? {
        Some(text) => Some(ClientMessageId::parse(text).map_err(|error| unreadable(from + 5, error))?),
        None => None,
    };
    Ok(Entry {
        id: EntryId::from_bytes(row.get(from + 1)?),
        conversation,
        seq: Seq(row.get(from)?),
        ordinal: row.get(from + 2)?,
        gov: Seq(row.get(from + 3)?),
        sender: UserId::from_bytes(row.get(from + 4)?),
        client_message_id,
        created_at: Timestamp::from_millis(row.get(from + 6)?),
        kind: json(row, from + 7)?,
    })
}

/// A head from its four columns, which begin at `from`.
pub(in super::super) fn head_of(row: &Row<'_>, from: usize) -> rusqlite::Result<Head> {
    Ok(Head {
        seq: Seq(row.get(from)?),
        ordinal: row.get(from + 1)?,
        gov: Seq(row.get(from + 2)?),
        created_at: Timestamp::from_millis(row.get(from + 3)?),
    })
}

/// What a column holds as JSON.
pub(in super::super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| unreadable(column, error))
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
        .and_then(|mut query| {
            query
                .query_map(values, |row| entry(conversation, row, 0))?
                .collect()
        })
        .map_err(store_error)
}

/// The number of a conversation that has entries. It never changes.
pub(in super::super) fn number(
    connection: &Connection,
    conversation: ConversationId,
) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT number FROM logs WHERE conversation = ?1")?
        .query_row([conversation.as_bytes()], |row| row.get(0))
        .optional()
}

pub(in super::super) fn give_number(
    connection: &Connection,
    conversation: ConversationId,
) -> Result<u32, StoreError> {
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
            "SELECT key & 0xFFFFFFFF, ordinal, gov, created_at FROM entries e WHERE e.key > ?1 AND key <= ?2
             ORDER BY key DESC LIMIT 1",
        )
        .and_then(|mut query| {
            query
                .query_row([key(number, Seq::ZERO), key(number, Seq(u32::MAX))], |row| {
                    head_of(row, 0)
                })
                .optional()
        })
        .map_err(store_error)?;
    Ok(found.unwrap_or(Head::EMPTY))
}

/// The first `limit` above `above` and up to `last`.
pub(super) fn first_of(
    connection: &Connection,
    (conversation, number): (ConversationId, u32),
    which: Which,
    (above, last): (Seq, Seq),
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    macro_rules! query {
        ($more:expr) => {
            concat!(
                "SELECT ",
                entry_columns!(),
                " FROM entries e WHERE e.key > ?1 AND e.key <= ?2",
                $more,
                " ORDER BY e.key LIMIT ?3"
            )
        };
    }
    let query = match which {
        Which::All => query!(""),
        Which::Shown => query!(concat!(" AND ", shown!())),
    };
    let values = [key(number, above), key(number, last), sql_limit(limit)];
    entries(connection, conversation, query, values)
}

/// The last `limit` up to `last`, in order of seq.
pub(super) fn last_of(
    connection: &Connection,
    (conversation, number): (ConversationId, u32),
    which: Which,
    last: Seq,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    macro_rules! query {
        ($more:expr) => {
            concat!(
                "SELECT ",
                entry_columns!(),
                " FROM entries e WHERE e.key > ?1 AND e.key <= ?2",
                $more,
                " ORDER BY e.key DESC LIMIT ?3"
            )
        };
    }
    let query = match which {
        Which::All => query!(""),
        Which::Shown => query!(concat!(" AND ", shown!())),
    };
    let values = [key(number, Seq::ZERO), key(number, last), sql_limit(limit)];
    let mut page = entries(connection, conversation, query, values)?;
    page.reverse();
    Ok(page)
}

/// Those with these numbers, in order.
pub(super) fn among(
    connection: &Connection,
    (conversation, number): (ConversationId, u32),
    seqs: &BTreeSet<Seq>,
) -> Result<Vec<Entry>, StoreError> {
    let query = concat!(
        "SELECT ",
        entry_columns!(),
        " FROM entries e WHERE e.key IN (SELECT (?1 << 32) + value FROM json_each(?2)) ORDER BY e.key"
    );
    let seqs: Vec<String> = seqs.iter().map(Seq::to_string).collect();
    let values = params![number, format!("[{}]", seqs.join(","))];
    entries(connection, conversation, query, values)
}

/// The one with this key.
pub(in super::super) fn at_key(
    connection: &Connection,
    conversation: ConversationId,
    key: i64,
) -> rusqlite::Result<Entry> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            entry_columns!(),
            " FROM entries e WHERE e.key = ?1"
        ))?
        .query_row([key], |row| entry(conversation, row, 0))
}

pub(super) fn by_id(
    connection: &Connection,
    (conversation, number): (ConversationId, u32),
    id: EntryId,
) -> Result<Option<Entry>, StoreError> {
    let query = concat!(
        "SELECT ",
        entry_columns!(),
        " FROM entries e WHERE e.id = ?2 AND log = ?1"
    );
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
        entry_columns!(),
        " FROM entries e WHERE e.log = ?1 AND sender = ?2 AND client_message_id = ?3"
    );
    let values = params![number, sender.as_bytes(), key.as_str()];
    Ok(entries(connection, conversation, query, values)?.pop())
}
