use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;

use super::lock;
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

fn behind(log: &[Entry], after: Seq, limit: usize) -> Vec<Entry> {
    let start = usize::try_from(after.0).unwrap_or(usize::MAX).min(log.len());
    log[start..].iter().take(limit).cloned().collect()
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
                entries_since: behind(logs.log(conversation), decided_at, READ_MAX),
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
        Ok(behind(lock(&self.logs).log(conversation), after, limit))
    }

    async fn read_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let logs = lock(&self.logs);
        let log = logs.log(conversation);
        let below = before.map_or(usize::MAX, |seq| {
            usize::try_from(seq.0.saturating_sub(1)).unwrap_or(usize::MAX)
        });
        let end = below.min(log.len());
        Ok(log[end.saturating_sub(limit)..end].to_vec())
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
