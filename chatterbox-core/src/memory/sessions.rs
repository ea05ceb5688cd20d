use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use async_trait::async_trait;

use super::lock;
use crate::clock::Timestamp;
use crate::domain::session::Session;
use crate::ids::{SessionId, UserId};
use crate::ports::storage::{Rotation, SessionStore, StoreError};

/// Logins in memory.
#[derive(Debug)]
pub struct MemorySessions {
    entries: usize,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    by_id: HashMap<SessionId, Session>,
    of_user: HashMap<UserId, BTreeSet<SessionId>>,
}

impl MemorySessions {
    /// At most `entries` sessions, revoked and expired ones included until they are swept.
    pub fn new(entries: usize) -> MemorySessions {
        MemorySessions {
            entries,
            rows: Mutex::default(),
        }
    }
}

impl Rows {
    fn ids_of(&self, user: UserId) -> Vec<SessionId> {
        self.of_user.get(&user).into_iter().flatten().copied().collect()
    }

    fn remove(&mut self, id: SessionId) {
        let Some(session) = self.by_id.remove(&id) else {
            return;
        };
        if let Some(ids) = self.of_user.get_mut(&session.user) {
            ids.remove(&id);
            if ids.is_empty() {
                self.of_user.remove(&session.user);
            }
        }
    }
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn insert(&self, session: &Session) -> Result<(), StoreError> {
        let mut rows = lock(&self.rows);
        if rows.by_id.contains_key(&session.id) {
            return Ok(());
        }
        if rows.by_id.len() >= self.entries {
            return Err(StoreError::Full);
        }
        rows.of_user.entry(session.user).or_default().insert(session.id);
        rows.by_id.insert(session.id, session.clone());
        Ok(())
    }

    async fn get(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(lock(&self.rows).by_id.get(&id).cloned())
    }

    async fn rotate(
        &self,
        id: SessionId,
        from: u32,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let mut rows = lock(&self.rows);
        match (rows.by_id.get_mut(&id), from.checked_add(1)) {
            (Some(session), Some(next)) if session.generation == from && session.revoked_at.is_none() => {
                session.generation = next;
                session.rotated_at = now;
                session.expires_at = expires_at;
                Ok(Rotation::Rotated)
            }
            _ => Ok(Rotation::Lost),
        }
    }

    async fn revoke(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let mut rows = lock(&self.rows);
        match rows.by_id.get_mut(&id) {
            Some(session) if session.revoked_at.is_none() => {
                session.revoked_at = Some(now);
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    async fn revoke_all(
        &self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut rows = lock(&self.rows);
        let mut ended = Vec::new();
        for id in rows.ids_of(user) {
            if Some(id) == except {
                continue;
            }
            if let Some(session) = rows.by_id.get_mut(&id)
                && session.lives_at(now)
            {
                session.revoked_at = Some(now);
                ended.push(id);
            }
        }
        Ok(ended)
    }

    async fn of_user(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let rows = lock(&self.rows);
        let mut living: Vec<Session> = rows
            .ids_of(user)
            .iter()
            .filter_map(|id| rows.by_id.get(id))
            .filter(|session| session.lives_at(now))
            .cloned()
            .collect();
        living.sort_by_key(|session| std::cmp::Reverse((session.created_at, session.id)));
        Ok(living)
    }

    async fn revoked_since(&self, since: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        let rows = lock(&self.rows);
        let mut revoked: Vec<(Timestamp, SessionId)> = rows
            .by_id
            .values()
            .filter_map(|session| Some((session.revoked_at?, session.id)))
            .filter(|(at, _)| *at >= since)
            .collect();
        revoked.sort_unstable();
        Ok(revoked.into_iter().take(limit).map(|(_, id)| id).collect())
    }

    async fn sweep(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut rows = lock(&self.rows);
        let ended: Vec<SessionId> = rows
            .by_id
            .values()
            .filter(|session| {
                session.expires_at < before
                    || session.revoked_at.is_some_and(|revoked_at| revoked_at < before)
            })
            .take(limit)
            .map(|session| session.id)
            .collect();
        for id in &ended {
            rows.remove(*id);
        }
        Ok(ended.len())
    }
}
