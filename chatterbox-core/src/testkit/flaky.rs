use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::conformance::Port;
use crate::clock::Timestamp;
use crate::domain::entry::{ClientMessageId, Entry, Seq};
use crate::domain::session::Session;
use crate::ids::{ConversationId, EntryId, SessionId, UserId};
use crate::ports::rate_limit::{Decision, RateLimitError, RateLimiter, Take};
use crate::ports::storage::{Appended, ConversationLog, Head, NewEntry, Rotation, SessionStore, StoreError};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It goes through.
    None,
    /// It fails and has done nothing.
    Refused,
    /// It is done, but its answer is an error.
    AnswerLost,
}

/// A port whose calls meet the planned faults one after another, and go through when none is left.
#[derive(Debug)]
pub struct Flaky<P> {
    inner: P,
    plan: Mutex<VecDeque<Fault>>,
}

/// The error of a call that a plan made fail.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a planned fault")]
pub struct PlannedFault;

impl<P> Flaky<P> {
    /// The port, with no fault planned.
    pub fn new(inner: P) -> Flaky<P> {
        Flaky {
            inner,
            plan: Mutex::default(),
        }
    }

    /// Plans the next faults, behind those planned before.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.plan
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(faults);
    }

    /// The port behind, without faults.
    pub fn inner(&self) -> &P {
        &self.inner
    }

    async fn through<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>>,
        error: impl FnOnce(PlannedFault) -> E,
    ) -> Result<T, E> {
        let next = self
            .plan
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        match next.unwrap_or(Fault::None) {
            Fault::None => call.await,
            Fault::Refused => Err(error(PlannedFault)),
            Fault::AnswerLost => {
                call.await?;
                Err(error(PlannedFault))
            }
        }
    }
}

fn unavailable(fault: PlannedFault) -> StoreError {
    StoreError::Unavailable(Box::new(fault))
}

#[async_trait]
impl<P: Port<Target: ConversationLog>> ConversationLog for Flaky<P> {
    async fn append(
        &self,
        conversation: ConversationId,
        decided_at: Seq,
        entries: Vec<NewEntry>,
    ) -> Result<Appended, StoreError> {
        self.through(self.inner.append(conversation, decided_at, entries), unavailable)
            .await
    }

    async fn head(&self, conversation: ConversationId) -> Result<Head, StoreError> {
        self.through(self.inner.head(conversation), unavailable).await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        self.through(self.inner.heads(conversations), unavailable).await
    }

    async fn read_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.through(self.inner.read_after(conversation, after, limit), unavailable)
            .await
    }

    async fn read_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.through(self.inner.read_before(conversation, before, limit), unavailable)
            .await
    }

    async fn history_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.through(self.inner.history_after(conversation, after, limit), unavailable)
            .await
    }

    async fn history_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.through(
            self.inner.history_before(conversation, before, limit),
            unavailable,
        )
        .await
    }

    async fn read_at(&self, conversation: ConversationId, seqs: &[Seq]) -> Result<Vec<Entry>, StoreError> {
        self.through(self.inner.read_at(conversation, seqs), unavailable)
            .await
    }

    async fn get(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Entry>, StoreError> {
        self.through(self.inner.get(conversation, id), unavailable).await
    }

    async fn get_many(
        &self,
        conversation: ConversationId,
        ids: &[EntryId],
    ) -> Result<Vec<Entry>, StoreError> {
        self.through(self.inner.get_many(conversation, ids), unavailable)
            .await
    }

    async fn by_client_message_id(
        &self,
        conversation: ConversationId,
        sender: UserId,
        key: &ClientMessageId,
    ) -> Result<Option<Entry>, StoreError> {
        self.through(
            self.inner.by_client_message_id(conversation, sender, key),
            unavailable,
        )
        .await
    }
}

#[async_trait]
impl<P: Port<Target: SessionStore>> SessionStore for Flaky<P> {
    async fn insert(&self, session: &Session) -> Result<(), StoreError> {
        self.through(self.inner.insert(session), unavailable).await
    }

    async fn get(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.through(self.inner.get(id), unavailable).await
    }

    async fn rotate(
        &self,
        id: SessionId,
        from: u32,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        self.through(self.inner.rotate(id, from, now, expires_at), unavailable)
            .await
    }

    async fn revoke(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        self.through(self.inner.revoke(id, now), unavailable).await
    }

    async fn revoke_all(
        &self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.through(self.inner.revoke_all(user, except, now), unavailable)
            .await
    }

    async fn of_user(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        self.through(self.inner.of_user(user, now), unavailable).await
    }

    async fn revoked_since(&self, since: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.through(self.inner.revoked_since(since, limit), unavailable)
            .await
    }

    async fn sweep(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.through(self.inner.sweep(before, limit), unavailable).await
    }
}

#[async_trait]
impl<P: Port<Target: RateLimiter>> RateLimiter for Flaky<P> {
    async fn take(&self, buckets: &[Take]) -> Result<Decision, RateLimitError> {
        self.through(self.inner.take(buckets), |fault| RateLimitError(Box::new(fault)))
            .await
    }
}
