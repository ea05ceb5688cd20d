use std::cmp::Reverse;

use chatterbox_core::domain::entry::{Entry, Seq};
use chatterbox_core::domain::words::{self, Wanted};
use chatterbox_core::ids::{ConversationId, EntryId};
use chatterbox_core::ports::storage::{SearchQuery, StoreError};
use rusqlite::{Connection, OptionalExtension as _};

use super::{author, link, word};
use crate::adapters::embedded::error::store_error;
use crate::adapters::embedded::log;

/// Ids of entries that were sent at the same time may be in another order than their numbers, by so many at most.
const OUT_OF_ORDER: u32 = 64;

/// A conversation to search.
struct Place {
    conversation: ConversationId,
    number: u32,
    above: Seq,
    last: (Seq, EntryId),
}

/// The newest that were found, in order.
struct Newest {
    found: Vec<(EntryId, usize, i64)>,
    limit: usize,
}

impl Newest {
    /// Whether an entry with this id is among them so far.
    fn has_room_for(&self, id: EntryId) -> bool {
        self.found.len() < self.limit || self.found.last().is_some_and(|(lowest, ..)| *lowest < id)
    }

    fn add(&mut self, id: EntryId, place: usize, key: i64) {
        let at = self.found.partition_point(|(newer, ..)| *newer > id);
        self.found.insert(at, (id, place, key));
        self.found.truncate(self.limit);
    }
}

/// Looks into one conversation after another, that with the newest entry first, until none can have anything newer
/// than what was found.
pub(in super::super) fn find(connection: &Connection, query: &SearchQuery) -> Result<Vec<Entry>, StoreError> {
    let wanted = words::wanted(&query.terms);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let snapshot = connection.unchecked_transaction().map_err(store_error)?;
    newest(&snapshot, query, &wanted).map_err(store_error)
}

fn newest(connection: &Connection, query: &SearchQuery, wanted: &[Wanted]) -> rusqlite::Result<Vec<Entry>> {
    let places = places(connection, query)?;
    let mut newest = Newest {
        found: Vec::new(),
        limit: query.limit,
    };
    for (index, place) in places.iter().enumerate() {
        if !newest.has_room_for(place.last.1) {
            break;
        }
        look_into(connection, (index, place), query, wanted, &mut newest)?;
    }
    let entries = newest.found.iter().map(|(_, place, key)| {
        let conversation = places[*place].conversation;
        log::at_key(connection, conversation, *key)
    });
    entries.collect()
}

fn places(connection: &Connection, query: &SearchQuery) -> rusqlite::Result<Vec<Place>> {
    let mut last = connection.prepare_cached(
        "SELECT key & 0xFFFFFFFF, id FROM entries WHERE key > ?1 << 32 AND key <= (?1 << 32) + 0xFFFFFFFF
         ORDER BY key DESC LIMIT 1",
    )?;
    let mut places = Vec::with_capacity(query.within.len());
    for (conversation, above) in &query.within {
        let Some(number) = log::number_of(connection, *conversation)? else {
            continue;
        };
        let found = last.query_row([number], |row| {
            Ok((Seq(row.get(0)?), EntryId::from_bytes(row.get(1)?)))
        });
        places.extend(found.optional()?.map(|last| Place {
            conversation: *conversation,
            number,
            above: *above,
            last,
        }));
    }
    places.sort_by_key(|place| Reverse(place.last.1));
    Ok(places)
}

fn look_into(
    connection: &Connection,
    (index, place): (usize, &Place),
    query: &SearchQuery,
    wanted: &[Wanted],
    newest: &mut Newest,
) -> rusqlite::Result<()> {
    let upto = match query.before {
        Some(before) => below(connection, place, before)?,
        None => place.last.0,
    };
    let mut matching = connection.prepare_cached(
        "SELECT rowid FROM search WHERE search MATCH ?1 AND rowid > ?2 AND rowid <= ?3
             AND NOT EXISTS (SELECT 1 FROM search_stale WHERE key = search.rowid) ORDER BY rowid DESC",
    )?;
    let mut rows = matching.query((
        expression(place.number, query, wanted),
        log::key(place.number, place.above),
        log::key(place.number, upto),
    ))?;
    let mut older = 0;
    while let Some(row) = rows.next()? {
        let key = row.get(0)?;
        let id = id_at(connection, key)?;
        if query.before.is_some_and(|before| id >= before) {
            continue;
        }
        if newest.has_room_for(id) {
            newest.add(id, index, key);
        } else {
            older += 1;
            if older >= OUT_OF_ORDER {
                break;
            }
        }
    }
    Ok(())
}

/// In the query language of FTS5, of quoted words only, which have no quotes in them.
fn expression(number: u32, query: &SearchQuery, wanted: &[Wanted]) -> String {
    let quoted = |token: String| format!("\"{token}\"");
    let mut parts: Vec<String> = wanted
        .iter()
        .map(|wanted| {
            let token = quoted(word(number, &wanted.word));
            if wanted.beginning { token + "*" } else { token }
        })
        .collect();
    parts.extend(query.from.map(|user| quoted(author(number, user))));
    parts.extend(query.has_link.then(|| quoted(link(number))));
    parts.join(" AND ")
}

/// An entry at or behind the last one with a lower id than `before`.
fn below(connection: &Connection, place: &Place, before: EntryId) -> rusqlite::Result<Seq> {
    // Ids up to `low` are lower, those from `high` on are not.
    let (mut low, mut high) = (0, place.last.0.0.saturating_add(1));
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if id_at(connection, log::key(place.number, Seq(middle)))? < before {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(Seq(low.saturating_add(OUT_OF_ORDER).min(place.last.0.0)))
}

fn id_at(connection: &Connection, key: i64) -> rusqlite::Result<EntryId> {
    connection
        .prepare_cached("SELECT id FROM entries WHERE key = ?1")?
        .query_row([key], |row| Ok(EntryId::from_bytes(row.get(0)?)))
}
