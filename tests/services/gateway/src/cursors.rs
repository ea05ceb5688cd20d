//! Cursors: what the extension needs to go on with each. They belong to no connection, are bounded in number and expire.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// As in MongoDB.
const EXPIRES_AFTER: Duration = Duration::from_mins(10);
/// Above this, the one that was not used for longest goes.
const CURSORS_MAX: usize = 10_000;

/// All open cursors.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    by_id: Mutex<HashMap<i64, Cursor>>,
}

/// One that has more to give.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    /// The database.
    pub(crate) db: String,
    /// The extension's document that says where it stands.
    pub(crate) continuation: Vec<u8>,
    used: Instant,
}

impl Cursors {
    /// Keeps a cursor that has more to give.
    pub(crate) fn keep(&self, id: i64, db: &str, continuation: Vec<u8>) {
        let mut by_id = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        if by_id.len() >= CURSORS_MAX
            && let Some(oldest) = by_id
                .iter()
                .min_by_key(|(_, cursor)| cursor.used)
                .map(|(id, _)| *id)
        {
            by_id.remove(&oldest);
        }
        let cursor = Cursor {
            db: db.to_owned(),
            continuation,
            used: Instant::now(),
        };
        by_id.insert(id, cursor);
    }

    /// Takes a cursor out, to go on with it.
    pub(crate) fn take(&self, id: i64) -> Option<Cursor> {
        self.by_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id)
    }

    /// Forgets what was not used for too long.
    pub(crate) fn expire(&self, now: Instant) {
        self.by_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, cursor| now.saturating_duration_since(cursor.used) < EXPIRES_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_bounded_and_expire() {
        let cursors = Cursors::default();
        for id in 0..=i64::try_from(CURSORS_MAX).unwrap() {
            cursors.keep(id, "d", Vec::new());
        }
        assert!(cursors.take(0).is_none(), "the oldest made room");
        assert!(cursors.take(1).is_some());
        assert!(cursors.take(1).is_none(), "it was taken");
        cursors.expire(Instant::now());
        assert!(cursors.take(2).is_some());
        cursors.expire(Instant::now() + EXPIRES_AFTER);
        assert!(cursors.take(3).is_none());
    }
}
