//! Jobs: at least once each, hidden while they are held, never lost.

use std::sync::Arc;
use std::time::Duration;

use super::{Port, at_once};
use crate::app::jobs::Job;
use crate::ids::JobId;
use crate::ports::queue::{Buried, Claimed, DeadLetters as _, Queue};
use crate::testkit::SeededIds;
use crate::testkit::samples::{in_secs, now};

/// One test per behaviour of a [`Queue`]; the argument makes an empty one.
#[macro_export]
macro_rules! queue_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            queue,
            real_time,
            $make,
            [
                a_job_is_claimed_when_it_may_start,
                jobs_are_claimed_in_the_order_they_may_start,
                a_claimed_job_is_hidden_until_its_lease_ends,
                of_twenty_racing_workers_each_job_goes_to_one,
                a_job_that_is_done_is_forgotten,
                a_failed_job_comes_back_when_it_may,
                a_buried_job_is_kept_but_not_claimed,
                buried_jobs_are_told_newest_first,
                a_revived_job_is_as_new,
                a_discarded_job_is_forgotten,
                a_renewed_job_stays_hidden,
                the_same_job_again_changes_nothing,
                what_is_done_to_unknown_jobs_is_ignored,
                named_jobs_are_claimed_if_they_may_start,
                of_racing_claims_of_a_named_job_one_gets_it,
            ]
        );
    };
}

const JOB: Job = Job::SweepSessions;
const LEASE: Duration = Duration::from_mins(1);

fn ids_of(claimed: &[Claimed]) -> Vec<JobId> {
    claimed.iter().map(|claimed| claimed.id).collect()
}

/// Not before.
pub async fn a_job_is_claimed_when_it_may_start<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let id = JobId::new(&SeededIds::new(1));
    queue.push(id, &JOB, in_secs(10)).await.unwrap();
    assert_eq!(queue.claim(in_secs(9), LEASE, 10).await.unwrap(), []);
    let expected = Claimed {
        id,
        job: JOB,
        attempt: 1,
    };
    assert_eq!(queue.claim(in_secs(10), LEASE, 10).await.unwrap(), [expected]);
}

/// As many as asked for.
pub async fn jobs_are_claimed_in_the_order_they_may_start<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let ids = SeededIds::new(1);
    let mut pushed = Vec::new();
    for secs in [30, 10, 20, 50, 40] {
        let id = JobId::new(&ids);
        queue.push(id, &JOB, in_secs(secs)).await.unwrap();
        pushed.push((secs, id));
    }
    pushed.sort_unstable();
    let expected: Vec<JobId> = pushed.into_iter().map(|(_, id)| id).collect();
    let mut claimed = Vec::new();
    for at_most in [2, 0, 1, 9] {
        let jobs = queue.claim(in_secs(100), LEASE, at_most).await.unwrap();
        assert!(jobs.len() <= at_most);
        claimed.extend(ids_of(&jobs));
    }
    assert_eq!(claimed, expected);
}

/// The worker died: another one gets it.
pub async fn a_claimed_job_is_hidden_until_its_lease_ends<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let id = JobId::new(&SeededIds::new(1));
    queue.push(id, &JOB, now()).await.unwrap();
    for attempt in 1..4 {
        let start = u64::from(attempt) * 1_000;
        let claimed = queue.claim(in_secs(start), LEASE, 10).await.unwrap();
        assert_eq!(
            claimed,
            [Claimed {
                id,
                job: JOB,
                attempt
            }]
        );
        assert_eq!(queue.claim(in_secs(start + 59), LEASE, 10).await.unwrap(), []);
    }
    assert_eq!(
        ids_of(&queue.claim(in_secs(3_060), LEASE, 10).await.unwrap()),
        [id]
    );
}

/// No job twice, none left over.
pub async fn of_twenty_racing_workers_each_job_goes_to_one<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = Arc::new(make().await);
    let ids = SeededIds::new(1);
    let mut expected = Vec::new();
    for _ in 0..60 {
        let id = JobId::new(&ids);
        queue.push(id, &JOB, now()).await.unwrap();
        expected.push(id);
    }
    let claims = at_once(&queue, 20, |queue, _| async move {
        queue.claim(in_secs(1), LEASE, 4).await.unwrap()
    })
    .await;
    let mut claimed = ids_of(&claims.concat());
    claimed.sort();
    assert_eq!(claimed, expected);
}

/// Its id is free again.
pub async fn a_job_that_is_done_is_forgotten<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let id = JobId::new(&SeededIds::new(1));
    queue.push(id, &JOB, now()).await.unwrap();
    queue.claim(now(), LEASE, 1).await.unwrap();
    queue.done(id).await.unwrap();
    assert_eq!(queue.claim(in_secs(1_000), LEASE, 1).await.unwrap(), []);
    assert_eq!(queue.buried(10).await.unwrap(), []);
}

/// With one attempt more on its count.
pub async fn a_failed_job_comes_back_when_it_may<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let id = JobId::new(&SeededIds::new(1));
    queue.push(id, &JOB, now()).await.unwrap();
    queue.claim(now(), LEASE, 1).await.unwrap();
    queue.retry(id, in_secs(5)).await.unwrap();
    assert_eq!(queue.claim(in_secs(4), LEASE, 1).await.unwrap(), []);
    let claimed = queue.claim(in_secs(5), LEASE, 1).await.unwrap();
    assert_eq!(
        claimed,
        [Claimed {
            id,
            job: JOB,
            attempt: 2
        }]
    );
}

/// For an operator to see.
pub async fn a_buried_job_is_kept_but_not_claimed<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let id = JobId::new(&SeededIds::new(1));
    queue.push(id, &JOB, now()).await.unwrap();
    queue.claim(now(), LEASE, 1).await.unwrap();
    queue.bury(id, "it \"never\" works ✗", in_secs(3)).await.unwrap();
    queue.retry(id, now()).await.unwrap();
    queue.done(id).await.unwrap();
    queue.bury(id, "again", in_secs(9)).await.unwrap();
    assert_eq!(queue.claim(in_secs(1_000), LEASE, 1).await.unwrap(), []);
    let expected = Buried {
        id,
        kind: JOB.kind().to_owned(),
        attempts: 1,
        reason: "it \"never\" works ✗".to_owned(),
        at: in_secs(3),
    };
    assert_eq!(queue.buried(10).await.unwrap(), [expected]);
}

/// As many as asked for.
pub async fn buried_jobs_are_told_newest_first<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let ids = SeededIds::new(1);
    let jobs: Vec<JobId> = (0..4).map(|_| JobId::new(&ids)).collect();
    for (secs, id) in (0..).zip(&jobs) {
        queue.push(*id, &JOB, now()).await.unwrap();
        queue.bury(*id, "no", in_secs(secs)).await.unwrap();
    }
    let told: Vec<JobId> = queue.buried(3).await.unwrap().iter().map(|job| job.id).collect();
    assert_eq!(told, [jobs[3], jobs[2], jobs[1]]);
}

/// Counted anew, when it may, and once: an operator has mended the cause.
pub async fn a_revived_job_is_as_new<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let ids = SeededIds::new(1);
    let [id, living, unknown] = std::array::from_fn(|_| JobId::new(&ids));
    queue.push(living, &JOB, in_secs(9_000)).await.unwrap();
    queue.push(id, &JOB, now()).await.unwrap();
    for secs in [0, 100] {
        queue.claim(in_secs(secs), LEASE, 10).await.unwrap();
    }
    queue.bury(id, "no", in_secs(101)).await.unwrap();
    for none in [living, unknown] {
        assert!(!queue.revive(none, now()).await.unwrap());
    }
    assert!(queue.revive(id, in_secs(200)).await.unwrap());
    assert!(!queue.revive(id, in_secs(150)).await.unwrap(), "it lives");
    assert_eq!(queue.buried(10).await.unwrap(), []);
    assert_eq!(queue.claim(in_secs(199), LEASE, 10).await.unwrap(), []);
    let first = Claimed {
        id,
        job: JOB,
        attempt: 1,
    };
    assert_eq!(queue.claim(in_secs(200), LEASE, 10).await.unwrap(), [first]);
    queue.bury(id, "still not", in_secs(201)).await.unwrap();
    let buried = queue.buried(10).await.unwrap();
    let told: Vec<_> = buried
        .iter()
        .map(|job| (job.id, job.attempts, &*job.reason))
        .collect();
    assert_eq!(told, [(id, 1, "still not")]);
}

/// Only if it was given up; its id is free again.
pub async fn a_discarded_job_is_forgotten<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let ids = SeededIds::new(1);
    let [id, living, other] = std::array::from_fn(|_| JobId::new(&ids));
    for job in [id, other] {
        queue.push(job, &JOB, now()).await.unwrap();
        queue.bury(job, "no", now()).await.unwrap();
    }
    queue.push(living, &JOB, now()).await.unwrap();
    assert!(!queue.discard(living).await.unwrap());
    assert!(queue.discard(id).await.unwrap());
    assert!(!queue.discard(id).await.unwrap(), "it is gone");
    let left: Vec<JobId> = queue.buried(10).await.unwrap().iter().map(|job| job.id).collect();
    assert_eq!(left, [other]);
    queue.push(id, &JOB, in_secs(1)).await.unwrap();
    let mut claimed = ids_of(&queue.claim(in_secs(1), LEASE, 10).await.unwrap());
    claimed.sort_unstable();
    assert_eq!(claimed, [id, living]);
}

/// By whoever works on it for longer than they thought; only what lives is.
pub async fn a_renewed_job_stays_hidden<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let ids = SeededIds::new(1);
    let [id, buried, unknown] = std::array::from_fn(|_| JobId::new(&ids));
    queue.push(buried, &JOB, now()).await.unwrap();
    queue.bury(buried, "no", now()).await.unwrap();
    queue.push(id, &JOB, now()).await.unwrap();
    queue.claim(now(), LEASE, 10).await.unwrap();
    for job in [id, buried, unknown] {
        queue.renew(job, in_secs(100)).await.unwrap();
    }
    assert_eq!(queue.claim(in_secs(99), LEASE, 10).await.unwrap(), []);
    let again = queue.claim(in_secs(100), LEASE, 10).await.unwrap();
    assert_eq!(
        again,
        [Claimed {
            id,
            job: JOB,
            attempt: 2
        }]
    );
    assert_eq!(queue.buried(10).await.unwrap().len(), 1);
}

/// While it waits, while it is held, and after it was given up.
pub async fn the_same_job_again_changes_nothing<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let id = JobId::new(&SeededIds::new(1));
    queue.push(id, &JOB, in_secs(5)).await.unwrap();
    queue.push(id, &JOB, now()).await.unwrap();
    assert_eq!(queue.claim(in_secs(4), LEASE, 10).await.unwrap(), []);
    assert_eq!(queue.claim(in_secs(5), LEASE, 10).await.unwrap().len(), 1);
    queue.push(id, &JOB, now()).await.unwrap();
    assert_eq!(queue.claim(in_secs(6), LEASE, 10).await.unwrap(), []);
    queue.bury(id, "no", in_secs(7)).await.unwrap();
    queue.push(id, &JOB, now()).await.unwrap();
    assert_eq!(queue.claim(in_secs(1_000), LEASE, 10).await.unwrap(), []);
}

/// A worker that was slower than its lease.
pub async fn what_is_done_to_unknown_jobs_is_ignored<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let id = JobId::new(&SeededIds::new(1));
    queue.done(id).await.unwrap();
    queue.retry(id, now()).await.unwrap();
    queue.bury(id, "no", now()).await.unwrap();
    assert_eq!(queue.claim(in_secs(1_000), LEASE, 10).await.unwrap(), []);
    assert_eq!(queue.buried(10).await.unwrap(), []);
}

/// In the order given, and nothing else; what waits, is held, was given up or is unknown is left out.
pub async fn named_jobs_are_claimed_if_they_may_start<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = make().await;
    let ids = SeededIds::new(1);
    let [early, late, waiting, held, buried, unknown, unnamed] = std::array::from_fn(|_| JobId::new(&ids));
    for (id, secs) in [
        (late, 2),
        (early, 1),
        (waiting, 100),
        (held, 0),
        (buried, 0),
        (unnamed, 0),
    ] {
        queue.push(id, &JOB, in_secs(secs)).await.unwrap();
    }
    assert_eq!(
        ids_of(&queue.claim_these(&[held], now(), LEASE).await.unwrap()),
        [held]
    );
    queue.bury(buried, "no", now()).await.unwrap();
    assert_eq!(queue.claim_these(&[], in_secs(3), LEASE).await.unwrap(), []);
    let named = [late, unknown, waiting, held, buried, early];
    let claimed = queue.claim_these(&named, in_secs(3), LEASE).await.unwrap();
    let first = |id| Claimed {
        id,
        job: JOB,
        attempt: 1,
    };
    assert_eq!(claimed, [first(late), first(early)]);
    // What is claimed by name is hidden as any other, and comes back as any other.
    assert_eq!(queue.claim_these(&[early], in_secs(4), LEASE).await.unwrap(), []);
    assert_eq!(
        ids_of(&queue.claim(in_secs(4), LEASE, 10).await.unwrap()),
        [unnamed]
    );
    let again = queue.claim_these(&[early], in_secs(63), LEASE).await.unwrap();
    assert_eq!(again.first().map(|claimed| claimed.attempt), Some(2));
}

/// Dispatched twice, or found by a sweep meanwhile.
pub async fn of_racing_claims_of_a_named_job_one_gets_it<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: Queue>,
{
    let queue = Arc::new(make().await);
    let id = JobId::new(&SeededIds::new(1));
    queue.push(id, &JOB, now()).await.unwrap();
    let claims = at_once(&queue, 20, |queue, index| async move {
        if index % 2 == 0 {
            queue.claim_these(&[id], in_secs(1), LEASE).await.unwrap()
        } else {
            queue.claim(in_secs(1), LEASE, 1).await.unwrap()
        }
    })
    .await;
    assert_eq!(ids_of(&claims.concat()), [id]);
}
