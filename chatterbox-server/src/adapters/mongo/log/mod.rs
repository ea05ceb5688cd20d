//! The logs of conversations: one document an entry, unique by conversation and seq.
//!
//! ```text
//! append(decided_at) ─▶ ordered insert_many at decided_at + 1, + 2, …      majority, journal: one round trip
//!        │                  └ the first number is taken, or the entry is there already:
//!        └▶ what it decided on ─ remembered, or read with majority     by id · by key · what came between
//! ```
//!
//! No counter and no transaction: the numbers themselves are what racing nodes contend for, and an ordered insert ends
//! at the first that is taken, so what is there is dense whoever dies when. That holds only behind entries that stay:
//! an entry that was read with local concern may go again when a primary is lost, and one put behind it would leave a
//! gap. So entries are only ever put behind one that a majority has: because this node was told so when it was added
//! ([`Heads`] remembers), or because it was read with majority concern.
//!
//! Round trips: an append of the node that made the last one costs 1; else 2 (what was decided on is read), and 2 more
//! where it was too late. Pages, heads and single entries cost 1, heads of many 1 for each 25, at the same time.

mod heads;
mod rows;
mod tails;

use std::time::Duration;

use async_trait::async_trait;
use chatterbox_core::domain::entry::{ClientMessageId, Entry, Seq};
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::ports::storage::{Appended, ConversationLog, Head, NewEntry, READ_MAX, StoreError};
use mongodb::Collection;
use mongodb::bson::{Document, doc};

use super::Shared;
use super::error::{corrupt, unsettled};
use super::ids::{self, Id as _, LAST, seq_key, seqs_between};

pub(super) use heads::Heads;
pub(super) use rows::{EntryRow, entry_fields, words_of};
use rows::{HeadRow, head_fields, shown};
pub(super) use tails::{heads_of, last_shown_of};

/// How long it is waited for what another node has written to be on a majority: about a second in all.
const SETTLING: [Duration; 8] = [
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(15),
    Duration::from_millis(40),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(300),
    Duration::from_millis(400),
];

/// What is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Shown,
}

pub(super) struct MongoLog(Shared);

/// An entry that was not added, as it is looked for.
struct Wanted {
    id: EntryId,
    sender: UserId,
    key: Option<ClientMessageId>,
}

impl Wanted {
    fn is(&self, entry: &Entry) -> bool {
        entry.id == self.id
            || (self.key.is_some() && entry.client_message_id == self.key && entry.sender == self.sender)
    }
}

impl MongoLog {
    pub(super) fn new(shared: &Shared) -> MongoLog {
        MongoLog(shared.clone())
    }

    /// Entries of which a majority knows.
    fn settled(&self) -> &Collection<EntryRow> {
        &self.0.entries
    }

    async fn page(
        &self,
        conversation: ConversationId,
        (which, range): (Which, Document),
        (direction, limit): (i32, usize),
    ) -> Result<Vec<Entry>, StoreError> {
        let mut filter = match which {
            Which::All => Document::new(),
            Which::Shown => shown(),
        };
        filter.insert("_id", range);
        let find = self
            .settled()
            .find(filter)
            .sort(doc! { "_id": direction })
            .limit(ids::limit(limit))
            .batch_size(ids::batch(limit))
            .projection(entry_fields());
        let entries = self.entries(find).await?;
        if entries.iter().any(|entry| entry.conversation != conversation) {
            return Err(corrupt(format!(
                "an entry of another conversation among those of {conversation}"
            )));
        }
        Ok(entries)
    }

    async fn entries(&self, find: mongodb::action::Find<'_, EntryRow>) -> Result<Vec<Entry>, StoreError> {
        let rows = self.0.gate.all(find).await?;
        rows.into_iter().map(Entry::try_from).collect()
    }

    async fn after(
        &self,
        conversation: ConversationId,
        which: Which,
        above: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let range = seqs_between(conversation, above, LAST);
        self.page(conversation, (which, range), (1, limit)).await
    }

    async fn before(
        &self,
        conversation: ConversationId,
        which: Which,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let last = before.map_or(LAST, |before| Seq(before.0.saturating_sub(1)));
        let range = seqs_between(conversation, Seq::ZERO, last);
        let mut page = self.page(conversation, (which, range), (-1, limit)).await?;
        page.reverse();
        Ok(page)
    }

    /// The head that a log had at a number, if a majority knows of the entry there.
    async fn settled_head_at(
        &self,
        conversation: ConversationId,
        at: Seq,
    ) -> Result<Option<Head>, StoreError> {
        if at == Seq::ZERO {
            return Ok(Some(Head::EMPTY));
        }
        if let Some(head) = self.0.heads.get(conversation).filter(|head| head.seq == at) {
            return Ok(Some(head));
        }
        let rows: Collection<HeadRow> = self.settled().clone_with_type();
        let find = rows
            .find_one(doc! { "_id": seq_key(conversation, at) })
            .projection(head_fields());
        let found = self.0.gate.call(find.into_future()).await?;
        found.map(Head::try_from).transpose()
    }

    /// The newest head that the primary knows.
    async fn newest_head(&self, conversation: ConversationId) -> Result<Head, StoreError> {
        let rows: Collection<HeadRow> = self.0.newest_entries.clone_with_type();
        let find = rows
            .find_one(doc! { "_id": seqs_between(conversation, Seq::ZERO, LAST) })
            .sort(doc! { "_id": -1 })
            .projection(head_fields());
        let found = self.0.gate.call(find.into_future()).await?;
        found.map_or(Ok(Head::EMPTY), Head::try_from)
    }

    /// The entry that is there already under this id, or else under this key.
    async fn earlier(
        &self,
        conversation: ConversationId,
        wanted: &Wanted,
    ) -> Result<Option<Entry>, StoreError> {
        let by_id = doc! { "id": wanted.id.oid() };
        let filter = match &wanted.key {
            Some(key) => doc! { "$or": [by_id, by_key(conversation, wanted.sender, key)] },
            None => by_id,
        };
        let find = self.settled().find(filter).projection(entry_fields());
        let mut found = self.entries(find).await?;
        if let Some(mine) = found.iter().position(|entry| entry.id == wanted.id) {
            let mine = found.swap_remove(mine);
            return if mine.conversation == conversation {
                Ok(Some(mine))
            } else {
                Err(corrupt(format!(
                    "entry {} is in conversation {}",
                    mine.id, mine.conversation
                )))
            };
        }
        Ok(found.pop())
    }

    /// Why `wanted` could not be added behind `decided_at`. What stands in its way may have been written a moment ago:
    /// it is told when a majority has it.
    async fn reason(
        &self,
        conversation: ConversationId,
        decided_at: Seq,
        wanted: &Wanted,
    ) -> Result<Appended, StoreError> {
        for pause in SETTLING {
            if let Some(entry) = self.earlier(conversation, wanted).await? {
                return Ok(Appended::Duplicate(entry));
            }
            // One more tells whether there are more.
            let mut since = self
                .after(conversation, Which::All, decided_at, READ_MAX + 1)
                .await?;
            // It may have settled between the two questions.
            if let Some(entry) = since.iter().find(|entry| wanted.is(entry)) {
                return Ok(Appended::Duplicate(entry.clone()));
            }
            if let Some(last) = since.last() {
                let head = if since.len() > READ_MAX {
                    since.truncate(READ_MAX);
                    let last = self.before(conversation, Which::All, None, 1).await?;
                    last.last().map_or(Head::EMPTY, Head::of)
                } else {
                    Head::of(last)
                };
                self.0.heads.remember(conversation, head);
                return Ok(Appended::Moved {
                    entries_since: since,
                    head,
                });
            }
            let head = self.newest_head(conversation).await?;
            if head.seq < decided_at {
                return Ok(Appended::Moved {
                    entries_since: Vec::new(),
                    head,
                });
            }
            tokio::time::sleep(pause).await;
        }
        Err(unsettled())
    }
}

fn by_key(conversation: ConversationId, sender: UserId, key: &ClientMessageId) -> Document {
    doc! { "conversation": conversation.oid(), "sender": sender.oid(), "clientMessageId": key.as_str() }
}

#[async_trait]
impl ConversationLog for MongoLog {
    async fn append(
        &self,
        conversation: ConversationId,
        decided_at: Seq,
        entries: Vec<NewEntry>,
    ) -> Result<Appended, StoreError> {
        let Some(first) = entries.first() else {
            return Ok(Appended::At(Vec::new()));
        };
        let first = Wanted {
            id: first.id,
            sender: first.sender,
            key: first.client_message_id.clone(),
        };
        let Some(mut head) = self.settled_head_at(conversation, decided_at).await? else {
            return self.reason(conversation, decided_at, &first).await;
        };
        let place = |new| head.place(conversation, new);
        let mut added: Vec<Entry> = entries.into_iter().map_while(place).collect();
        if added.is_empty() {
            return Err(StoreError::Full);
        }
        let rows: Vec<EntryRow> = added.iter().map(EntryRow::from).collect();
        let insert = self.settled().insert_many(&rows).ordered(true);
        match self.0.gate.call(insert.into_future()).await {
            Ok(_) => {}
            // Also those before the one that was taken are on a majority when this is answered.
            Err(failure) => match failure.inserted_before_duplicate() {
                Some(0) => return self.reason(conversation, decided_at, &first).await,
                Some(inserted) => added.truncate(inserted),
                None => return Err(failure.into()),
            },
        }
        if let Some(last) = added.last() {
            self.0.heads.remember(conversation, Head::of(last));
        }
        Ok(Appended::At(added))
    }

    async fn head(&self, conversation: ConversationId) -> Result<Head, StoreError> {
        let head = self.newest_head(conversation).await?;
        if head == Head::EMPTY || !self.0.has_majority {
            return Ok(head);
        }
        // Whoever asks reads up to it next, from what a majority has: it is told when that is so.
        for pause in SETTLING {
            if self.settled_head_at(conversation, head.seq).await? == Some(head) {
                self.0.heads.remember(conversation, head);
                return Ok(head);
            }
            tokio::time::sleep(pause).await;
        }
        Err(unsettled())
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        heads_of(&self.0, conversations).await
    }

    async fn read_after(
        &self,
        conversation: ConversationId,
        above: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.after(conversation, Which::All, above, limit.min(READ_MAX))
            .await
    }

    async fn read_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.before(conversation, Which::All, before, limit.min(READ_MAX))
            .await
    }

    async fn history_after(
        &self,
        conversation: ConversationId,
        above: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.after(conversation, Which::Shown, above, limit.min(READ_MAX))
            .await
    }

    async fn history_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.before(conversation, Which::Shown, before, limit.min(READ_MAX))
            .await
    }

    async fn read_at(&self, conversation: ConversationId, seqs: &[Seq]) -> Result<Vec<Entry>, StoreError> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = seqs.iter().map(|seq| seq_key(conversation, *seq)).collect();
        let among = doc! { "$in": keys };
        self.page(conversation, (Which::All, among), (1, seqs.len()))
            .await
    }

    async fn get(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Entry>, StoreError> {
        Ok(self.get_many(conversation, &[id]).await?.pop())
    }

    async fn get_many(
        &self,
        conversation: ConversationId,
        ids: &[EntryId],
    ) -> Result<Vec<Entry>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let find = self
            .settled()
            .find(doc! { "id": { "$in": ids::oids(ids) } })
            .batch_size(ids::batch(ids.len()))
            .projection(entry_fields());
        let mut found = self.entries(find).await?;
        found.retain(|entry| entry.conversation == conversation);
        Ok(found)
    }

    async fn by_client_message_id(
        &self,
        conversation: ConversationId,
        sender: UserId,
        key: &ClientMessageId,
    ) -> Result<Option<Entry>, StoreError> {
        let find = self
            .settled()
            .find(by_key(conversation, sender, key))
            .limit(1)
            .projection(entry_fields());
        Ok(self.entries(find).await?.pop())
    }
}
