//! Jobs that were given up (S-019), from the CLI: seen, tried again, or forgotten.

use serde::{Deserialize, Serialize};

use crate::app::{App, Caller, Error, Outcome, UseCase};
use crate::clock::Timestamp;
use crate::ids::JobId;
use crate::ports::queue::Buried;

/// Jobs told at once.
const LISTED_MAX: usize = 1000;

/// The jobs that were given up last.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListDeadJobs {
    /// At most so many, 1 to 1,000.
    pub limit: usize,
}

/// A job that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadJob {
    /// Id.
    pub id: JobId,
    /// What it was to do.
    pub kind: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub error: String,
    /// When it was given up.
    pub buried_at: Timestamp,
}

impl From<Buried> for DeadJob {
    fn from(buried: Buried) -> DeadJob {
        DeadJob {
            id: buried.id,
            kind: buried.kind,
            attempts: buried.attempts,
            error: buried.reason,
            buried_at: buried.at,
        }
    }
}

/// Jobs that were given up, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadJobList {
    /// The jobs.
    pub items: Vec<DeadJob>,
    /// Whether there are older ones.
    pub has_more: bool,
}

impl UseCase for ListDeadJobs {
    type Reply = DeadJobList;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<DeadJobList>, Error> {
        by.actor.operator()?;
        let limit = self.limit.clamp(1, LISTED_MAX);
        let mut buried = app.dead_letters.buried(limit + 1).await?;
        let has_more = buried.len() > limit;
        buried.truncate(limit);
        let items = buried.into_iter().map(DeadJob::from).collect();
        Ok(Outcome::of(DeadJobList { items, has_more }))
    }
}

/// Has a job that was given up tried again, as if it were new.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryJob {
    /// Which.
    pub id: JobId,
}

/// The job is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobRevived {}

impl UseCase for RetryJob {
    type Reply = JobRevived;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<JobRevived>, Error> {
        by.actor.operator()?;
        if !app.dead_letters.revive(self.id, app.clock.now()).await? {
            return Err(Error::NotFound("dead job"));
        }
        Ok(Outcome::of(JobRevived {}))
    }
}

/// Forgets a job that was given up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscardJob {
    /// Which.
    pub id: JobId,
}

/// The job is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobDiscarded {}

impl UseCase for DiscardJob {
    type Reply = JobDiscarded;
    const SEVERAL_STEPS: bool = false;

    async fn run(self, app: &App, by: Caller) -> Result<Outcome<JobDiscarded>, Error> {
        by.actor.operator()?;
        if !app.dead_letters.discard(self.id).await? {
            return Err(Error::NotFound("dead job"));
        }
        Ok(Outcome::of(JobDiscarded {}))
    }
}
