use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Mutex;

use async_trait::async_trait;

use super::lock;
use crate::domain::user::{Credentials, LoginName, NewUser, PasswordHash, ProfileChange, User, UserSettings};
use crate::domain::user_search::{UserQuery, search_keys};
use crate::ids::UserId;
use crate::ports::storage::{FoundAt, FoundUser, InsertUserError, StoreError, UserStore};

/// Accounts in memory.
#[derive(Debug)]
pub struct MemoryUsers {
    entries: usize,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    rows: BTreeMap<UserId, Credentials>,
    by_name_key: HashMap<String, UserId>,
    by_skeleton: HashMap<String, UserId>,
    by_email_key: HashMap<String, UserId>,
    /// Who is found by which key.
    found_by: BTreeSet<FoundAt>,
}

fn keys_of(user: &User) -> BTreeSet<FoundAt> {
    let keys = search_keys(&user.username, user.display_name.as_deref()).into_iter();
    keys.map(|key| FoundAt { key, user: user.id }).collect()
}

impl Accounts {
    /// Whether this is the first of the user's keys that begins with the query.
    fn is_first(&self, at: &FoundAt, query: &str) -> bool {
        let Some(account) = self.rows.get(&at.user) else {
            return false;
        };
        let keys = keys_of(&account.user);
        keys.iter().find(|one| one.key.starts_with(query)) == Some(at)
    }
}

impl MemoryUsers {
    /// At most `entries` accounts.
    pub fn new(entries: usize) -> MemoryUsers {
        MemoryUsers {
            entries,
            accounts: Mutex::default(),
        }
    }

    fn change(&self, id: UserId, change: impl FnOnce(&mut Credentials)) -> bool {
        lock(&self.accounts).rows.get_mut(&id).map(change).is_some()
    }
}

#[async_trait]
impl UserStore for MemoryUsers {
    async fn insert(&self, user: NewUser) -> Result<(), InsertUserError> {
        let mut accounts = lock(&self.accounts);
        if accounts.rows.contains_key(&user.id) {
            return Ok(());
        }
        if accounts.by_name_key.contains_key(&user.name.key)
            || accounts.by_skeleton.contains_key(&user.name.skeleton)
        {
            return Err(InsertUserError::UsernameTaken);
        }
        if accounts.by_email_key.contains_key(&user.email.key) {
            return Err(InsertUserError::EmailTaken);
        }
        if accounts.rows.len() >= self.entries {
            return Err(StoreError::Full.into());
        }
        accounts.by_name_key.insert(user.name.key, user.id);
        accounts.by_skeleton.insert(user.name.skeleton, user.id);
        accounts.by_email_key.insert(user.email.key, user.id);
        let account = User {
            id: user.id,
            username: user.name.shown,
            email: user.email.shown,
            display_name: user.display_name,
            created_at: user.created_at,
            suspended: false,
            admin: false,
            settings: UserSettings::default(),
        };
        accounts.found_by.extend(keys_of(&account));
        let credentials = Credentials {
            user: account,
            password_hash: user.password_hash,
        };
        accounts.rows.insert(user.id, credentials);
        Ok(())
    }

    async fn get(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(lock(&self.accounts)
            .rows
            .get(&id)
            .map(|account| account.user.clone()))
    }

    async fn get_many(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        let accounts = lock(&self.accounts);
        let wanted: BTreeSet<_> = ids.iter().collect();
        Ok(wanted
            .into_iter()
            .filter_map(|id| accounts.rows.get(id))
            .map(|account| account.user.clone())
            .collect())
    }

    async fn credentials(&self, login: &LoginName) -> Result<Option<Credentials>, StoreError> {
        let accounts = lock(&self.accounts);
        let id = match login {
            LoginName::Username(key) => accounts.by_name_key.get(key),
            LoginName::Email(key) => accounts.by_email_key.get(key),
        };
        Ok(id.and_then(|id| accounts.rows.get(id)).cloned())
    }

    async fn replace_password_hash(&self, id: UserId, old: &str, new: &str) -> Result<bool, StoreError> {
        let mut accounts = lock(&self.accounts);
        match accounts.rows.get_mut(&id) {
            Some(account) if account.password_hash.0 == old => {
                account.password_hash = PasswordHash(new.to_owned());
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    async fn set_suspended(&self, id: UserId, suspended: bool) -> Result<bool, StoreError> {
        Ok(self.change(id, |account| account.user.suspended = suspended))
    }

    async fn set_admin(&self, id: UserId, admin: bool) -> Result<bool, StoreError> {
        Ok(self.change(id, |account| account.user.admin = admin))
    }

    async fn change_profile(&self, id: UserId, change: &ProfileChange) -> Result<Option<User>, StoreError> {
        let mut accounts = lock(&self.accounts);
        let Accounts { rows, found_by, .. } = &mut *accounts;
        let Some(account) = rows.get_mut(&id) else {
            return Ok(None);
        };
        for key in keys_of(&account.user) {
            found_by.remove(&key);
        }
        change.apply_to(&mut account.user);
        found_by.extend(keys_of(&account.user));
        Ok(Some(account.user.clone()))
    }

    async fn search(
        &self,
        query: &UserQuery,
        after: Option<&FoundAt>,
        limit: usize,
    ) -> Result<Vec<FoundUser>, StoreError> {
        let query = query.as_str();
        let accounts = lock(&self.accounts);
        let beginning = FoundAt {
            key: query.to_owned(),
            user: UserId::from_bytes([0; 12]),
        };
        let from = after.map_or(Bound::Included(&beginning), Bound::Excluded);
        Ok(accounts
            .found_by
            .range((from, Bound::Unbounded))
            .take_while(|at| at.key.starts_with(query))
            .filter(|at| accounts.is_first(at, query))
            .filter_map(|at| {
                let user = accounts.rows.get(&at.user)?.user.clone();
                Some(FoundUser { at: at.clone(), user })
            })
            .take(limit)
            .collect())
    }

    async fn list(&self, after: Option<UserId>, limit: usize) -> Result<Vec<User>, StoreError> {
        let above = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(lock(&self.accounts)
            .rows
            .range((above, Bound::Unbounded))
            .take(limit)
            .map(|(_, account)| account.user.clone())
            .collect())
    }
}
