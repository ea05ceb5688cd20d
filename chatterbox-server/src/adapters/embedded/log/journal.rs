//! The writer's side of unsettled entries: their table, and how they get from there into `entries`.
//!
//! ```text
//! append ─▶ INSERT INTO journal ─▶ memory (unsettled.rs)
//!                                     │  more than so many: conversation by conversation, the oldest first
//!                                     │  nobody writes for a while, the store closes, or a write asks for it: all
//!                                     ▼
//!             INSERT INTO entries SELECT … FROM journal ─▶ out of memory ─▶ rows of journal deleted, many at a time
//! ```
//!
//! Why: a commit writes every page that it changed, and whatever the page holds besides, 4 KiB. Put straight into
//! `entries`, a message of another conversation than the one before changes two pages of its own (the leaf of its
//! conversation and that of the index of client keys), 50 us of CPU; in the order of arrival 14 messages share one.
//! By the time a conversation is settled it has several entries here that share pages in `entries` as well.
//!
//! Whatever settles them, entries get into `entries` by an `INSERT` of this file, and the search index is told
//! ([`Unfed`]); of what opening the store settles it finds out by itself.

use chatterbox_core::domain::entry::{ClientMessageId, Entry, Seq};
use chatterbox_core::ids::{ConversationId, EntryId};
use chatterbox_core::ports::storage::StoreError;
use rusqlite::{Connection, params};

use super::super::error::store_error;
use super::super::search::Unfed;
use super::rows;
use super::unsettled::{Arrival, Memory, Taken, Unsettled};

/// What may wait in memory; a commit that leaves more settles some. A group may add more than this at once, and for
/// the time of its transaction it is held all the same.
pub(in super::super) const ENTRIES_MAX: usize = 4_096;
const BYTES_MAX: usize = 8 << 20;

/// Entries settled at a time: enough that they share pages, few enough that nobody waits long for it (some 2 ms).
const SLICE: usize = 256;

/// Settled rows stay in the journal until there are so many.
const DELETE_FROM: Arrival = 2_048;

/// See the [module](self).
pub(in super::super) struct Journal {
    unsettled: Unsettled,
    /// Learns of what has settled.
    unfed: Unfed,
    /// No settled entry has a greater id. Ids begin with the time, so most new ones are greater, and need no look-up.
    newest_settled: EntryId,
    /// Rows up to this one were deleted, or never were.
    deleted_upto: Arrival,
}

macro_rules! columns {
    () => {
        "key, id, ordinal, gov, sender, client_message_id, created_at, kind"
    };
}

impl Journal {
    /// Settles what an earlier process has left.
    pub(in super::super) fn open(connection: &mut Connection, unfed: Unfed) -> rusqlite::Result<Journal> {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        move_all(&transaction)?;
        transaction.commit()?;
        let newest: Option<[u8; 12]> =
            connection.query_row("SELECT max(id) FROM entries", [], |row| row.get(0))?;
        Ok(Journal {
            unsettled: Unsettled::default(),
            unfed,
            newest_settled: EntryId::from_bytes(newest.unwrap_or([0; 12])),
            deleted_upto: 0,
        })
    }

    /// What is in the journal, for readers.
    pub(in super::super) fn unsettled(&self) -> &Unsettled {
        &self.unsettled
    }

    /// The logs whose settled entries wait to be searchable.
    pub(in super::super) fn unfed(&mut self) -> &mut Unfed {
        &mut self.unfed
    }

    /// Whether a settled entry may have this id.
    pub(super) fn may_be_settled(&self, id: EntryId) -> bool {
        id <= self.newest_settled
    }

    /// Adds an entry behind the last one of its conversation, whose number is given.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        number: u32,
        entry: Entry,
    ) -> Result<(), StoreError> {
        let kind = serde_json::to_string(&entry.kind)
            .map_err(|error| StoreError::Corrupt(format!("entry {} can't be written: {error}", entry.id)))?;
        let arrival = self.unsettled.change(Memory::next_arrival);
        connection
            .prepare_cached(
                "INSERT INTO journal (arrival, key, id, ordinal, gov, sender, client_message_id, created_at, kind)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    arrival,
                    rows::key(number, entry.seq),
                    entry.id.as_bytes(),
                    entry.ordinal,
                    entry.gov.0,
                    entry.sender.as_bytes(),
                    entry.client_message_id.as_ref().map(ClientMessageId::as_str),
                    entry.created_at.as_millis(),
                    kind,
                ])
            })
            .map_err(store_error)?;
        self.unsettled
            .change(|memory| memory.add(arrival, entry, kind.len()));
        self.unfed.announce();
        Ok(())
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.unsettled.change(|memory| memory.len() == 0)
    }

    /// Settles some entries if there are too many.
    pub(in super::super) fn settle_excess(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        while self
            .unsettled
            .change(|memory| memory.len() > ENTRIES_MAX || memory.bytes() > BYTES_MAX)
        {
            self.settle_some(connection)?;
        }
        Ok(())
    }

    /// Settles [`SLICE`] entries or some more: all of one conversation, and of the next.
    pub(in super::super) fn settle_some(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let taken = self.unsettled.change(|memory| memory.settle_oldest(SLICE));
        self.move_to_entries(connection, &taken)?;
        self.delete(connection)
    }

    /// Settles everything: afterwards, within the same transaction, `entries` is the whole truth and the journal is
    /// empty.
    pub(in super::super) fn settle_all(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let taken = self.unsettled.change(|memory| memory.settle_oldest(usize::MAX));
        self.move_to_entries(connection, &taken)?;
        self.delete(connection)
    }

    /// Settles everything of one conversation: afterwards, within the same transaction, `entries` is the whole truth
    /// about it and the journal has none of its entries.
    pub(in super::super) fn settle(
        &mut self,
        connection: &Connection,
        conversation: ConversationId,
    ) -> Result<(), StoreError> {
        let Some(number) = rows::number(connection, conversation).map_err(store_error)? else {
            return Ok(());
        };
        let taken = self.unsettled.change(|memory| memory.settle(conversation));
        self.move_to_entries(connection, &taken).map_err(store_error)?;
        // All rows are looked at, some thousands: about a millisecond.
        connection
            .prepare_cached("DELETE FROM journal WHERE key BETWEEN ?1 AND ?2")
            .and_then(|mut delete| {
                delete.execute([rows::key(number, Seq::ZERO), rows::key(number, Seq(u32::MAX))])
            })
            .map_err(store_error)?;
        Ok(())
    }

    fn move_to_entries(&mut self, connection: &Connection, taken: &Taken) -> rusqlite::Result<()> {
        let mut settle = connection.prepare_cached(concat!(
            "INSERT INTO entries (",
            columns!(),
            ") SELECT ",
            columns!(),
            " FROM journal WHERE arrival = ?1"
        ))?;
        for arrival in &taken.arrivals {
            settle.execute([arrival])?;
        }
        for conversation in &taken.conversations {
            self.unfed.add(*conversation);
        }
        self.newest_settled = self
            .newest_settled
            .max(taken.newest.unwrap_or(self.newest_settled));
        Ok(())
    }

    /// Deletes the rows in front of the first unsettled one, when they are many or all.
    fn delete(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let (upto, is_all) = self
            .unsettled
            .change(|memory| (memory.settled_upto(), memory.len() == 0));
        if upto == self.deleted_upto {
            return Ok(());
        }
        if is_all {
            // Without a condition SQLite drops the pages and looks at no row.
            connection.prepare_cached("DELETE FROM journal")?.execute([])?;
        } else if upto - self.deleted_upto >= DELETE_FROM {
            connection
                .prepare_cached("DELETE FROM journal WHERE arrival <= ?1")?
                .execute([upto])?;
        } else {
            return Ok(());
        }
        self.deleted_upto = upto;
        Ok(())
    }

    /// The transaction with everything done so far was committed.
    pub(in super::super) fn committed(&mut self) {
        self.unsettled.change(Memory::committed);
    }

    /// The transaction with everything done since the last commit was rolled back.
    pub(in super::super) fn rolled_back(&mut self) {
        self.unsettled.change(Memory::rolled_back);
        self.unfed.lose();
        // Rows that it deleted are there again.
        self.deleted_upto = 0;
    }
}

/// Moves what an earlier process left unsettled into `entries`, in the order of its pages, and empties the journal.
fn move_all(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached(concat!(
            "INSERT INTO entries (",
            columns!(),
            ") SELECT ",
            columns!(),
            " FROM journal
             WHERE NOT EXISTS (SELECT 1 FROM entries WHERE entries.key = journal.key) ORDER BY key"
        ))?
        .execute([])?;
    connection.prepare_cached("DELETE FROM journal")?.execute([])?;
    Ok(())
}
