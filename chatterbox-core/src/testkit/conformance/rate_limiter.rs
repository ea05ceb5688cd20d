//! Token buckets: bursts, refills, all or none.
//!
//! Time passes by tokio's clock. `rate_limiter_conformance!(make)` runs with it paused; an adapter with a clock of its
//! own takes `rate_limiter_conformance!(real_time, make)`, which waits a few tenths of a second in all.

use std::sync::Arc;
use std::time::Duration;

use super::{Port, at_once, count};
use crate::ports::rate_limit::{Decision, Quota, RateLimiter, Take};

/// One test per behaviour of a [`RateLimiter`]; the argument makes one with all buckets full.
#[macro_export]
macro_rules! rate_limiter_conformance {
    ($make:expr) => {
        $crate::rate_limiter_conformance!(paused, $make);
    };
    ($time:ident, $make:expr) => {
        $crate::conformance_tests!(
            rate_limiter,
            $time,
            $make,
            [
                a_burst_is_followed_by_denial,
                keys_are_separate,
                tokens_come_back_with_time,
                a_bucket_never_holds_more_than_its_capacity,
                a_denied_take_takes_nothing_from_any_bucket,
                the_scarcest_bucket_is_told,
                a_cost_of_nothing_is_a_question,
                what_no_bucket_holds_is_never_there,
                a_key_that_is_named_twice_pays_twice,
                racing_takes_never_exceed_the_capacity,
                racing_takes_of_two_buckets_are_all_or_none,
            ]
        );
    };
}

/// A bucket that nothing comes back to.
fn spent(key: &str, capacity: u32, cost: u32) -> Take {
    Take {
        key: key.to_owned(),
        quota: Quota {
            capacity,
            refill_per_sec: 0.0,
        },
        cost,
    }
}

/// A bucket that a token comes back to every 50 ms.
fn refilled(key: &str, capacity: u32, cost: u32) -> Take {
    Take {
        quota: Quota {
            capacity,
            refill_per_sec: 20.0,
        },
        ..spent(key, capacity, cost)
    }
}

async fn remaining(limiter: &impl Port<Target: RateLimiter>, takes: &[Take]) -> u32 {
    match limiter.take(takes).await.unwrap() {
        Decision::Allowed { remaining, .. } => remaining,
        denied @ Decision::Denied { .. } => panic!("{denied:?}"),
    }
}

async fn denied_by(limiter: &impl Port<Target: RateLimiter>, takes: &[Take]) -> usize {
    match limiter.take(takes).await.unwrap() {
        Decision::Denied { bucket, .. } => bucket,
        allowed @ Decision::Allowed { .. } => panic!("{allowed:?}"),
    }
}

fn is_allowed(decision: &Decision) -> bool {
    matches!(decision, Decision::Allowed { .. })
}

/// S-141, S-142.
pub async fn a_burst_is_followed_by_denial<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: RateLimiter>,
{
    let limiter = make().await;
    for left in [2, 1, 0] {
        assert_eq!(remaining(&limiter, &[spent("ann", 3, 1)]).await, left);
    }
    for _ in 0..3 {
        assert_eq!(denied_by(&limiter, &[spent("ann", 3, 1)]).await, 0);
    }
}

/// Ann's use is not Bob's.
pub async fn keys_are_separate<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: RateLimiter>,
{
    let limiter = make().await;
    remaining(&limiter, &[spent("ann", 1, 1)]).await;
    denied_by(&limiter, &[spent("ann", 1, 1)]).await;
    for other in ["bob", "Ann", "ann ", "{ann}", "ann:\u{1f408}", ""] {
        assert_eq!(remaining(&limiter, &[spent(other, 1, 1)]).await, 0, "{other:?}");
    }
}

/// Who waits as long as told gets what was asked for.
pub async fn tokens_come_back_with_time<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: RateLimiter>,
{
    let limiter = make().await;
    let take = [refilled("ann", 3, 2)];
    remaining(&limiter, &take).await;
    for _ in 0..3 {
        let answer = limiter.take(&take).await.unwrap();
        let Decision::Denied {
            retry_after,
            full_after,
            ..
        } = answer
        else {
            panic!("{answer:?}");
        };
        assert!(
            retry_after > Duration::ZERO && retry_after <= Duration::from_millis(100),
            "{answer:?}"
        );
        assert!(
            full_after >= retry_after && full_after <= Duration::from_millis(150),
            "{answer:?}"
        );
        tokio::time::sleep(retry_after).await;
        assert!(is_allowed(&limiter.take(&take).await.unwrap()));
    }
}

/// However long nobody asked.
pub async fn a_bucket_never_holds_more_than_its_capacity<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: RateLimiter>,
{
    let limiter = make().await;
    let answer = limiter.take(&[refilled("ann", 2, 2)]).await.unwrap();
    let Decision::Allowed { full_after, .. } = answer else {
        panic!("{answer:?}");
    };
    tokio::time::sleep(full_after * 3).await;
    assert_eq!(remaining(&limiter, &[refilled("ann", 2, 0)]).await, 2);
    assert_eq!(remaining(&limiter, &[refilled("ann", 2, 2)]).await, 0);
    denied_by(&limiter, &[refilled("ann", 2, 2)]).await;
}

/// S-022: all its buckets in one step.
pub async fn a_denied_take_takes_nothing_from_any_bucket<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: RateLimiter>,
{
    let limiter = make().await;
    let takes = [spent("user", 5, 1), spent("room", 1, 1), spent("address", 5, 1)];
    assert_eq!(remaining(&limiter, &takes).await, 0);
    for _ in 0..10 {
        assert_eq!(denied_by(&limiter, &takes).await, 1);
    }
    assert_eq!(remaining(&limiter, &[spent("user", 5, 0)]).await, 4);
    assert_eq!(remaining(&limiter, &[spent("address", 5, 0)]).await, 4);
}

/// For the `X-RateLimit` headers.
pub async fn the_scarcest_bucket_is_told<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: RateLimiter>,
{
    let limiter = make().await;
    let takes = [spent("user", 9, 1), spent("room", 4, 2), spent("address", 7, 1)];
    assert_eq!(remaining(&limiter, &takes).await, 2);
    assert_eq!(remaining(&limiter, &takes).await, 0);
    // The first that lacks tokens is told when several do.
    let both = [spent("user", 9, 1), spent("address", 7, 6), spent("room", 4, 1)];
    assert_eq!(denied_by(&limiter, &both).await, 1);
}

/// It tells what is there, also of an empty bucket.
pub async fn a_cost_of_nothing_is_a_question<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: RateLimiter>,
{
    let limiter = make().await;
    for left in [2, 1, 0] {
        for _ in 0..2 {
            assert_eq!(remaining(&limiter, &[spent("ann", 2, 0)]).await, left);
        }
        if left > 0 {
            remaining(&limiter, &[spent("ann", 2, 1)]).await;
        }
    }
}

/// More than the capacity, or without a refill.
pub async fn what_no_bucket_holds_is_never_there<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: RateLimiter>,
{
    let limiter = make().await;
    remaining(&limiter, &[spent("ann", 1, 1)]).await;
    for take in [refilled("bob", 3, 4), spent("ann", 1, 1)] {
        let answer = limiter.take(&[take]).await.unwrap();
        assert!(
            matches!(
                answer,
                Decision::Denied {
                    retry_after: Duration::MAX,
                    ..
                }
            ),
            "{answer:?}"
        );
    }
    assert_eq!(remaining(&limiter, &[refilled("bob", 3, 3)]).await, 0);
}

/// Not once.
pub async fn a_key_that_is_named_twice_pays_twice<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: RateLimiter>,
{
    let limiter = make().await;
    let takes = [spent("ann", 3, 1), spent("ann", 3, 1)];
    assert_eq!(remaining(&limiter, &takes).await, 1);
    assert_eq!(denied_by(&limiter, &takes).await, 1);
    assert_eq!(remaining(&limiter, &[spent("ann", 3, 1)]).await, 0);
}

/// From all nodes together.
pub async fn racing_takes_never_exceed_the_capacity<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: RateLimiter>,
{
    let limiter = Arc::new(make().await);
    let answers = at_once(&limiter, 50, |limiter, _| async move {
        limiter.take(&[spent("ann", 20, 1)]).await.unwrap()
    })
    .await;
    assert_eq!(count(&answers, is_allowed), 20);
}

/// No token is lost on the way to a denial.
pub async fn racing_takes_of_two_buckets_are_all_or_none<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: RateLimiter>,
{
    let limiter = Arc::new(make().await);
    let answers = at_once(&limiter, 40, |limiter, index| async move {
        let (user, room) = (spent("user", 20, 1), spent("room", 10, 1));
        let takes = if index % 2 == 0 {
            [user, room]
        } else {
            [room, user]
        };
        limiter.take(&takes).await.unwrap()
    })
    .await;
    assert_eq!(count(&answers, is_allowed), 10);
    assert_eq!(remaining(&*limiter, &[spent("user", 20, 0)]).await, 10);
}
