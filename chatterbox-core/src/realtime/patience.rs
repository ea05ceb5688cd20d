//! How often a user may be told to be slower before their connections are closed (S-142): over all of them on a node,
//! for the bucket of messages is the user's as well. Nothing is kept of who has been slow enough for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::engine::chat::Bucket;
use crate::ids::UserId;

/// Refusals that a user may collect, and how many of them are forgotten in a second: with 30 messages a second instead
/// of 10 the end comes after 10 s.
const REFUSALS: (f32, f32) = (100.0, 10.0);
/// Those who have been slow enough are looked for when this many are known, or twice as many as were left.
const LOOKED_FOR_AT: usize = 1024;

/// Users who were too fast lately.
#[derive(Debug, Default)]
pub struct Patience(Mutex<Refused>);

#[derive(Debug, Default)]
struct Refused {
    users: HashMap<UserId, Bucket>,
    swept_to: usize,
}

impl Patience {
    /// Counts a refusal. False if it was one too many.
    pub(super) fn bears(&self, user: UserId, now: Instant) -> bool {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.users.len() >= LOOKED_FOR_AT.max(refused.swept_to * 2) {
            refused.users.retain(|_, bucket| !bucket.is_full(now));
            refused.swept_to = refused.users.len();
        }
        let bucket = refused.users.entry(user);
        bucket
            .or_insert_with(|| Bucket::new(REFUSALS.0, REFUSALS.1, now))
            .take(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testkit::SeededIds;

    #[test]
    fn s_142_patience_ends_after_ten_seconds_at_thrice_the_rate_and_remembers_nobody_for_long() {
        let ids = SeededIds::new(1);
        let (patience, begin) = (Patience::default(), Instant::now());
        let user = UserId::new(&ids);
        let borne = (0..1_000)
            .take_while(|refusal| patience.bears(user, begin + Duration::from_millis(50) * *refusal))
            .count();
        assert!((195..=205).contains(&borne), "{borne} refusals at 20 a second");
        for refusal in 0..1_000 {
            let at = begin + Duration::from_mins(1) + Duration::from_millis(100) * refusal;
            assert!(patience.bears(user, at), "10 a second are borne for ever");
        }
        for second in 0..20 {
            for _ in 0..LOOKED_FOR_AT {
                patience.bears(UserId::new(&ids), begin + Duration::from_mins(3 + second));
            }
        }
        assert!(patience.0.lock().unwrap().users.len() <= 2 * LOOKED_FOR_AT + 1);
    }
}
