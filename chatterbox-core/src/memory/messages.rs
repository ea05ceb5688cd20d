use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{MemoryLog, lock};
use crate::domain::current::{Edited, MessageState};
use crate::domain::entry::{Entry, EntryKind, Seq};
use crate::domain::text;
use crate::domain::words::{self, Wanted};
use crate::ids::{ConversationId, EntryId, UserId};
use crate::ports::storage::{
    HiddenMessage, HiddenPlace, MessageChange, MessageStep, MessageStore, Reply, SearchQuery, StoreError,
};

/// What became of messages in memory.
#[derive(Debug)]
pub struct MemoryMessages {
    entries: usize,
    rows: Mutex<Rows>,
    log: Arc<MemoryLog>,
}

#[derive(Debug, Default)]
struct Rows {
    states: HashMap<(ConversationId, Seq), MessageState>,
    deleted: HashMap<ConversationId, BTreeSet<Seq>>,
    replies: HashMap<(ConversationId, EntryId), BTreeSet<Seq>>,
    hidden: HashMap<UserId, Vec<HiddenMessage>>,
    hidden_in_all: usize,
}

impl MemoryMessages {
    /// At most `entries` hidden messages over all users; the rest is bounded by the entries of `log`.
    pub fn new(entries: usize, log: Arc<MemoryLog>) -> MemoryMessages {
        MemoryMessages {
            entries,
            rows: Mutex::default(),
            log,
        }
    }

    /// Takes in what entries changed, each step once and in order.
    pub(super) fn project(&self, conversation: ConversationId, steps: &[MessageStep], replies: &[Reply]) {
        let mut rows = lock(&self.rows);
        for step in steps {
            rows.take_in(conversation, step);
            if step.change == MessageChange::Deleted {
                self.log.redact(conversation, step.message, step.at);
            }
        }
        for reply in replies {
            rows.replies
                .entry((conversation, reply.to))
                .or_default()
                .insert(reply.seq);
        }
    }
}

impl Rows {
    fn is_deleted(&self, conversation: ConversationId, message: Seq) -> bool {
        self.deleted
            .get(&conversation)
            .is_some_and(|deleted| deleted.contains(&message))
    }

    fn take_in(&mut self, conversation: ConversationId, step: &MessageStep) {
        let message = (conversation, step.message_seq);
        match &step.change {
            MessageChange::Deleted => {
                self.states.remove(&message);
                self.deleted
                    .entry(conversation)
                    .or_default()
                    .insert(step.message_seq);
            }
            _ if self.is_deleted(conversation, step.message_seq) => {}
            MessageChange::Edited(edit) => {
                self.states.entry(message).or_default().edited = Some(Edited {
                    content: edit.content.clone(),
                    mentions: edit.mentions.clone(),
                    at: step.at,
                });
            }
            MessageChange::Reacted(reaction) => {
                let state = self.states.entry(message).or_default();
                state.reactions.apply(step.by, reaction);
                if *state == MessageState::default() {
                    self.states.remove(&message);
                }
            }
        }
    }

    /// The text a message has now; `None` of what is no message, or none any more.
    fn text<'a>(&'a self, entry: &'a Entry) -> Option<&'a str> {
        let EntryKind::Message(body) = &entry.kind else {
            return None;
        };
        let state = self.states.get(&(entry.conversation, entry.seq));
        let edited = state.and_then(|state| state.edited.as_ref());
        body.redacted_at
            .is_none()
            .then(|| edited.map_or(body.content.as_str(), |edited| edited.content.as_str()))
    }

    fn matches(&self, entry: &Entry, query: &SearchQuery, wanted: &[Wanted]) -> bool {
        let Some(content) = self.text(entry) else {
            return false;
        };
        let is_in_range = query.before.is_none_or(|before| entry.id < before);
        let is_by = query.from.is_none_or(|author| entry.sender == author);
        is_in_range
            && is_by
            && (!query.has_link || text::has_link(content))
            && words::has_all(content, wanted)
    }
}

fn above(after: Seq) -> (Bound<Seq>, Bound<Seq>) {
    (Bound::Excluded(after), Bound::Unbounded)
}

#[async_trait]
impl MessageStore for MemoryMessages {
    async fn states(
        &self,
        conversation: ConversationId,
        messages: &[Seq],
    ) -> Result<Vec<(Seq, MessageState)>, StoreError> {
        let rows = lock(&self.rows);
        let state = |seq: &Seq| Some((*seq, rows.states.get(&(conversation, *seq))?.clone()));
        Ok(messages.iter().filter_map(state).collect())
    }

    async fn replies(
        &self,
        conversation: ConversationId,
        to: EntryId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>, StoreError> {
        let rows = lock(&self.rows);
        let replies = rows.replies.get(&(conversation, to)).into_iter();
        let behind = replies.flat_map(|replies| replies.range(above(after)));
        Ok(behind.take(limit).copied().collect())
    }

    async fn deleted_above(
        &self,
        conversation: ConversationId,
        after: Seq,
        most: u32,
    ) -> Result<u32, StoreError> {
        let rows = lock(&self.rows);
        let count = rows
            .deleted
            .get(&conversation)
            .map_or(0, |deleted| deleted.range(above(after)).count());
        Ok(u32::try_from(count).unwrap_or(u32::MAX).min(most))
    }

    async fn deleted_across(
        &self,
        places: &[(ConversationId, Seq)],
    ) -> Result<Vec<(ConversationId, u32)>, StoreError> {
        let rows = lock(&self.rows);
        let count = |(conversation, after): &(ConversationId, Seq)| {
            let count = rows.deleted.get(conversation)?.range(above(*after)).count();
            (count > 0).then(|| (*conversation, u32::try_from(count).unwrap_or(u32::MAX)))
        };
        Ok(places.iter().filter_map(count).collect())
    }

    async fn hide(&self, user: UserId, message: HiddenMessage, hidden_max: u64) -> Result<bool, StoreError> {
        let mut rows = lock(&self.rows);
        let hidden = rows.hidden.entry(user).or_default();
        let mut here = hidden
            .iter()
            .filter(|one| one.conversation == message.conversation);
        if here.clone().any(|one| one.seq == message.seq) {
            return Ok(true);
        }
        if here.by_ref().count() as u64 >= hidden_max {
            return Ok(false);
        }
        hidden.push(message);
        if rows.hidden_in_all >= self.entries {
            rows.hidden.entry(user).or_default().pop();
            return Err(StoreError::Full);
        }
        rows.hidden_in_all += 1;
        Ok(true)
    }

    async fn hidden_among(
        &self,
        user: UserId,
        conversation: ConversationId,
        messages: &[Seq],
    ) -> Result<Vec<Seq>, StoreError> {
        let rows = lock(&self.rows);
        let hidden = rows.hidden.get(&user).map_or(&[][..], Vec::as_slice);
        let is_hidden = |seq: &Seq| {
            hidden
                .iter()
                .any(|one| one.conversation == conversation && one.seq == *seq)
        };
        Ok(messages.iter().copied().filter(is_hidden).collect())
    }

    async fn hidden_since(
        &self,
        user: UserId,
        since: HiddenPlace,
        limit: usize,
    ) -> Result<Vec<HiddenMessage>, StoreError> {
        let rows = lock(&self.rows);
        let hidden = rows.hidden.get(&user).into_iter().flatten();
        let later = hidden.filter(|one| HiddenPlace::of(one) > since);
        let mut later: Vec<HiddenMessage> = later.copied().collect();
        later.sort_by_key(HiddenPlace::of);
        later.truncate(limit);
        Ok(later)
    }

    async fn search(&self, query: SearchQuery) -> Result<Vec<Entry>, StoreError> {
        let rows = lock(&self.rows);
        let wanted = words::wanted(&query.terms);
        let mut found = Vec::new();
        for (conversation, above) in &query.within {
            let matching = |entry: &Entry| rows.matches(entry, &query, &wanted);
            found.extend(self.log.find(*conversation, *above, matching));
        }
        found.sort_by_key(|entry: &Entry| std::cmp::Reverse(entry.id));
        found.truncate(query.limit);
        Ok(found)
    }
}
