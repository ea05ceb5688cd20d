//! Work that is done beside the calls, and what an operator does about jobs that were given up.

mod operate;

pub use operate::{DeadJob, DeadJobList, DiscardJob, JobDiscarded, JobRevived, ListDeadJobs, RetryJob};

use serde::{Deserialize, Serialize};

/// A job. Its JSON form is kept in queues over updates: additive changes only, and a new kind is one that nodes of the
/// version before leave alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "camelCase")]
pub enum Job {
    /// Delete the rows of sessions that ended long ago.
    SweepSessions,
    /// Delete invites that are good no more.
    SweepInvites,
}

/// The part of a stored job that every version understands.
#[derive(Deserialize)]
struct Tag {
    job: String,
}

impl Job {
    /// Its name, as its JSON form has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Job::SweepSessions => "sweepSessions",
            Job::SweepInvites => "sweepInvites",
        }
    }

    /// The name of a stored job, also of one of another version.
    pub fn kind_of(stored: &str) -> String {
        serde_json::from_str(stored).map_or_else(|_| "unreadable".to_owned(), |Tag { job }| job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_146_a_kind_is_told_of_jobs_of_every_version() {
        for job in [Job::SweepSessions, Job::SweepInvites] {
            assert_eq!(Job::kind_of(&serde_json::to_string(&job).unwrap()), job.kind());
        }
        assert_eq!(Job::kind_of(r#"{"job":"ofTomorrow","to":7}"#), "ofTomorrow");
        assert_eq!(Job::kind_of("{"), "unreadable");
    }
}
