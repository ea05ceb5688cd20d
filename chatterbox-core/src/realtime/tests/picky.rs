//! A log that refuses to tell of some conversations, waits when it is asked to, and counts questions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::domain::entry::{ClientMessageId, Entry, Seq};
use crate::ids::{ConversationId, EntryId, UserId};
use crate::ports::storage::{Appended, ConversationLog, Head, NewEntry, StoreError};

pub(super) struct PickyLog {
    inner: Arc<dyn ConversationLog>,
    state: Mutex<State>,
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    /// No question about these is answered.
    refused: BTreeSet<ConversationId>,
    asked: BTreeMap<&'static str, usize>,
}

impl PickyLog {
    pub(super) fn new(inner: Arc<dyn ConversationLog>) -> Arc<PickyLog> {
        Arc::new(PickyLog {
            inner,
            state: Mutex::default(),
            held: watch::Sender::new(false),
        })
    }

    /// Tells nothing of these conversations from now on.
    pub(super) fn refuse<'a>(&self, conversations: impl IntoIterator<Item = &'a String>) {
        let ids = conversations.into_iter().map(|id| id.parse().unwrap());
        self.with(|state| state.refused = ids.collect());
    }

    /// Whether entries are read only when this is taken back.
    pub(super) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// The questions asked since the last time.
    pub(super) fn asked(&self) -> BTreeMap<&'static str, usize> {
        self.with(|state| std::mem::take(&mut state.asked))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn meets(&self, question: &'static str, about: &[ConversationId]) -> Result<(), StoreError> {
        self.with(|state| {
            *state.asked.entry(question).or_default() += 1;
            if about.iter().any(|id| state.refused.contains(id)) {
                return Err(StoreError::Unavailable("refused by the test".into()));
            }
            Ok(())
        })
    }
}

#[async_trait]
impl ConversationLog for PickyLog {
    async fn append(
        &self,
        conversation: ConversationId,
        decided_at: Seq,
        entries: Vec<NewEntry>,
    ) -> Result<Appended, StoreError> {
        self.inner.append(conversation, decided_at, entries).await
    }

    async fn head(&self, conversation: ConversationId) -> Result<Head, StoreError> {
        self.meets("head", &[conversation])?;
        self.inner.head(conversation).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        self.meets("heads", &[])?;
        self.inner.heads(conversations).await
    }

    async fn read_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut held = self.held.subscribe();
        let _ = held.wait_for(|held| !held).await;
        self.meets("read_after", &[conversation])?;
        self.inner.read_after(conversation, after, limit).await
    }

    async fn read_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.read_before(conversation, before, limit).await
    }

    async fn history_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.history_after(conversation, after, limit).await
    }

    async fn history_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.history_before(conversation, before, limit).await
    }

    async fn read_at(&self, conversation: ConversationId, seqs: &[Seq]) -> Result<Vec<Entry>, StoreError> {
        self.inner.read_at(conversation, seqs).await
    }

    async fn get(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Entry>, StoreError> {
        self.inner.get(conversation, id).await
    }

    async fn get_many(
        &self,
        conversation: ConversationId,
        ids: &[EntryId],
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.get_many(conversation, ids).await
    }

    async fn by_client_message_id(
        &self,
        conversation: ConversationId,
        sender: UserId,
        key: &ClientMessageId,
    ) -> Result<Option<Entry>, StoreError> {
        self.inner.by_client_message_id(conversation, sender, key).await
    }
}
