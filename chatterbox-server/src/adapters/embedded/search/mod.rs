//! Finding messages by their words (S-133), with FTS5.
//!
//! ```text
//! append ──▶ journal ──settle──▶ "this log has more" (memory) ──every second, in slices──▶ feed ──▶ search, search_marks
//! edit, deletion ──with their projection───────────────────────────────────────────────────────────▶   "
//! ```
//!
//! Each word is stored with the number of its log before it, `w0000002ahello`, and so are the author, `a0000002a` and
//! the id, and that there is a link, `l0000002a`. So what a search reads is of the conversations it looks into: a word
//! that all the others use as well costs nothing, nor does a beginning that half of their words share. The row of a
//! message has its key in the log, which is the order of time within a conversation.
//!
//! Texts are cut into words by [`words`], which are folded there; FTS5 sees one token for each. The table has no copy
//! of the texts, and no places within them.

mod feed;
mod find;

#[cfg(test)]
mod tests;

pub(super) use feed::{Feeder, News, Unfed};
pub(super) use find::find;

use chatterbox_core::domain::{text, words};
use chatterbox_core::ids::UserId;
use rusqlite::{Connection, OptionalExtension as _, params};

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

/// A message has another text now. One that isn't in the table yet comes there with its newest text anyway.
pub(super) fn edited(
    connection: &Connection,
    number: u32,
    (key, sender): (i64, UserId),
    content: &str,
) -> rusqlite::Result<()> {
    if key > mark(connection, number)? {
        return Ok(());
    }
    deleted(connection, key)?;
    insert(connection, key, &tokens(number, sender, content))
}

/// A message is not to be found any more.
pub(super) fn deleted(connection: &Connection, key: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM search WHERE rowid = ?1")?
        .execute([key])
        .map(drop)
}
