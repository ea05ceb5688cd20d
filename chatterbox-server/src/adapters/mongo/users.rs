//! Accounts, one document each, and the keys they are found by.
//!
//! `user_keys` is an index of our own: a row for each key of each user, so that a page of a search is one range in order
//! of key and user, which no index over arrays can give. Rows are written before the account that they are of, and
//! taken away after it has others; what a search meets is checked against the account. So a row may be left over where
//! a node died, but none is ever missing. `keysRev` numbers the changes of an account's names: a row is taken away only
//! if no later change has wanted it.

use std::collections::HashMap;

use async_trait::async_trait;
use chatterbox_core::domain::user::{
    Credentials, LoginName, NameChange, NewUser, PasswordHash, ProfileChange, User, UserSettings,
};
use chatterbox_core::domain::user_search::{UserQuery, search_keys};
use chatterbox_core::ids::UserId;
use chatterbox_core::ports::storage::{FoundAt, FoundUser, InsertUserError, StoreError, UserStore};
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::command::{delete, delete_all, update_all, upsert};
use super::error::{unless_duplicate, unsettled};
use super::ids::{self, Id as _, stamp, time};

/// How often an account is tried to change that others change at the same moment.
const ATTEMPTS: u32 = 100;
/// The last character there is: no key is above a beginning followed by it.
const LAST_CHARACTER: char = '\u{10ffff}';

/// An account.
#[derive(Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of its own")]
#[serde(rename_all = "camelCase")]
struct UserRow {
    #[serde(rename = "_id")]
    id: ObjectId,
    username: String,
    name_key: String,
    skeleton: String,
    email: String,
    email_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    password_hash: String,
    created_at: DateTime,
    suspended: bool,
    admin: bool,
    read_receipts: bool,
    show_presence: bool,
    email_search: bool,
    keys_rev: i64,
}

/// A key that a user is found by, or was.
#[derive(Deserialize)]
struct KeyRow {
    key: String,
    user: ObjectId,
}

impl From<NewUser> for UserRow {
    fn from(new: NewUser) -> UserRow {
        let settings = UserSettings::default();
        UserRow {
            id: new.id.oid(),
            username: new.name.shown,
            name_key: new.name.key,
            skeleton: new.name.skeleton,
            email: new.email.shown,
            email_key: new.email.key,
            display_name: new.display_name,
            password_hash: new.password_hash.0,
            created_at: stamp(new.created_at),
            suspended: false,
            admin: false,
            read_receipts: settings.read_receipts,
            show_presence: settings.show_presence,
            email_search: settings.email_search,
            keys_rev: 1,
        }
    }
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> User {
        User {
            id: UserId::from_oid(row.id),
            username: row.username,
            email: row.email,
            display_name: row.display_name,
            created_at: time(row.created_at),
            suspended: row.suspended,
            admin: row.admin,
            settings: UserSettings {
                read_receipts: row.read_receipts,
                show_presence: row.show_presence,
                email_search: row.email_search,
            },
        }
    }
}

pub(super) struct MongoUsers {
    shared: Shared,
    users: Collection<UserRow>,
    keys: Collection<KeyRow>,
}

impl MongoUsers {
    pub(super) fn new(shared: &Shared) -> MongoUsers {
        MongoUsers {
            users: shared.database.collection("users"),
            keys: shared.database.collection("user_keys"),
            shared: shared.clone(),
        }
    }

    async fn one(&self, filter: Document) -> Result<Option<UserRow>, StoreError> {
        let find = self.users.find_one(filter);
        Ok(self.shared.gate.call(find.into_future()).await?)
    }

    /// Whether there is such an account.
    async fn change(&self, filter: Document, set: Document) -> Result<bool, StoreError> {
        let update = self.users.update_one(filter, doc! { "$set": set });
        let updated = self.shared.gate.call(update.into_future()).await?;
        Ok(updated.matched_count == 1)
    }

    /// Makes a user be found by these names, from the change `rev` on.
    async fn add_keys(
        &self,
        user: ObjectId,
        (username, display_name): (&str, Option<&str>),
        rev: i64,
    ) -> Result<(), StoreError> {
        let keys = search_keys(username, display_name).into_iter();
        let statements =
            keys.map(|key| upsert(doc! { "key": key, "user": user }, doc! { "$max": { "rev": rev } }));
        update_all(
            &self.shared.database,
            &self.shared.gate,
            "user_keys",
            statements.collect(),
        )
        .await
    }

    /// Takes away what a user was found by before the change `rev`.
    async fn remove_keys(
        &self,
        user: ObjectId,
        (username, display_name): (&str, Option<&str>),
        rev: i64,
    ) -> Result<(), StoreError> {
        let now = search_keys(username, display_name);
        let find = self.keys.find(doc! { "user": user });
        let rows = self.shared.gate.all(find).await?;
        let over = rows.into_iter().filter(|row| !now.contains(&row.key));
        let statements =
            over.map(|row| delete(doc! { "key": row.key, "user": user, "rev": { "$lte": rev } }));
        delete_all(
            &self.shared.database,
            &self.shared.gate,
            "user_keys",
            statements.collect(),
        )
        .await
    }

    /// Changes names; `None` if there is no such account. Round trips: 3 to 5.
    async fn rename(
        &self,
        id: UserId,
        change: &ProfileChange,
        set: Document,
        unset: Document,
    ) -> Result<Option<User>, StoreError> {
        for _ in 0..ATTEMPTS {
            let Some(row) = self.one(doc! { "_id": id.oid() }).await? else {
                return Ok(None);
            };
            let rev = row.keys_rev;
            let mut user = User::from(row);
            change.apply_to(&mut user);
            let names = (user.username.as_str(), user.display_name.as_deref());
            self.add_keys(id.oid(), names, rev + 1).await?;
            let mut update = doc! { "$inc": { "keysRev": 1_i64 } };
            for (operator, fields) in [("$set", &set), ("$unset", &unset)] {
                if !fields.is_empty() {
                    update.insert(operator, fields.clone());
                }
            }
            let renamed = self
                .users
                .find_one_and_update(doc! { "_id": id.oid(), "keysRev": rev }, update)
                .return_document(ReturnDocument::After);
            if let Some(row) = self.shared.gate.call(renamed.into_future()).await? {
                let user = User::from(row);
                let names = (user.username.as_str(), user.display_name.as_deref());
                self.remove_keys(id.oid(), names, rev + 1).await?;
                return Ok(Some(user));
            }
        }
        Err(unsettled())
    }

    /// Those of a range of keys who are found by them: each row must be the first that its user is found by.
    async fn found(&self, query: &str, rows: &[KeyRow]) -> Result<Vec<FoundUser>, StoreError> {
        let ids: Vec<UserId> = rows.iter().map(|row| UserId::from_oid(row.user)).collect();
        let users = self.get_many(&ids).await?;
        let users: HashMap<UserId, User> = users.into_iter().map(|user| (user.id, user)).collect();
        let mut found = Vec::new();
        for row in rows {
            let Some(user) = users.get(&UserId::from_oid(row.user)) else {
                continue;
            };
            let keys = search_keys(&user.username, user.display_name.as_deref());
            let first = keys.iter().find(|key| key.starts_with(query));
            if first == Some(&row.key) {
                found.push(FoundUser {
                    at: FoundAt {
                        key: row.key.clone(),
                        user: user.id,
                    },
                    user: user.clone(),
                });
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl UserStore for MongoUsers {
    /// 2 round trips; 2 or 3 more if something is taken.
    async fn insert(&self, new: NewUser) -> Result<(), InsertUserError> {
        let names = (new.name.shown.clone(), new.display_name.clone());
        let row = UserRow::from(new);
        self.add_keys(row.id, (&names.0, names.1.as_deref()), 1).await?;
        // What stood in the way may be gone when it is looked at.
        for _ in 0..ATTEMPTS {
            let insert = self.users.insert_one(&row);
            if unless_duplicate(self.shared.gate.call(insert.into_future()).await)? {
                return Ok(());
            }
            if self.one(doc! { "_id": row.id }).await?.is_some() {
                return Ok(());
            }
            let same_name = doc! { "$or": [{ "nameKey": &row.name_key }, { "skeleton": &row.skeleton }] };
            let refused = if self.one(same_name).await?.is_some() {
                InsertUserError::UsernameTaken
            } else if self.one(doc! { "emailKey": &row.email_key }).await?.is_some() {
                InsertUserError::EmailTaken
            } else {
                continue;
            };
            // No account has them; they would only be in the way.
            let rows = search_keys(&names.0, names.1.as_deref()).into_iter();
            let keys = rows.map(|key| delete(doc! { "key": key, "user": row.id }));
            delete_all(
                &self.shared.database,
                &self.shared.gate,
                "user_keys",
                keys.collect(),
            )
            .await?;
            return Err(refused);
        }
        Err(unsettled().into())
    }

    async fn get(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.one(doc! { "_id": id.oid() }).await?.map(User::from))
    }

    async fn get_many(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let find = self
            .users
            .find(doc! { "_id": { "$in": ids::oids(ids) } })
            .batch_size(ids::batch(ids.len()));
        let rows = self.shared.gate.all(find).await?;
        Ok(rows.into_iter().map(User::from).collect())
    }

    async fn credentials(&self, login: &LoginName) -> Result<Option<Credentials>, StoreError> {
        let filter = match login {
            LoginName::Username(key) => doc! { "nameKey": key },
            LoginName::Email(key) => doc! { "emailKey": key },
        };
        let row = self.one(filter).await?;
        Ok(row.map(|row| Credentials {
            password_hash: PasswordHash(row.password_hash.clone()),
            user: User::from(row),
        }))
    }

    async fn replace_password_hash(&self, id: UserId, old: &str, new: &str) -> Result<bool, StoreError> {
        let filter = doc! { "_id": id.oid(), "passwordHash": old };
        self.change(filter, doc! { "passwordHash": new }).await
    }

    async fn set_suspended(&self, id: UserId, suspended: bool) -> Result<bool, StoreError> {
        self.change(doc! { "_id": id.oid() }, doc! { "suspended": suspended })
            .await
    }

    async fn set_admin(&self, id: UserId, admin: bool) -> Result<bool, StoreError> {
        self.change(doc! { "_id": id.oid() }, doc! { "admin": admin })
            .await
    }

    async fn change_profile(&self, id: UserId, change: &ProfileChange) -> Result<Option<User>, StoreError> {
        let (mut set, mut unset) = (Document::new(), Document::new());
        for (field, value) in [
            ("readReceipts", change.read_receipts),
            ("showPresence", change.show_presence),
            ("emailSearch", change.email_search),
        ] {
            if let Some(value) = value {
                set.insert(field, value);
            }
        }
        match &change.display_name {
            NameChange::Keep if set.is_empty() => return self.get(id).await,
            NameChange::Keep => {
                let update = self
                    .users
                    .find_one_and_update(doc! { "_id": id.oid() }, doc! { "$set": set })
                    .return_document(ReturnDocument::After);
                let changed = self.shared.gate.call(update.into_future()).await?;
                return Ok(changed.map(User::from));
            }
            NameChange::Remove => {
                unset.insert("displayName", "");
            }
            NameChange::Set(name) => {
                set.insert("displayName", name);
            }
        }
        self.rename(id, change, set, unset).await
    }

    /// 2 round trips, and 2 more where a page is short because users have several keys in it.
    async fn search(
        &self,
        query: &UserQuery,
        after: Option<&FoundAt>,
        limit: usize,
    ) -> Result<Vec<FoundUser>, StoreError> {
        let query = query.as_str();
        let end = format!("{query}{LAST_CHARACTER}");
        let mut from = after.map(|after| (after.key.clone(), after.user.oid()));
        let mut found = Vec::new();
        while found.len() < limit {
            let mut range = doc! { "key": { "$gte": query, "$lt": &end } };
            if let Some((key, user)) = &from {
                range.insert(
                    "$or",
                    vec![
                        doc! { "key": { "$gt": key } },
                        doc! { "key": key, "user": { "$gt": user } },
                    ],
                );
            }
            let find = self
                .keys
                .find(range)
                .sort(doc! { "key": 1, "user": 1 })
                .limit(ids::limit(limit))
                .batch_size(ids::batch(limit));
            let rows = self.shared.gate.all(find).await?;
            let Some(last) = rows.last() else {
                break;
            };
            from = Some((last.key.clone(), last.user));
            found.extend(self.found(query, &rows).await?);
            if rows.len() < limit {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn list(&self, after: Option<UserId>, limit: usize) -> Result<Vec<User>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let filter = after.map_or(Document::new(), |after| doc! { "_id": { "$gt": after.oid() } });
        let find = self
            .users
            .find(filter)
            .sort(doc! { "_id": 1 })
            .limit(ids::limit(limit))
            .batch_size(ids::batch(limit));
        let rows = self.shared.gate.all(find).await?;
        Ok(rows.into_iter().map(User::from).collect())
    }
}
