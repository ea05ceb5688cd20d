use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;

use super::{AtItsBound, lock};
use crate::app::jobs::Job;
use crate::clock::Timestamp;
use crate::ids::JobId;
use crate::ports::queue::{Buried, Claimed, DeadLetters, Queue, QueueError};

/// Jobs in memory; they end with the process.
#[derive(Debug)]
pub struct MemoryQueue {
    entries: usize,
    jobs: Mutex<Jobs>,
}

#[derive(Debug, Default)]
struct Jobs {
    arrivals: u64,
    by_id: HashMap<JobId, Row>,
    /// Living jobs by when they may start, and among equals by arrival.
    due: BTreeMap<Due, JobId>,
    buried: BTreeMap<u64, Buried>,
}

type Due = (Timestamp, u64);

#[derive(Debug)]
enum Row {
    Living {
        job: Job,
        attempts: u32,
        due: Due,
    },
    /// As `buried` has it under this number.
    Buried {
        job: Job,
        order: u64,
    },
}

impl MemoryQueue {
    /// At most `entries` jobs, those given up included.
    pub fn new(entries: usize) -> MemoryQueue {
        MemoryQueue {
            entries,
            jobs: Mutex::default(),
        }
    }
}

impl Jobs {
    fn arrival(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    fn add(&mut self, id: JobId, job: Job, not_before: Timestamp) {
        let (attempts, due) = (0, (not_before, self.arrival()));
        self.due.insert(due, id);
        self.by_id.insert(id, Row::Living { job, attempts, due });
    }

    fn take_buried(&mut self, id: JobId) -> Option<Job> {
        let Some(Row::Buried { order, .. }) = self.by_id.get(&id) else {
            return None;
        };
        self.buried.remove(order);
        match self.by_id.remove(&id) {
            Some(Row::Buried { job, .. } | Row::Living { job, .. }) => Some(job),
            None => None,
        }
    }

    /// Claims those of `ids` that may start, until `until`.
    fn claim(&mut self, ids: &[JobId], now: Timestamp, until: Timestamp) -> Vec<Claimed> {
        let mut claimed = Vec::with_capacity(ids.len());
        for id in ids {
            match self.by_id.get_mut(id) {
                Some(Row::Living { job, attempts, due }) if due.0 <= now => {
                    *attempts += 1;
                    claimed.push(Claimed {
                        id: *id,
                        job: job.clone(),
                        attempt: *attempts,
                    });
                    self.put_off(*id, until);
                }
                Some(Row::Living { .. } | Row::Buried { .. }) | None => {}
            }
        }
        claimed
    }

    /// Makes a living job start at `at` at the earliest.
    fn put_off(&mut self, id: JobId, at: Timestamp) {
        if let Some(Row::Living { due, .. }) = self.by_id.get_mut(&id) {
            self.due.remove(due);
            due.0 = at;
            self.due.insert(*due, id);
        }
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn push(&self, id: JobId, job: &Job, not_before: Timestamp) -> Result<(), QueueError> {
        let mut jobs = lock(&self.jobs);
        if jobs.by_id.contains_key(&id) {
            return Ok(());
        }
        if jobs.by_id.len() >= self.entries {
            return Err(QueueError(Box::new(AtItsBound {
                what: "queue",
                entries: self.entries,
            })));
        }
        jobs.add(id, job.clone(), not_before);
        Ok(())
    }

    async fn claim(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<Claimed>, QueueError> {
        let mut jobs = lock(&self.jobs);
        let ready: Vec<JobId> = jobs
            .due
            .range(..=(now, u64::MAX))
            .take(limit)
            .map(|(_, id)| *id)
            .collect();
        Ok(jobs.claim(&ready, now, now.plus(lease)))
    }

    async fn claim_these(
        &self,
        ids: &[JobId],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Claimed>, QueueError> {
        Ok(lock(&self.jobs).claim(ids, now, now.plus(lease)))
    }

    async fn renew(&self, id: JobId, until: Timestamp) -> Result<(), QueueError> {
        lock(&self.jobs).put_off(id, until);
        Ok(())
    }

    async fn done(&self, id: JobId) -> Result<(), QueueError> {
        let mut jobs = lock(&self.jobs);
        if let Some(Row::Living { due, .. }) = jobs.by_id.get(&id) {
            let due = *due;
            jobs.due.remove(&due);
            jobs.by_id.remove(&id);
        }
        Ok(())
    }

    async fn retry(&self, id: JobId, not_before: Timestamp) -> Result<(), QueueError> {
        lock(&self.jobs).put_off(id, not_before);
        Ok(())
    }

    async fn bury(&self, id: JobId, reason: &str, now: Timestamp) -> Result<(), QueueError> {
        let mut jobs = lock(&self.jobs);
        match jobs.by_id.remove(&id) {
            Some(Row::Living { job, due, attempts }) => {
                jobs.due.remove(&due);
                let order = jobs.arrival();
                jobs.buried.insert(
                    order,
                    Buried {
                        id,
                        kind: job.kind().to_owned(),
                        attempts,
                        reason: reason.to_owned(),
                        at: now,
                    },
                );
                jobs.by_id.insert(id, Row::Buried { job, order });
            }
            Some(buried @ Row::Buried { .. }) => {
                jobs.by_id.insert(id, buried);
            }
            None => {}
        }
        Ok(())
    }
}

#[async_trait]
impl DeadLetters for MemoryQueue {
    async fn buried(&self, limit: usize) -> Result<Vec<Buried>, QueueError> {
        let jobs = lock(&self.jobs);
        Ok(jobs.buried.values().rev().take(limit).cloned().collect())
    }

    async fn revive(&self, id: JobId, not_before: Timestamp) -> Result<bool, QueueError> {
        let mut jobs = lock(&self.jobs);
        let Some(job) = jobs.take_buried(id) else {
            return Ok(false);
        };
        jobs.add(id, job, not_before);
        Ok(true)
    }

    async fn discard(&self, id: JobId) -> Result<bool, QueueError> {
        Ok(lock(&self.jobs).take_buried(id).is_some())
    }
}
