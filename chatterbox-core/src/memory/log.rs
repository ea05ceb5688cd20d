use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use async_trait::async_trait;

use super::lock;
use crate::clock::Timestamp;
use crate::domain::current::redact;
use crate::domain::entry::{ClientMessageId, Entry, Seq};
use crate::ids::{ConversationId, EntryId, UserId};
use crate::ports::storage::{Appended, ConversationLog, Head, NewEntry, READ_MAX, StoreError};

/// The logs of all conversations in memory.
#[derive(Debug)]
pub struct MemoryLog {
    entries: usize,
    logs: Mutex<Logs>,
}

#[derive(Debug, Default)]
struct Logs {
    /// The entry with seq n stands at index n - 1.
    entries_of: HashMap<ConversationId, Vec<Entry>>,
    by_id: HashMap<EntryId, (ConversationId, Seq)>,
    by_key: HashMap<(ConversationId, UserId, ClientMessageId), Seq>,
}

impl MemoryLog {
    /// At most `entries` log entries over all conversations.
    pub fn new(entries: usize) -> MemoryLog {
        MemoryLog {
            entries,
            logs: Mutex::default(),
        }
    }
}

/// For the twins that are fed from the log.
impl MemoryLog {
    pub(super) fn end(&self, conversation: ConversationId) -> Head {
        lock(&self.logs).head(conversation)
    }

    /// The entries above `above` that are so, in order.
    pub(super) fn find(
        &self,
        conversation: ConversationId,
        above: Seq,
        is_so: impl Fn(&Entry) -> bool,
    ) -> Vec<Entry> {
        let logs = lock(&self.logs);
        let seen = behind(logs.log(conversation), above);
        seen.iter().filter(|entry| is_so(entry)).cloned().collect()
    }

    /// Takes the content out of a message and of all its edits.
    pub(super) fn redact(&self, conversation: ConversationId, message: EntryId, at: Timestamp) {
        let mut logs = lock(&self.logs);
        let Some(entries) = logs.entries_of.get_mut(&conversation) else {
            return;
        };
        for entry in entries {
            let edits_it = entry.kind.target().is_some_and(|(target, _)| target == message);
            if entry.id == message || edits_it {
                redact(&mut entry.kind, at);
            }
        }
    }
}

impl Logs {
    fn log(&self, conversation: ConversationId) -> &[Entry] {
        self.entries_of.get(&conversation).map_or(&[], Vec::as_slice)
    }

    fn at(&self, conversation: ConversationId, seq: Seq) -> Option<&Entry> {
        let index = usize::try_from(seq.0.checked_sub(1)?).ok()?;
        self.log(conversation).get(index)
    }

    fn head(&self, conversation: ConversationId) -> Head {
        self.log(conversation).last().map_or(Head::EMPTY, Head::of)
    }

    /// The entry that is there already under the id, or else under the sender's key.
    fn duplicate_of(
        &self,
        conversation: ConversationId,
        new: &NewEntry,
    ) -> Result<Option<&Entry>, StoreError> {
        if let Some(&(stored_in, seq)) = self.by_id.get(&new.id) {
            return if stored_in == conversation {
                Ok(self.at(conversation, seq))
            } else {
                Err(StoreError::Corrupt(format!(
                    "entry {} is in conversation {stored_in}",
                    new.id
                )))
            };
        }
        let Some(key) = &new.client_message_id else {
            return Ok(None);
        };
        let seq = self.by_key.get(&(conversation, new.sender, key.clone()));
        Ok(seq.and_then(|seq| self.at(conversation, *seq)))
    }

    fn push(&mut self, entry: Entry) {
        self.by_id.insert(entry.id, (entry.conversation, entry.seq));
        if let Some(key) = &entry.client_message_id {
            self.by_key
                .insert((entry.conversation, entry.sender, key.clone()), entry.seq);
        }
        self.entries_of.entry(entry.conversation).or_default().push(entry);
    }
}

fn behind(log: &[Entry], after: Seq) -> &[Entry] {
    let start = usize::try_from(after.0).unwrap_or(usize::MAX).min(log.len());
    &log[start..]
}

fn before(log: &[Entry], before: Option<Seq>) -> &[Entry] {
    let below = before.map_or(usize::MAX, |seq| {
        usize::try_from(seq.0.saturating_sub(1)).unwrap_or(usize::MAX)
    });
    &log[..below.min(log.len())]
}

/// The first `limit`.
fn first<'a>(entries: impl Iterator<Item = &'a Entry>, limit: usize) -> Vec<Entry> {
    entries.take(limit).cloned().collect()
}

/// The last `limit`, in order.
fn last<'a>(entries: impl DoubleEndedIterator<Item = &'a Entry>, limit: usize) -> Vec<Entry> {
    let mut last: Vec<Entry> = entries.rev().take(limit).cloned().collect();
    last.reverse();
    last
}

#[async_trait]
impl ConversationLog for MemoryLog {
    async fn append(
        &self,
        conversation: ConversationId,
        decided_at: Seq,
        entries: Vec<NewEntry>,
    ) -> Result<Appended, StoreError> {
        let mut logs = lock(&self.logs);
        if let Some(first) = entries.first()
            && let Some(duplicate) = logs.duplicate_of(conversation, first)?
        {
            return Ok(Appended::Duplicate(duplicate.clone()));
        }
        let mut head = logs.head(conversation);
        if head.seq != decided_at {
            return Ok(Appended::Moved {
                entries_since: first(behind(logs.log(conversation), decided_at).iter(), READ_MAX),
                head,
            });
        }
        if logs.by_id.len() + entries.len() > self.entries {
            return Err(StoreError::Full);
        }
        let mut added = Vec::with_capacity(entries.len());
        for new in entries {
            if logs.duplicate_of(conversation, &new)?.is_some() {
                break;
            }
            let entry = head.place(conversation, new).ok_or(StoreError::Full)?;
            logs.push(entry.clone());
            added.push(entry);
        }
        Ok(Appended::At(added))
    }

    async fn head(&self, conversation: ConversationId) -> Result<Head, StoreError> {
        Ok(lock(&self.logs).head(conversation))
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        let logs = lock(&self.logs);
        Ok(conversations.iter().map(|id| logs.head(*id)).collect())
    }

    async fn read_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        Ok(first(
            behind(lock(&self.logs).log(conversation), after).iter(),
            limit,
        ))
    }

    async fn read_before(
        &self,
        conversation: ConversationId,
        seq: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        Ok(last(
            before(lock(&self.logs).log(conversation), seq).iter(),
            limit,
        ))
    }

    async fn history_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let logs = lock(&self.logs);
        let entries = behind(logs.log(conversation), after).iter();
        Ok(first(entries.filter(|entry| entry.kind.is_shown()), limit))
    }

    async fn history_before(
        &self,
        conversation: ConversationId,
        seq: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let logs = lock(&self.logs);
        let entries = before(logs.log(conversation), seq).iter();
        Ok(last(entries.filter(|entry| entry.kind.is_shown()), limit))
    }

    async fn read_at(&self, conversation: ConversationId, seqs: &[Seq]) -> Result<Vec<Entry>, StoreError> {
        let logs = lock(&self.logs);
        let numbers: BTreeSet<Seq> = seqs.iter().copied().collect();
        let entries = numbers.iter().filter_map(|seq| logs.at(conversation, *seq));
        Ok(entries.cloned().collect())
    }

    async fn get(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Entry>, StoreError> {
        let logs = lock(&self.logs);
        Ok(match logs.by_id.get(&id) {
            Some((stored_in, seq)) if *stored_in == conversation => logs.at(conversation, *seq).cloned(),
            Some(_) | None => None,
        })
    }

    async fn by_client_message_id(
        &self,
        conversation: ConversationId,
        sender: UserId,
        key: &ClientMessageId,
    ) -> Result<Option<Entry>, StoreError> {
        let logs = lock(&self.logs);
        let seq = logs.by_key.get(&(conversation, sender, key.clone()));
        Ok(seq.and_then(|seq| logs.at(conversation, *seq)).cloned())
    }
}
