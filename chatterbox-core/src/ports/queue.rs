//! Jobs that run beside the calls, at least once each.

use std::time::Duration;

use async_trait::async_trait;

use crate::app::jobs::Job;
use crate::clock::Timestamp;
use crate::ids::JobId;

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
    /// What it was to do.
    pub job: Job,
    /// Why the last attempt failed.
    pub reason: String,
    /// When it was given up.
    pub at: Timestamp,
}

/// Durable jobs with leases. A job may run twice (its worker died, or was slower than its lease), so handlers are
/// idempotent.
#[async_trait]
pub trait Queue: Send + Sync {
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

    /// The job is done; it is forgotten. Unknown ids are ignored.
    async fn done(&self, id: JobId) -> Result<(), QueueError>;

    /// The attempt failed; the job may start again at `not_before`.
    async fn retry(&self, id: JobId, not_before: Timestamp) -> Result<(), QueueError>;

    /// The job is given up and kept for an operator to see.
    async fn bury(&self, id: JobId, reason: &str, now: Timestamp) -> Result<(), QueueError>;

    /// Jobs given up, newest first, at most `limit`.
    async fn buried(&self, limit: usize) -> Result<Vec<Buried>, QueueError>;
}
