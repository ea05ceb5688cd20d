//! Who is behind a user id, for everything that shows people.

use std::collections::HashMap;
use std::sync::Arc;

use quick_cache::sync::Cache;
use serde::Serialize;
use utoipa::ToSchema;

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

/// Users kept at hand, so that encoding a message reads no store.
const NAMES_KEPT: usize = 50_000;

/// Public users by id, cached: names don't change.
#[derive(Clone)]
pub struct Names {
    users: Arc<dyn UserStore>,
    cache: Arc<Cache<UserId, Arc<PublicUser>>>,
}

impl Names {
    /// Over `users`.
    pub fn new(users: Arc<dyn UserStore>) -> Names {
        Names {
            users,
            cache: Arc::new(Cache::new(NAMES_KEPT)),
        }
    }

    /// One user; a placeholder for one that is gone.
    pub async fn get(&self, id: UserId) -> Result<Arc<PublicUser>, StoreError> {
        if let Some(known) = self.cache.get(&id) {
            return Ok(known);
        }
        let mut found = self.get_many([id]).await?;
        Ok(found.remove(&id).unwrap_or_else(|| gone(id)))
    }

    /// All of `ids`, the unknown ones read in one query per 1,000.
    pub async fn get_many(
        &self,
        ids: impl IntoIterator<Item = UserId>,
    ) -> Result<HashMap<UserId, Arc<PublicUser>>, StoreError> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for id in ids {
            match self.cache.get(&id) {
                Some(known) => {
                    found.insert(id, known);
                }
                None if !missing.contains(&id) => missing.push(id),
                None => {}
            }
        }
        for some in missing.chunks(1000) {
            for user in self.users.get_many(some).await? {
                let public = Arc::new(PublicUser {
                    id: user.id,
                    username: user.username,
                    display_name: user.display_name,
                });
                self.cache.insert(user.id, public.clone());
                found.insert(user.id, public);
            }
        }
        for id in missing {
            found.entry(id).or_insert_with(|| gone(id));
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
