use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;

use super::conformance::Port;
use crate::app::jobs::Job;
use crate::clock::Timestamp;
use crate::domain::entry::{ClientMessageId, Entry, Seq};
use crate::domain::session::Session;
use crate::ids::{ConversationId, EntryId, JobId, SessionId, UserId};
use crate::ports::queue::{Buried, Claimed, DeadLetters, Queue, QueueError};
use crate::ports::rate_limit::{Decision, RateLimitError, RateLimiter, Take};
use crate::ports::storage::{Appended, ConversationLog, Head, NewEntry, Rotation, SessionStore, StoreError};

/// What stands in the way of calls.
pub trait Hindrance: Send + Sync {
    /// Makes a call, in its own way; `failed` turns a planned fault into the error of the port.
    fn around<T: Send, E: Send>(
        &self,
        call: impl Future<Output = Result<T, E>> + Send,
        failed: fn(PlannedFault) -> E,
    ) -> impl Future<Output = Result<T, E>> + Send;
}

/// The error of a call that a test made fail.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a planned fault")]
pub struct PlannedFault;

/// A port with something in the way of each call.
#[derive(Debug)]
pub struct Hindered<P, H> {
    pub(super) inner: P,
    pub(super) hindrance: H,
}

fn unavailable(fault: PlannedFault) -> StoreError {
    StoreError::Unavailable(Box::new(fault))
}

#[async_trait]
impl<P: Port<Target: ConversationLog>, H: Hindrance> ConversationLog for Hindered<P, H> {
    async fn append(
        &self,
        conversation: ConversationId,
        decided_at: Seq,
        entries: Vec<NewEntry>,
    ) -> Result<Appended, StoreError> {
        self.hindrance
            .around(self.inner.append(conversation, decided_at, entries), unavailable)
            .await
    }

    async fn head(&self, conversation: ConversationId) -> Result<Head, StoreError> {
        self.hindrance
            .around(self.inner.head(conversation), unavailable)
            .await
    }

    async fn heads(&self, conversations: &[ConversationId]) -> Result<Vec<Head>, StoreError> {
        self.hindrance
            .around(self.inner.heads(conversations), unavailable)
            .await
    }

    async fn read_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.hindrance
            .around(self.inner.read_after(conversation, after, limit), unavailable)
            .await
    }

    async fn read_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.hindrance
            .around(self.inner.read_before(conversation, before, limit), unavailable)
            .await
    }

    async fn history_after(
        &self,
        conversation: ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.hindrance
            .around(self.inner.history_after(conversation, after, limit), unavailable)
            .await
    }

    async fn history_before(
        &self,
        conversation: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.hindrance
            .around(
                self.inner.history_before(conversation, before, limit),
                unavailable,
            )
            .await
    }

    async fn read_at(&self, conversation: ConversationId, seqs: &[Seq]) -> Result<Vec<Entry>, StoreError> {
        self.hindrance
            .around(self.inner.read_at(conversation, seqs), unavailable)
            .await
    }

    async fn get(&self, conversation: ConversationId, id: EntryId) -> Result<Option<Entry>, StoreError> {
        self.hindrance
            .around(self.inner.get(conversation, id), unavailable)
            .await
    }

    async fn get_many(
        &self,
        conversation: ConversationId,
        ids: &[EntryId],
    ) -> Result<Vec<Entry>, StoreError> {
        self.hindrance
            .around(self.inner.get_many(conversation, ids), unavailable)
            .await
    }

    async fn by_client_message_id(
        &self,
        conversation: ConversationId,
        sender: UserId,
        key: &ClientMessageId,
    ) -> Result<Option<Entry>, StoreError> {
        self.hindrance
            .around(
                self.inner.by_client_message_id(conversation, sender, key),
                unavailable,
            )
            .await
    }
}

#[async_trait]
impl<P: Port<Target: SessionStore>, H: Hindrance> SessionStore for Hindered<P, H> {
    async fn insert(&self, session: &Session) -> Result<(), StoreError> {
        self.hindrance
            .around(self.inner.insert(session), unavailable)
            .await
    }

    async fn get(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.hindrance.around(self.inner.get(id), unavailable).await
    }

    async fn rotate(
        &self,
        id: SessionId,
        from: u32,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        self.hindrance
            .around(self.inner.rotate(id, from, now, expires_at), unavailable)
            .await
    }

    async fn revoke(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        self.hindrance
            .around(self.inner.revoke(id, now), unavailable)
            .await
    }

    async fn revoke_all(
        &self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.hindrance
            .around(self.inner.revoke_all(user, except, now), unavailable)
            .await
    }

    async fn of_user(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        self.hindrance
            .around(self.inner.of_user(user, now), unavailable)
            .await
    }

    async fn revoked_since(&self, since: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.hindrance
            .around(self.inner.revoked_since(since, limit), unavailable)
            .await
    }

    async fn sweep(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.hindrance
            .around(self.inner.sweep(before, limit), unavailable)
            .await
    }
}

#[async_trait]
impl<P: Port<Target: RateLimiter>, H: Hindrance> RateLimiter for Hindered<P, H> {
    async fn take(&self, buckets: &[Take]) -> Result<Decision, RateLimitError> {
        self.hindrance
            .around(self.inner.take(buckets), |fault| RateLimitError(Box::new(fault)))
            .await
    }
}

fn queue_away(fault: PlannedFault) -> QueueError {
    QueueError(Box::new(fault))
}

#[async_trait]
impl<P: Port<Target: Queue>, H: Hindrance> Queue for Hindered<P, H> {
    async fn push(&self, id: JobId, job: &Job, not_before: Timestamp) -> Result<(), QueueError> {
        let call = self.inner.push(id, job, not_before);
        self.hindrance.around(call, queue_away).await
    }

    async fn claim(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<Claimed>, QueueError> {
        let call = self.inner.claim(now, lease, limit);
        self.hindrance.around(call, queue_away).await
    }

    async fn claim_these(
        &self,
        ids: &[JobId],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Claimed>, QueueError> {
        let call = self.inner.claim_these(ids, now, lease);
        self.hindrance.around(call, queue_away).await
    }

    async fn renew(&self, id: JobId, until: Timestamp) -> Result<(), QueueError> {
        let call = self.inner.renew(id, until);
        self.hindrance.around(call, queue_away).await
    }

    async fn done(&self, id: JobId) -> Result<(), QueueError> {
        let call = self.inner.done(id);
        self.hindrance.around(call, queue_away).await
    }

    async fn retry(&self, id: JobId, not_before: Timestamp) -> Result<(), QueueError> {
        let call = self.inner.retry(id, not_before);
        self.hindrance.around(call, queue_away).await
    }

    async fn bury(&self, id: JobId, reason: &str, now: Timestamp) -> Result<(), QueueError> {
        let call = self.inner.bury(id, reason, now);
        self.hindrance.around(call, queue_away).await
    }
}

#[async_trait]
impl<P: Port<Target: Queue>, H: Hindrance> DeadLetters for Hindered<P, H> {
    async fn buried(&self, limit: usize) -> Result<Vec<Buried>, QueueError> {
        let call = self.inner.buried(limit);
        self.hindrance.around(call, queue_away).await
    }

    async fn revive(&self, id: JobId, not_before: Timestamp) -> Result<bool, QueueError> {
        let call = self.inner.revive(id, not_before);
        self.hindrance.around(call, queue_away).await
    }

    async fn discard(&self, id: JobId) -> Result<bool, QueueError> {
        let call = self.inner.discard(id);
        self.hindrance.around(call, queue_away).await
    }
}
