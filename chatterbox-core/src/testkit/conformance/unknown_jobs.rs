//! Jobs of kinds that this version doesn't know, in queues that outlive the process and are shared with nodes of a newer
//! one.

use std::time::Duration;

use super::Port;
use crate::app::jobs::Job;
use crate::ids::JobId;
use crate::ports::queue::{DeadLetters as _, Queue, UNKNOWN_PAUSE};
use crate::testkit::SeededIds;
use crate::testkit::samples::now;

/// One test per behaviour of a [`Queue`] whose jobs are durable; the argument makes one in which nothing lies but a job
/// that may have started long ago, with the id and the text that it is given.
#[macro_export]
macro_rules! unknown_jobs_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            unknown_jobs,
            real_time,
            $make,
            [a_job_of_an_unknown_kind_is_left_for_a_newer_node,]
        );
    };
}

const JOB: Job = Job::SweepSessions;
const LEASE: Duration = Duration::from_mins(1);

/// S-146: an older node neither runs nor buries nor forgets it, however often it finds it, and goes on with its own.
pub async fn a_job_of_an_unknown_kind_is_left_for_a_newer_node<P>(
    make: impl AsyncFn(JobId, &'static str) -> P,
) where
    P: Port<Target: Queue>,
{
    let ids = SeededIds::new(1);
    let [unknown, known] = std::array::from_fn(|_| JobId::new(&ids));
    let queue = make(unknown, r#"{"job":"ofTomorrow","to":[7]}"#).await;
    queue.push(known, &JOB, now()).await.unwrap();
    // Longer than any job is tried.
    let mut at = now();
    for _ in 0..12 {
        let claimed = queue.claim(at, LEASE, 10).await.unwrap();
        for job in &claimed {
            assert_eq!(job.id, known);
            queue.retry(known, at).await.unwrap();
        }
        assert_eq!(queue.claim_these(&[unknown], at, LEASE).await.unwrap(), []);
        at = at.plus(UNKNOWN_PAUSE);
    }
    assert_eq!(queue.buried(10).await.unwrap(), [], "it is not given up");
    // It is still there, with none of its attempts taken.
    queue.bury(unknown, "to see it", at).await.unwrap();
    let buried = queue.buried(10).await.unwrap();
    let told: Vec<_> = buried
        .iter()
        .map(|job| (job.id, &*job.kind, job.attempts))
        .collect();
    assert_eq!(told, [(unknown, "ofTomorrow", 0)]);
}
