use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::conformance::Port;
use crate::clock::Timestamp;
use crate::domain::entry::{ClientMessageId, Entry, Seq};
use crate::domain::session::Session;
use crate::ids::{ConversationId, EntryId, SessionId, UserId};
use crate::ports::rate_limit::{Decision, RateLimitError, RateLimiter, Take};
use crate::ports::storage::{Appended, ConversationLog, Head, NewEntry, Rotation, SessionStore, StoreError};

/// Holds calls back until a test lets them through. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<State>>);

#[derive(Debug, Default)]
struct State {
    closed: bool,
    waiting: usize,
}

/// Counts a call that waits, also when it is dropped while it does.
struct Waiting<'a>(&'a Gate);

impl Gate {
    /// An open gate.
    pub fn new() -> Gate {
        Gate(Arc::new(watch::Sender::default()))
    }

    /// Calls wait from here on.
    pub fn close(&self) {
        self.0.send_modify(|state| state.closed = true);
    }

    /// Calls that wait go on, and later ones don't wait.
    pub fn open(&self) {
        self.0.send_modify(|state| state.closed = false);
    }

    /// Until so many calls wait.
    pub async fn waiting(&self, calls: usize) {
        self.until(|state| state.waiting == calls).await;
    }

    async fn pass(&self) {
        self.0.send_modify(|state| state.waiting += 1);
        let _waiting = Waiting(self);
        self.until(|state| !state.closed).await;
    }

    async fn until(&self, condition: impl FnMut(&State) -> bool) {
        let mut states = self.0.subscribe();
        states
            .wait_for(condition)
            .await
            .expect("the gate holds the sender");
    }
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::new()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.waiting -= 1);
    }
}

/// A port whose calls pass a gate before they begin.
#[derive(Debug)]
pub struct Slow<P> {
    inner: P,
    gate: Gate,
}

impl<P> Slow<P> {
    /// The port behind an open gate.
    pub fn new(inner: P) -> (Slow<P>, Gate) {
        let gate = Gate::new();
        let slow = Slow {
            inner,
            gate: gate.clone(),
        };
        (slow, gate)
    }

    async fn through<T>(&self, call: impl Future<Output = T>) -> T {
        self.gate.pass().await;
        call.await
    }
}

#[async_trait]
impl<P: Port<Target: ConversationLog>> ConversationLog for Slow<P> {
    async fn append(
        &self,
        conversation: ConversationId,
        decided_at: Seq,
        entries: Vec<NewEntry>,
    ) -> Result<Appended, StoreError> {
        self.through(self.inner.append(conversation, decided_at, entries))
            .await
    }

    async fn head(&self, conversation: ConversationId) -> Result<Head, StoreError> {
        self.through(self.inner.head(conversation)).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        self.through(self.inner.heads(conversations)).await
    }

    async fn read_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.through(self.inner.read_after(conversation, after, limit))
            .await
    }

    async fn read_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.through(self.inner.read_before(conversation, before, limit))
            .await
    }

    async fn history_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.through(self.inner.history_after(conversation, after, limit))
            .await
    }

    async fn history_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.through(self.inner.history_before(conversation, before, limit))
            .await
    }

    async fn read_at(&self, conversation: ConversationId, seqs: &[Seq]) -> Result<Vec<Entry>, StoreError> {
        self.through(self.inner.read_at(conversation, seqs)).await
    }

    async fn get(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Entry>, StoreError> {
        self.through(self.inner.get(conversation, id)).await
    }

    async fn get_many(
        &self,
        conversation: ConversationId,
        ids: &[EntryId],
    ) -> Result<Vec<Entry>, StoreError> {
        self.through(self.inner.get_many(conversation, ids)).await
    }

    async fn by_client_message_id(
        &self,
        conversation: ConversationId,
        sender: UserId,
        key: &ClientMessageId,
    ) -> Result<Option<Entry>, StoreError> {
        self.through(self.inner.by_client_message_id(conversation, sender, key))
            .await
    }
}

#[async_trait]
impl<P: Port<Target: RateLimiter>> RateLimiter for Slow<P> {
    async fn take(&self, buckets: &[Take]) -> Result<Decision, RateLimitError> {
        self.through(self.inner.take(buckets)).await
    }
}

#[async_trait]
impl<P: Port<Target: SessionStore>> SessionStore for Slow<P> {
    async fn insert(&self, session: &Session) -> Result<(), StoreError> {
        self.through(self.inner.insert(session)).await
    }

    async fn get(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.through(self.inner.get(id)).await
    }

    async fn rotate(
        &self,
        id: SessionId,
        from: u32,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        self.through(self.inner.rotate(id, from, now, expires_at)).await
    }

    async fn revoke(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        self.through(self.inner.revoke(id, now)).await
    }

    async fn revoke_all(
        &self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.through(self.inner.revoke_all(user, except, now)).await
    }

    async fn of_user(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        self.through(self.inner.of_user(user, now)).await
    }

    async fn revoked_since(&self, since: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.through(self.inner.revoked_since(since, limit)).await
    }

    async fn sweep(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.through(self.inner.sweep(before, limit)).await
    }
}
