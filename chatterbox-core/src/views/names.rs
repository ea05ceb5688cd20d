//! Who is behind a user id, for everything that shows people.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::domain::user::User;
use crate::ids::UserId;
use crate::ports::storage::{StoreError, UserStore};

/// What everyone may see of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicUser {
    /// Id.
    pub id: UserId,
    /// Unique name.
    pub username: String,
    /// Name to show beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

impl From<User> for PublicUser {
    fn from(user: User) -> PublicUser {
        PublicUser {
            id: user.id,
            username: user.username,
            display_name: user.display_name,
        }
    }
}

/// Users kept at hand, so that encoding a message reads no store.
const NAMES_KEPT: usize = 50_000;

/// For how long what was read is believed. A change on this node counts at once; this is for those whose word got lost
/// on the way from another node.
const BELIEVED_FOR: Duration = Duration::from_mins(1);

/// Public users by id, cached.
#[derive(Clone)]
pub struct Names {
    users: Arc<dyn UserStore>,
    cache: Arc<Cache<UserId, Known>>,
    /// Moves with every change, so that what was read before it is not kept behind it.
    changes: Arc<AtomicU64>,
}

/// A user as the store had it.
#[derive(Clone)]
struct Known {
    user: Arc<PublicUser>,
    read_at: Instant,
}

impl Names {
    /// Over `users`.
    pub fn new(users: Arc<dyn UserStore>) -> Names {
        Names {
            users,
            cache: Arc::new(Cache::new(NAMES_KEPT)),
            changes: Arc::default(),
        }
    }

    /// One user; a placeholder for one that is gone.
    pub async fn get(&self, id: UserId) -> Result<Arc<PublicUser>, StoreError> {
        if let Some(known) = self.cache.get(&id)
            && known.read_at.elapsed() < BELIEVED_FOR
        {
            return Ok(known.user);
        }
        let mut found = self.get_many([id]).await?;
        Ok(found.remove(&id).unwrap_or_else(|| gone(id)))
    }

    /// All of `ids`, the unknown ones read in one query per 1,000. While the store is away, what was known before is
    /// good enough.
    pub async fn get_many(
        &self,
        ids: impl IntoIterator<Item = UserId>,
    ) -> Result<HashMap<UserId, Arc<PublicUser>>, StoreError> {
        let now = Instant::now();
        let mut found = HashMap::new();
        let mut stale = HashMap::new();
        let mut missing = BTreeSet::new();
        for id in ids {
            match self.cache.get(&id) {
                Some(known) if now.duration_since(known.read_at) < BELIEVED_FOR => {
                    found.insert(id, known.user);
                }
                known => {
                    stale.extend(known.map(|known| (id, known.user)));
                    missing.insert(id);
                }
            }
        }
        let missing: Vec<UserId> = missing.into_iter().collect();
        for some in missing.chunks(1000) {
            match self.read(some, now).await {
                Ok(users) => found.extend(users),
                Err(_) if some.iter().all(|id| stale.contains_key(id)) => {
                    found.extend(some.iter().filter_map(|id| stale.remove_entry(id)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The user's profile has changed: it is read anew.
    pub fn forget(&self, id: UserId) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.cache.remove(&id);
    }

    async fn read(
        &self,
        ids: &[UserId],
        now: Instant,
    ) -> Result<HashMap<UserId, Arc<PublicUser>>, StoreError> {
        let changes = self.changes.load(Ordering::Acquire);
        let users = self.users.get_many(ids).await?;
        let mut found: HashMap<UserId, Arc<PublicUser>> = users
            .into_iter()
            .map(|user| (user.id, Arc::new(PublicUser::from(user))))
            .collect();
        for user in found.values() {
            let known = Known {
                user: user.clone(),
                read_at: now,
            };
            self.cache.insert(user.id, known);
            // A change that came meanwhile may have looked for it before it was there.
            if self.changes.load(Ordering::Acquire) != changes {
                self.cache.remove(&user.id);
            }
        }
        for id in ids {
            found.entry(*id).or_insert_with(|| gone(*id));
        }
        Ok(found)
    }
}

fn gone(id: UserId) -> Arc<PublicUser> {
    let username = if id == UserId::SERVER {
        "ChatterBox"
    } else {
        "Deleted user"
    };
    Arc::new(PublicUser {
        id,
        username: username.to_owned(),
        display_name: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::{NameChange, ProfileChange};
    use crate::memory::MemoryUsers;
    use crate::testkit::{SeededIds, samples};

    async fn rename(users: &MemoryUsers, id: UserId, name: &str) {
        let change = ProfileChange {
            display_name: NameChange::Set(name.to_owned()),
            ..ProfileChange::default()
        };
        users.change_profile(id, &change).await.unwrap();
    }

    async fn shown(names: &Names, id: UserId) -> Option<String> {
        names.get(id).await.unwrap().display_name.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn s_134_a_changed_name_is_known_at_once_here_and_within_a_minute_everywhere() {
        let ids = SeededIds::new(1);
        let users = Arc::new(MemoryUsers::new(10));
        let ann = samples::new_user(&ids, "ann");
        let id = ann.id;
        users.insert(ann).await.unwrap();
        let (here, elsewhere) = (Names::new(users.clone()), Names::new(users.clone()));
        for names in [&here, &elsewhere] {
            assert_eq!(shown(names, id).await, None);
        }
        rename(&users, id, "Ann").await;
        here.forget(id);
        assert_eq!(shown(&here, id).await.as_deref(), Some("Ann"));
        assert_eq!(shown(&elsewhere, id).await, None, "no word of it got there");
        tokio::time::advance(BELIEVED_FOR).await;
        assert_eq!(shown(&elsewhere, id).await.as_deref(), Some("Ann"));
    }

    #[tokio::test]
    async fn people_who_are_gone_have_a_placeholder() {
        let ids = SeededIds::new(1);
        let names = Names::new(Arc::new(MemoryUsers::new(10)));
        let id = UserId::new(&ids);
        let found = names.get_many([id, UserId::SERVER, id]).await.unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[&id].username, "Deleted user");
        assert_eq!(found[&UserId::SERVER].username, "ChatterBox");
    }
}
