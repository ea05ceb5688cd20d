use async_trait::async_trait;

use super::StoreError;
use crate::clock::Timestamp;
use crate::domain::entry::{ClientMessageId, Entry, EntryKind, Seq};
use crate::ids::{ConversationId, EntryId, UserId};

/// The most entries that one answer carries.
pub const READ_MAX: usize = 1_000;

/// Where a conversation's log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Seq of the last entry; 0 when there is none.
    pub seq: Seq,
    /// Ordinal of the last message; 0 when there is none.
    pub ordinal: u32,
    /// Seq of the last governing entry ([`EntryKind::governs`]); 0 when there is none.
    pub gov: Seq,
    /// Stamp of the last entry; `createdAt` never goes below it.
    pub created_at: Timestamp,
}

impl Head {
    /// Of a conversation without entries.
    pub const EMPTY: Head = Head {
        seq: Seq::ZERO,
        ordinal: 0,
        gov: Seq::ZERO,
        created_at: Timestamp::EPOCH,
    };

    /// Where a log ends whose last entry this is.
    pub fn of(last: &Entry) -> Head {
        Head {
            seq: last.seq,
            ordinal: last.ordinal,
            gov: last.gov,
            created_at: last.created_at,
        }
    }

    /// Numbers `new` as the entry right behind this head, which moves on to it. `None`, and the head stays, when the
    /// log has no number left.
    pub fn place(&mut self, conversation: ConversationId, new: NewEntry) -> Option<Entry> {
        let seq = Seq(self.seq.0.checked_add(1)?);
        let entry = Entry {
            id: new.id,
            conversation,
            seq,
            ordinal: self.ordinal + u32::from(new.kind.is_message()),
            gov: if new.kind.governs() { seq } else { self.gov },
            sender: new.sender,
            client_message_id: new.client_message_id,
            created_at: new.created_at.max(self.created_at),
            kind: new.kind,
        };
        *self = Head::of(&entry);
        Some(entry)
    }
}

/// An entry on its way into the log. Its id was made before the first attempt and stays through all retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Identifies the attempt and becomes the entry's id.
    pub id: EntryId,
    /// Who caused it.
    pub sender: UserId,
    /// The client's own key, if it gave one: one (conversation, sender, key) makes at most one entry (I2).
    pub client_message_id: Option<ClientMessageId>,
    /// When it was decided; the store may raise it to the head's stamp.
    pub created_at: Timestamp,
    /// What it is.
    pub kind: EntryKind,
}

/// The answer to an append.
#[derive(Debug, Clone, PartialEq)]
pub enum Appended {
    /// The first `entries.len()` of the given entries are in the log, durable, with dense seqs behind `decided_at`.
    /// Fewer than were given only when the next one is a duplicate: ask again with the rest.
    At(Vec<Entry>),
    /// Nothing was added: the first given entry is in the log already, under its id (the answer to an earlier attempt
    /// was lost) or under its (conversation, sender, client message id). This is it.
    Duplicate(Entry),
    /// Nothing was added: the log had moved beyond `decided_at`. These came in between (the first [`READ_MAX`], in
    /// order; the head says whether there are more). A head below `decided_at`, with nothing in between, tells a
    /// caller that the log it remembers is not this one: read it again.
    Moved {
        /// Entries behind `decided_at`.
        entries_since: Vec<Entry>,
        /// The head that was found.
        head: Head,
    },
}

/// The logs of all conversations: entries with a dense `seq` from 1, never changed but by redaction (I1, I2, I3).
#[async_trait]
pub trait ConversationLog: Send + Sync {
    /// Adds `entries` (1 to 256) right behind `decided_at`, all or a prefix, or says why not; see [`Appended`].
    /// Durable when it returns `At`. Atomic against concurrent appends of any node: two calls with one `decided_at`
    /// can't both be `At`. An error says nothing about whether it happened: ask again with the same ids.
    /// Order of the look-ups: the first entry's id, its client message id, then `decided_at` against the head.
    async fn append(
        &self,
        conversation: ConversationId,
        decided_at: Seq,
        entries: Vec<NewEntry>,
    ) -> Result<Appended, StoreError>;

    /// The head; [`Head::EMPTY`] for a conversation without entries.
    async fn head(&self, conversation: ConversationId) -> Result<Head, StoreError>;

    /// Heads of several conversations (at most 500), in their order.
    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError>;

    /// Entries above `after` in order of seq, at most `limit` (1 to 1,000).
    async fn read_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Entries below `before` (`None`: from the head), the last `limit` (1 to 1,000) of them in order of seq.
    async fn read_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// As [`read_after`](ConversationLog::read_after), but only what history shows ([`EntryKind::is_shown`]).
    async fn history_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// As [`read_before`](ConversationLog::read_before), but only what history shows.
    async fn history_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// The entries with these numbers (at most 1,000), in order of seq; those that exist.
    async fn read_at(&self, conversation: ConversationId, seqs: &[Seq]) -> Result<Vec<Entry>, StoreError>;

    /// One entry of a conversation by id.
    async fn get(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Entry>, StoreError>;

    /// Several entries of a conversation by id (at most 1,000, each once), in any order; those that exist. Stores that
    /// can do it in one question do.
    async fn get_many(
        &self,
        conversation: ConversationId,
        ids: &[EntryId],
    ) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        for id in ids {
            found.extend(self.get(conversation, *id).await?);
        }
        Ok(found)
    }

    /// The entry that this sender made under this key.
    async fn by_client_message_id(
        &self,
        conversation: ConversationId,
        sender: UserId,
        key: &ClientMessageId,
    ) -> Result<Option<Entry>, StoreError>;
}
