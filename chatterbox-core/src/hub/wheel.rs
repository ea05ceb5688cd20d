//! Deadlines of all connections of a shard: one coarse wheel and one timer, instead of a timer per connection.
//!
//! A connection has mostly one entry: the earliest deadline when it was made. When that comes and the deadline has
//! moved on meanwhile, which is the rule with heartbeats, the connection enters itself again. Deadlines are met up to
//! 5 ms late, which nobody notices, and all that fall into one such tick are settled at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::flusher::now;
use super::link::WeakLink;

const TICK_MS: u64 = 5;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Wheel {
    begun: Instant,
    /// By the number of the tick.
    entries: Mutex<BTreeMap<u64, Vec<WeakLink>>>,
    /// Rung when an entry comes before all others.
    bell: Notify,
}

impl Wheel {
    pub(super) fn new(begun: Instant) -> Wheel {
        Wheel {
            begun,
            entries: Mutex::default(),
            bell: Notify::new(),
        }
    }

    /// Calls the connection's `fire` at `at` or up to a tick later.
    pub(super) fn schedule(&self, link: WeakLink, at: Instant) {
        let millis = at.saturating_duration_since(self.begun).as_millis();
        let tick = u64::try_from(millis).unwrap_or(u64::MAX) / TICK_MS + 1;
        let mut entries = self.lock();
        let first = entries.first_key_value().is_none_or(|(first, _)| tick < *first);
        entries.entry(tick).or_default().push(link);
        drop(entries);
        if first {
            self.bell.notify_one();
        }
    }

    /// Fires what is due, for ever.
    pub(super) async fn turn(&self) {
        loop {
            let next = self
                .lock()
                .first_key_value()
                .map(|(tick, _)| self.instant_of(*tick));
            match next {
                None => self.bell.notified().await,
                Some(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at.into()) => self.fire_due(now()),
                        () = self.bell.notified() => {}
                    }
                }
            }
        }
    }

    fn fire_due(&self, now: Instant) {
        loop {
            let due = {
                let mut entries = self.lock();
                match entries.first_entry() {
                    Some(first) if self.instant_of(*first.key()) <= now => first.remove(),
                    Some(_) | None => return,
                }
            };
            due.iter()
                .filter_map(WeakLink::upgrade)
                .for_each(|link| link.fire(now));
        }
    }

    fn instant_of(&self, tick: u64) -> Instant {
        self.begun + Duration::from_millis(tick * TICK_MS)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<WeakLink>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
