//! Jobs that must survive, one document each. A job that waits or runs has `due`, one that was given up has `buriedAt`.

use std::time::Duration;

use async_trait::async_trait;
use chatterbox_core::app::jobs::Job;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::ids::JobId;
use chatterbox_core::ports::queue::{Buried, Claimed, DeadLetters, Queue, QueueError, UNKNOWN_PAUSE};
use chatterbox_core::ports::storage::StoreError;
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::error::{corrupt, unless_duplicate};
use super::ids::{self, Id as _, number, stamp, time};

/// Jobs of unknown kinds that one claim leaves behind; above, the others wait for the next.
const UNKNOWN_MAX: usize = 100;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobRow {
    #[serde(rename = "_id")]
    id: ObjectId,
    /// JSON, as every queue keeps it.
    job: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<DateTime>,
    attempts: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    buried_at: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) struct MongoQueue {
    shared: Shared,
    jobs: Collection<JobRow>,
}

fn failed(error: impl Into<StoreError>) -> QueueError {
    QueueError(Box::new(error.into()))
}

impl MongoQueue {
    pub(super) fn new(shared: &Shared) -> MongoQueue {
        MongoQueue {
            jobs: shared.database.collection("jobs"),
            shared: shared.clone(),
        }
    }

    async fn change(&self, id: ObjectId, change: Document) -> Result<(), QueueError> {
        let living = doc! { "_id": id, "due": { "$exists": true } };
        let update = self.jobs.update_one(living, change);
        let updated = self.shared.gate.call(update.into_future()).await;
        updated.map(drop).map_err(failed)
    }

    /// Takes the job that has waited longest.
    async fn claim_one(&self, now: Timestamp, lease: Duration) -> Result<Option<JobRow>, QueueError> {
        let due = doc! { "due": { "$lte": stamp(now) } };
        self.claim_where(due, now, lease).await
    }

    /// Takes the job that has waited longest of those that are so.
    async fn claim_where(
        &self,
        due: Document,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<JobRow>, QueueError> {
        // A server may answer "none" where another worker took the first of several: only an empty queue says so twice.
        for _ in 0..3 {
            let claim = self
                .jobs
                .find_one_and_update(
                    due.clone(),
                    doc! { "$set": { "due": stamp(now.plus(lease)) }, "$inc": { "attempts": 1_i64 } },
                )
                .sort(doc! { "due": 1, "_id": 1 })
                .return_document(ReturnDocument::After);
            let claimed = self.shared.gate.call(claim.into_future()).await;
            if let Some(row) = claimed.map_err(failed)? {
                return Ok(Some(row));
            }
            let left = self.jobs.find_one(due.clone());
            let left = self.shared.gate.call(left.into_future()).await;
            if left.map_err(failed)?.is_none() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// A job of another version is left where it is; the attempt is not counted.
    async fn understood(&self, row: JobRow, now: Timestamp) -> Result<Option<Claimed>, QueueError> {
        let Ok(job) = serde_json::from_str(&row.job) else {
            let due = stamp(now.plus(UNKNOWN_PAUSE));
            self.change(
                row.id,
                doc! { "$set": { "due": due }, "$inc": { "attempts": -1_i64 } },
            )
            .await?;
            return Ok(None);
        };
        Ok(Some(Claimed {
            id: JobId::from_oid(row.id),
            job,
            attempt: number(row.attempts).map_err(failed)?,
        }))
    }
}

#[async_trait]
impl Queue for MongoQueue {
    async fn push(&self, id: JobId, job: &Job, not_before: Timestamp) -> Result<(), QueueError> {
        let row = JobRow {
            id: id.oid(),
            job: serde_json::to_string(job).map_err(|error| QueueError(Box::new(error)))?,
            due: Some(stamp(not_before)),
            attempts: 0,
            buried_at: None,
            reason: None,
        };
        let insert = self.jobs.insert_one(&row);
        let inserted = unless_duplicate(self.shared.gate.call(insert.into_future()).await);
        inserted.map(drop).map_err(failed)
    }

    /// A round trip for each job, and 2 when there are no more.
    async fn claim(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<Claimed>, QueueError> {
        let mut claimed = Vec::new();
        let mut unknown = 0;
        while claimed.len() < limit && unknown < UNKNOWN_MAX {
            let Some(row) = self.claim_one(now, lease).await? else {
                break;
            };
            match self.understood(row, now).await? {
                Some(job) => claimed.push(job),
                None => unknown += 1,
            }
        }
        Ok(claimed)
    }

    /// A round trip for each that may start, and 2 for each that may not.
    async fn claim_these(
        &self,
        ids: &[JobId],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Claimed>, QueueError> {
        let mut claimed = Vec::with_capacity(ids.len());
        for id in ids {
            let due = doc! { "_id": id.oid(), "due": { "$lte": stamp(now) } };
            if let Some(row) = self.claim_where(due, now, lease).await? {
                claimed.extend(self.understood(row, now).await?);
            }
        }
        Ok(claimed)
    }

    async fn renew(&self, id: JobId, until: Timestamp) -> Result<(), QueueError> {
        self.change(id.oid(), doc! { "$set": { "due": stamp(until) } })
            .await
    }

    async fn done(&self, id: JobId) -> Result<(), QueueError> {
        let living = doc! { "_id": id.oid(), "due": { "$exists": true } };
        let delete = self.jobs.delete_one(living);
        let deleted = self.shared.gate.call(delete.into_future()).await;
        deleted.map(drop).map_err(failed)
    }

    async fn retry(&self, id: JobId, not_before: Timestamp) -> Result<(), QueueError> {
        self.change(id.oid(), doc! { "$set": { "due": stamp(not_before) } })
            .await
    }

    async fn bury(&self, id: JobId, reason: &str, now: Timestamp) -> Result<(), QueueError> {
        self.change(
            id.oid(),
            doc! { "$set": { "buriedAt": stamp(now), "reason": reason }, "$unset": { "due": "" } },
        )
        .await
    }
}

#[async_trait]
impl DeadLetters for MongoQueue {
    async fn buried(&self, limit: usize) -> Result<Vec<Buried>, QueueError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let find = self
            .jobs
            .find(doc! { "buriedAt": { "$exists": true } })
            .sort(doc! { "buriedAt": -1 })
            .limit(ids::limit(limit))
            .batch_size(ids::batch(limit));
        let rows = self.shared.gate.all(find).await.map_err(failed)?;
        let mut buried = Vec::new();
        for row in rows {
            let at = row
                .buried_at
                .ok_or_else(|| failed(corrupt("a job was given up at no time")))?;
            buried.push(Buried {
                id: JobId::from_oid(row.id),
                kind: Job::kind_of(&row.job),
                attempts: number(row.attempts).map_err(failed)?,
                reason: row.reason.unwrap_or_default(),
                at: time(at),
            });
        }
        Ok(buried)
    }
    async fn revive(&self, id: JobId, not_before: Timestamp) -> Result<bool, QueueError> {
        let update = self.jobs.update_one(
            dead(id),
            doc! {
                "$set": { "due": stamp(not_before), "attempts": 0_i64 }, "$unset": { "buriedAt": "", "reason": "" },
            },
        );
        let updated = self.shared.gate.call(update.into_future()).await;
        Ok(updated.map_err(failed)?.matched_count > 0)
    }

    async fn discard(&self, id: JobId) -> Result<bool, QueueError> {
        let delete = self.jobs.delete_one(dead(id));
        let deleted = self.shared.gate.call(delete.into_future()).await;
        Ok(deleted.map_err(failed)?.deleted_count > 0)
    }
}

fn dead(id: JobId) -> Document {
    doc! { "_id": id.oid(), "buriedAt": { "$exists": true } }
}
