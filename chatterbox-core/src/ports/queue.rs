//! Jobs that run beside the calls, at least once each.

use std::time::Duration;

use async_trait::async_trait;

use crate::app::jobs::Job;
use crate::clock::Timestamp;
use crate::ids::JobId;

/// After how long a job of an unknown kind is looked at again: soon enough that it runs within minutes of the update that
/// brings its kind, and seldom enough that a node without it is not busy with it.
pub const UNKNOWN_PAUSE: Duration = Duration::from_mins(2);

/// The queue can't take or give jobs now.
#[derive(Debug, thiserror::Error)]
#[error("the job queue is unavailable")]
pub struct QueueError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A job that this worker holds until its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Which job.
    pub id: JobId,
    /// What to do.
    pub job: Job,
    /// How often it was claimed, this time included.
    pub attempt: u32,
}

/// A job that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buried {
    /// Which job.
    pub id: JobId,
    /// What it was to do, as [`Job::kind`] names it; the kind of another version's job is told as well.
    pub kind: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub reason: String,
    /// When it was given up.
    pub at: Timestamp,
}

/// Jobs that were given up: what an operator sees and decides on.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Jobs given up, newest first, at most `limit`.
    async fn buried(&self, limit: usize) -> Result<Vec<Buried>, QueueError>;

    /// A job given up lives again: it may start at `not_before`, and its attempts are counted anew. Whether there was
    /// one.
    async fn revive(&self, id: JobId, not_before: Timestamp) -> Result<bool, QueueError>;

    /// A job given up is forgotten, and its id is free again. Whether there was one.
    async fn discard(&self, id: JobId) -> Result<bool, QueueError>;
}

/// Durable jobs with leases. A job may run twice (its worker died, or was slower than its lease and didn't renew it), so
/// handlers are idempotent.
///
/// While nodes are replaced one by one, older ones find jobs of kinds that they don't know: those are never claimed and
/// never lost, they come up again after [`UNKNOWN_PAUSE`], with no attempt counted, until a node comes by that knows
/// them (S-146).
#[async_trait]
pub trait Queue: DeadLetters {
    /// Adds a job that may start at `not_before`; durable when it returns. The id of a job that waits, runs or was
    /// given up changes nothing.
    async fn push(&self, id: JobId, job: &Job, not_before: Timestamp) -> Result<(), QueueError>;

    /// Takes at most `limit` jobs that may start, in order of when they might, and hides them from others until `now + lease`.
    async fn claim(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<Claimed>, QueueError>;

    /// As [`claim`](Queue::claim), but takes only those of these jobs (at most 1,000) that may start, in the order given.
    /// For a dispatcher that has been told which they are.
    async fn claim_these(
        &self,
        ids: &[JobId],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Claimed>, QueueError>;

    /// Whoever holds the job still works on it: it stays hidden until `until`. Unknown ids are ignored.
    async fn renew(&self, id: JobId, until: Timestamp) -> Result<(), QueueError>;

    /// The job is done; it is forgotten. Unknown ids are ignored.
    async fn done(&self, id: JobId) -> Result<(), QueueError>;

    /// The attempt failed; the job may start again at `not_before`.
    async fn retry(&self, id: JobId, not_before: Timestamp) -> Result<(), QueueError>;

    /// The job is given up and kept for an operator to see.
    async fn bury(&self, id: JobId, reason: &str, now: Timestamp) -> Result<(), QueueError>;
}
