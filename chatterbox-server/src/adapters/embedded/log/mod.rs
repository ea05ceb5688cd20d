//! The logs of conversations: entries are made durable in the order in which they arrive, and settle in batches where
//! they are read by conversation.
//!
//! ```text
//! append ─▶ journal (table: a few pages a commit) ──settle, many at a time──▶ entries (table: a page per conversation)
//!             └▶ unsettled (memory: at most 4,096 entries)                       │
//!                      └──────────────▶ reads: the end of a log ◀── the rest ────┘
//! ```
//!
//! 64 senders in conversations of their own, 128-byte messages, CPU of the whole process per durable message: 50 us
//! with each entry put in its place by the commit that makes it durable, 28 us this way, settling included
//! (`benches/store.rs`). Batches of 64 entries in one conversation, which share their pages anyway, pay for being
//! written twice: 21 us instead of 13.
//!
//! A crash leaves the journal as it is; opening the store settles it. Whatever reads or changes rows of `entries` in a
//! transaction of its own calls [`Writing::settle`] or [`Writing::settle_all`] first.

mod heads;
mod journal;
mod rows;
mod unsettled;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use async_trait::async_trait;
use chatterbox_core::domain::entry::{ClientMessageId, Entry, Seq};
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::ports::storage::{Appended, ConversationLog, Head, NewEntry, READ_MAX, StoreError};
use rusqlite::Connection;

use super::EmbeddedStore;
use super::error::store_error;
use super::writer::Writing;
use unsettled::{Found, Which};

pub(super) use heads::Heads;
pub(super) use journal::Journal;
pub(super) use rows::{
    at_key, entry, entry_columns, give_number, head_of, json, key, number as number_of, number_in, shown,
};
pub(super) use unsettled::Unsettled;

pub(super) struct EmbeddedLog(EmbeddedStore);

impl EmbeddedLog {
    pub(super) fn new(store: &EmbeddedStore) -> EmbeddedLog {
        EmbeddedLog(store.clone())
    }

    async fn after(
        &self,
        (conversation, which): (ConversationId, Which),
        above: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let limit = limit.min(READ_MAX);
        let unsettled = self
            .0
            .unsettled
            .committed(|view| view.first_of(conversation, which, above, limit));
        if above >= unsettled.last_settled() {
            return Ok(unsettled.entries().collect());
        }
        self.0
            .readers
            .read(move |connection| {
                with_settled_before(connection, (conversation, which), above, limit, &unsettled)
            })
            .await
    }

    async fn before(
        &self,
        (conversation, which): (ConversationId, Which),
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let last = Seq(before.map_or(u32::MAX, |before| before.0.saturating_sub(1)));
        let limit = limit.min(READ_MAX);
        let unsettled = self
            .0
            .unsettled
            .committed(|view| view.last_of(conversation, which, last, limit));
        if unsettled.entries.len() == limit {
            return Ok(unsettled.entries().collect());
        }
        self.0
            .readers
            .read(move |connection| {
                with_settled_behind(connection, (conversation, which), last, limit, &unsettled)
            })
            .await
    }
}

fn number(connection: &Connection, conversation: ConversationId) -> Result<Option<u32>, StoreError> {
    number_of(connection, conversation).map_err(store_error)
}

/// The entry that is there already under the new one's id, or else under its sender's key.
fn earlier(
    writing: &Writing,
    (conversation, number): (ConversationId, Option<u32>),
    new: &NewEntry,
) -> Result<Option<Entry>, StoreError> {
    let elsewhere = || StoreError::Corrupt(format!("entry {} is in another conversation", new.id));
    let (connection, journal) = (&writing.connection, &writing.journal);
    if let Some(entry) = journal.unsettled().running(|view| view.by_id(new.id)) {
        return if entry.conversation == conversation {
            Ok(Some(Entry::clone(&entry)))
        } else {
            Err(elsewhere())
        };
    }
    if journal.may_be_settled(new.id) && rows::has_id(connection, new.id)? {
        let here = match number {
            Some(number) => rows::by_id(connection, (conversation, number), new.id)?,
            None => None,
        };
        return here.map(Some).ok_or_else(elsewhere);
    }
    let Some(key) = &new.client_message_id else {
        return Ok(None);
    };
    let (unsettled, first) = journal.unsettled().running(|view| {
        let found = view.by_key(conversation, new.sender, key);
        (found, view.first_of(conversation, Which::All, Seq::ZERO, 0).first)
    });
    match (unsettled, number) {
        (Some(entry), _) => Ok(Some(Entry::clone(&entry))),
        // Nothing of this log is settled.
        (None, Some(_)) if first == Some(Seq(1)) => Ok(None),
        (None, Some(number)) => rows::by_key(connection, (conversation, number), new.sender, key),
        (None, None) => Ok(None),
    }
}

fn append(
    writing: &mut Writing,
    conversation: ConversationId,
    decided_at: Seq,
    new_entries: Vec<NewEntry>,
) -> Result<Appended, StoreError> {
    let mut log = writing
        .heads
        .of(&writing.connection, &writing.journal, conversation)?;
    if let Some(first) = new_entries.first()
        && let Some(entry) = earlier(writing, (conversation, log.number), first)?
    {
        return Ok(Appended::Duplicate(entry));
    }
    if log.head.seq != decided_at {
        let unsettled = writing
            .journal
            .unsettled()
            .running(|view| view.first_of(conversation, Which::All, decided_at, READ_MAX));
        return Ok(Appended::Moved {
            entries_since: with_settled_before(
                &writing.connection,
                (conversation, Which::All),
                decided_at,
                READ_MAX,
                &unsettled,
            )?,
            head: log.head,
        });
    }
    let number = match log.number {
        Some(number) => number,
        None => rows::give_number(&writing.connection, conversation)?,
    };
    log.number = Some(number);
    let mut added = Vec::with_capacity(new_entries.len());
    for new in new_entries {
        if !added.is_empty() && earlier(writing, (conversation, log.number), &new)?.is_some() {
            break;
        }
        let Some(entry) = log.head.place(conversation, new) else {
            break;
        };
        writing.journal.add(&writing.connection, number, entry.clone())?;
        added.push(entry);
    }
    if added.is_empty() {
        return Err(StoreError::Full);
    }
    writing.heads.remember(conversation, log);
    Ok(Appended::At(added))
}

/// The first `limit` entries above `above`: the settled ones, then those found unsettled before.
fn with_settled_before(
    connection: &Connection,
    (conversation, which): (ConversationId, Which),
    above: Seq,
    limit: usize,
    unsettled: &Found,
) -> Result<Vec<Entry>, StoreError> {
    let mut page = match number(connection, conversation)? {
        Some(number) if above < unsettled.last_settled() => {
            let range = (above, unsettled.last_settled());
            rows::first_of(connection, (conversation, number), which, range, limit)?
        }
        Some(_) | None => Vec::new(),
    };
    let room = limit.saturating_sub(page.len());
    page.extend(unsettled.entries().take(room));
    Ok(page)
}

/// The last `limit` entries up to `last`: settled ones, then those found unsettled before.
fn with_settled_behind(
    connection: &Connection,
    (conversation, which): (ConversationId, Which),
    last: Seq,
    limit: usize,
    unsettled: &Found,
) -> Result<Vec<Entry>, StoreError> {
    let room = limit.saturating_sub(unsettled.entries.len());
    let mut page = match number(connection, conversation)? {
        Some(number) if room > 0 => {
            let last = last.min(unsettled.last_settled());
            rows::last_of(connection, (conversation, number), which, last, room)?
        }
        Some(_) | None => Vec::new(),
    };
    page.extend(unsettled.entries());
    Ok(page)
}

fn settled_head(connection: &Connection, conversation: ConversationId) -> Result<Head, StoreError> {
    match number(connection, conversation)? {
        Some(number) => rows::head(connection, number),
        None => Ok(Head::EMPTY),
    }
}

// Every read looks into the memory first and reads the database afterwards; see `unsettled.rs`.
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
        if let Some(head) = self.0.unsettled.committed(|view| view.head(conversation)) {
            return Ok(head);
        }
        self.0
            .readers
            .read(move |connection| settled_head(connection, conversation))
            .await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        let unsettled: Vec<(ConversationId, Option<Head>)> = self.0.unsettled.committed(|view| {
            let found = conversations.iter().map(|id| (*id, view.head(*id)));
            found.collect()
        });
        self.0
            .readers
            .read(move |connection| {
                let heads = unsettled.into_iter().map(|(conversation, head)| match head {
                    Some(head) => Ok(head),
                    None => settled_head(connection, conversation),
                });
                heads.collect()
            })
            .await
    }

    async fn read_after(
        &self,
        conversation: ConversationId,
        above: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.after((conversation, Which::All), above, limit).await
    }

    async fn read_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.before((conversation, Which::All), before, limit).await
    }

    async fn history_after(
        &self,
        conversation: ConversationId,
        above: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.after((conversation, Which::Shown), above, limit).await
    }

    async fn history_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.before((conversation, Which::Shown), before, limit).await
    }

    async fn read_at(&self, conversation: ConversationId, seqs: &[Seq]) -> Result<Vec<Entry>, StoreError> {
        let mut seqs: BTreeSet<Seq> = seqs.iter().copied().collect();
        let unsettled = self.0.unsettled.committed(|view| view.among(conversation, &seqs));
        let last_settled = unsettled.last_settled();
        seqs.retain(|seq| *seq <= last_settled);
        if seqs.is_empty() {
            return Ok(unsettled.entries().collect());
        }
        self.0
            .readers
            .read(move |connection| {
                let mut found = match number(connection, conversation)? {
                    Some(number) => rows::among(connection, (conversation, number), &seqs)?,
                    None => Vec::new(),
                };
                found.extend(unsettled.entries());
                Ok(found)
            })
            .await
    }

    async fn get(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Entry>, StoreError> {
        if let Some(entry) = self.0.unsettled.committed(|view| view.by_id(id)) {
            return Ok((entry.conversation == conversation).then(|| Entry::clone(&entry)));
        }
        self.0
            .readers
            .read(move |connection| match number(connection, conversation)? {
                Some(number) => rows::by_id(connection, (conversation, number), id),
                None => Ok(None),
            })
            .await
    }

    async fn get_many(
        &self,
        conversation: ConversationId,
        ids: &[EntryId],
    ) -> Result<Vec<Entry>, StoreError> {
        let (mut found, mut stored) = (Vec::new(), Vec::new());
        for id in ids {
            match self.0.unsettled.committed(|view| view.by_id(*id)) {
                Some(entry) if entry.conversation == conversation => found.push(Entry::clone(&entry)),
                Some(_) => {}
                None => stored.push(*id),
            }
        }
        if stored.is_empty() {
            return Ok(found);
        }
        self.0
            .readers
            .read(move |connection| {
                if let Some(number) = number(connection, conversation)? {
                    for id in stored {
                        found.extend(rows::by_id(connection, (conversation, number), id)?);
                    }
                }
                Ok(found)
            })
            .await
    }

    async fn by_client_message_id(
        &self,
        conversation: ConversationId,
        sender: UserId,
        key: &ClientMessageId,
    ) -> Result<Option<Entry>, StoreError> {
        let unsettled = self
            .0
            .unsettled
            .committed(|view| view.by_key(conversation, sender, key));
        if let Some(entry) = unsettled {
            return Ok(Some(Entry::clone(&entry)));
        }
        let key = key.clone();
        self.0
            .readers
            .read(move |connection| match number(connection, conversation)? {
                Some(number) => rows::by_key(connection, (conversation, number), sender, &key),
                None => Ok(None),
            })
            .await
    }
}
