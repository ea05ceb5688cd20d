//! Finding messages by their words (S-133), with FTS5.
//!
//! ```text
//! append ──▶ journal ──settle──▶ "this log has more" (memory) ──every second, in slices──▶ feed ──▶ search, search_marks
//! edit, deletion ──with their projection──▶ search_stale ──────────────────────in slices──▶  "   ──▶   "
//! ```
//!
//! Each word is stored with the number of its log before it, `w0000002ahello`, and so are the author, `a0000002a` and
//! the id, and that there is a link, `l0000002a`. So what a search reads is of the conversations it looks into: a word
//! that all the others use as well costs nothing, nor does a beginning that half of their words share. The row of a
//! message has its key in the log, which is the order of time within a conversation.
//!
//! Texts are cut into words by [`words`], which are folded there; FTS5 sees one token for each. The table has no copy
//! of the texts, and no places within them.
//!
//! Words are taken out of the table's pages, so that none of a deleted message stays in the file (S-131). FTS5 looks
//! each of them up for that, which takes fifty times as long as putting them in, so it is not done by the transaction
//! that deletes: that notes which words they are, and such a message is not found.

mod feed;
mod find;

#[cfg(test)]
mod tests;

pub(super) use feed::{Feeder, News, Unfed};
pub(super) use find::find;

use chatterbox_core::domain::entry::{EntryKind, MessageBody};
use chatterbox_core::domain::{text, words};
use chatterbox_core::ids::UserId;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{log, messages};

fn word(number: u32, word: &str) -> String {
    format!("w{number:08x}{word}")
}

fn author(number: u32, user: UserId) -> String {
    format!("a{number:08x}{user}")
}

fn link(number: u32) -> String {
    format!("l{number:08x}")
}

/// What a message is found by.
fn tokens(number: u32, user: UserId, content: &str) -> String {
    let mut tokens = author(number, user);
    for found in words::of(content) {
        tokens.push(' ');
        tokens.push_str(&word(number, &found));
    }
    if text::has_link(content) {
        tokens.push(' ');
        tokens.push_str(&link(number));
    }
    tokens
}

fn insert(connection: &Connection, key: i64, tokens: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO search (rowid, words) VALUES (?1, ?2)")?
        .execute(params![key, tokens])
        .map(drop)
}

/// The key up to which a log is in the table.
fn mark(connection: &Connection, number: u32) -> rusqlite::Result<i64> {
    let mark = connection
        .prepare_cached("SELECT key FROM search_marks WHERE log = ?1")?
        .query_row([number], |row| row.get(0))
        .optional()?;
    Ok(mark.unwrap_or_else(|| i64::from(number) << 32))
}

/// What a message is found by in its newest text.
fn newest(
    connection: &Connection,
    number: u32,
    (key, sender): (i64, UserId),
    body: MessageBody,
) -> rusqlite::Result<String> {
    let edited = messages::state_at(connection, key)?.and_then(|state| state.edited);
    let content = edited.map_or(body.content, |edited| edited.content);
    Ok(tokens(number, sender, &content))
}

/// What the message with this key is found by, if it is one and not redacted.
fn standing(connection: &Connection, key: i64) -> rusqlite::Result<Option<String>> {
    let mut find = connection.prepare_cached("SELECT sender, kind FROM entries WHERE key = ?1")?;
    let found = find.query_row([key], |row| {
        let kind: EntryKind = log::json(row, 1)?;
        Ok((UserId::from_bytes(row.get(0)?), kind))
    });
    match found.optional()? {
        Some((sender, EntryKind::Message(body))) if body.redacted_at.is_none() => {
            newest(connection, log::number_in(key), (key, sender), body).map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

/// A message is about to get another text, or none: it is not found until the feeder has seen to it. One that isn't in
/// the table yet comes there with its newest text anyway.
pub(super) fn outdate(connection: &Connection, number: u32, key: i64) -> rusqlite::Result<()> {
    let is_stale = || {
        connection
            .prepare_cached("SELECT 1 FROM search_stale WHERE key = ?1")?
            .exists([key])
    };
    if key > mark(connection, number)? || is_stale()? {
        return Ok(());
    }
    let Some(words) = standing(connection, key)? else {
        return Ok(());
    };
    connection
        .prepare_cached("INSERT INTO search_stale (key, words) VALUES (?1, ?2)")?
        .execute(params![key, words])
        .map(drop)
}

/// Takes the words of the first message that is stale out of the table, and puts those in that it has now. How long
/// they were, or `None` if none is stale.
fn refresh(connection: &Connection) -> rusqlite::Result<Option<usize>> {
    let stale = connection
        .prepare_cached("SELECT key, words FROM search_stale ORDER BY key LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((key, words)): Option<(i64, String)> = stale else {
        return Ok(None);
    };
    connection
        .prepare_cached("INSERT INTO search (search, rowid, words) VALUES ('delete', ?1, ?2)")?
        .execute(params![key, words])?;
    connection
        .prepare_cached("DELETE FROM search_stale WHERE key = ?1")?
        .execute([key])?;
    if let Some(words) = standing(connection, key)? {
        insert(connection, key, &words)?;
    }
    Ok(Some(words.len()))
}
