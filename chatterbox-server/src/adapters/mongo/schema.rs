//! Collections and their indexes, and which version of them a database has.
//!
//! Changes are additive only, so that nodes of version N run beside nodes of N-1 while they are replaced one by one: a
//! node that starts makes what is missing, whatever the schema's version says, and raises `meta.schema`; one that finds
//! a newer schema than it knows, or another index under one of the names, refuses to start. One node at a time prepares
//! the database; `meta.lock` names it until when, and is renewed while indexes of filled collections are built.

use std::convert::Infallible;
use std::time::Duration;

use chatterbox_core::clock::{Clock as _, SystemClock, Timestamp};
use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mongodb::IndexModel;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{IndexOptions, ReturnDocument};
use mongodb::{Collection, Database};

use super::error::{Failure, MongoOpenError, unreachable, why};
use super::gate::Gate;

/// The newest schema that is known.
const KNOWN: i64 = 1;

/// The collection of `schema` and `lock`; the document `schema` is always there.
pub(super) const META: &str = "meta";
pub(super) const SCHEMA: &str = "schema";
const LOCK: &str = "lock";

/// How long a node may take to prepare the database, and how long others wait for it.
const LOCKED_MAX: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How often the node that prepares says that it is still at it.
const RENEW_EVERY: Duration = Duration::from_secs(20);

/// How long the indexes of one collection may take to build: millions of entries take minutes.
const BUILD_MAX: Duration = Duration::from_hours(2);

/// Collections whose indexes are built at once, so that connections are left to renew the lock over.
const BUILT_AT_ONCE: usize = 4;

/// How long rows of members who left a room are kept to tell late writers off; see `conversations`.
const GONE_KEPT: Duration = Duration::from_hours(24);

/// An index besides that of `_id`.
struct Index {
    collection: &'static str,
    name: &'static str,
    key: Document,
    unique: bool,
    /// Only documents that have this, or have it so.
    partial: Option<Document>,
    expire_after: Option<Duration>,
}

impl Index {
    fn new(collection: &'static str, name: &'static str, key: Document) -> Index {
        Index {
            collection,
            name,
            key,
            unique: false,
            partial: None,
            expire_after: None,
        }
    }

    fn unique(mut self) -> Index {
        self.unique = true;
        self
    }

    fn of_those_with(mut self, field: &str) -> Index {
        self.partial = Some(doc! { field: { "$exists": true } });
        self
    }

    fn of_those(mut self, partial: Document) -> Index {
        self.partial = Some(partial);
        self
    }

    fn model(&self) -> IndexModel {
        let options = IndexOptions::builder()
            .name(self.name.to_owned())
            .unique(self.unique.then_some(true))
            .partial_filter_expression(self.partial.clone())
            .expire_after(self.expire_after)
            .build();
        IndexModel::builder()
            .keys(self.key.clone())
            .options(options)
            .build()
    }

    /// What of `found` is not as it should be.
    fn difference(&self, found: &IndexModel) -> Option<String> {
        let options = found.options.clone().unwrap_or_default();
        let same_key = found.keys.len() == self.key.len()
            && found
                .keys
                .iter()
                .zip(&self.key)
                .all(|(found, wanted)| found.0 == wanted.0 && sign(found.1) == sign(wanted.1));
        if !same_key {
            return Some(format!("it is on {} instead of {}", found.keys, self.key));
        }
        if options.unique.unwrap_or(false) != self.unique {
            return Some(format!("unique should be {}", self.unique));
        }
        if options.partial_filter_expression != self.partial {
            return Some("it is of other documents".to_owned());
        }
        (options.expire_after != self.expire_after).then(|| "its documents expire at another time".to_owned())
    }
}

/// Ascending or descending: servers give the number back in types of their own.
fn sign(direction: &Bson) -> Option<bool> {
    match direction {
        Bson::Int32(number) => Some(*number > 0),
        Bson::Int64(number) => Some(*number > 0),
        Bson::Double(number) => Some(*number > 0.0),
        _ => None,
    }
}

#[rustfmt::skip]
fn indexes() -> Vec<Index> {
    let mut gone = Index::new("members", "gone", doc! { "gone": 1 });
    gone.expire_after = Some(GONE_KEPT);
    vec![
        // I3: `_id` of an entry is its conversation and seq. I2 and the identity of attempts:
        Index::new("entries", "id", doc! { "id": 1 }).unique(),
        Index::new("entries", "client_message_id", doc! { "conversation": 1, "sender": 1, "clientMessageId": 1 })
            .unique().of_those_with("clientMessageId"),
        Index::new("entries", "words", doc! { "conversation": 1, "words": 1, "id": -1 }).of_those_with("words"),
        // Names that rooms have, had or are about to have: each leads to one room.
        Index::new("conversations", "names", doc! { "names": 1 }).unique().of_those_with("names"),
        Index::new("conversations", "pair", doc! { "pair": 1 }).unique().of_those_with("pair"),
        Index::new("conversations", "key", doc! { "creator": 1, "key": 1 }).unique().of_those_with("key"),
        Index::new("conversations", "slot", doc! { "creator": 1, "slot": 1 }).unique().of_those_with("slot"),
        Index::new("conversations", "listed", doc! { "listed": 1, "name": 1 }).of_those_with("listed"),
        Index::new("conversations", "unfinished", doc! { "intent.what": 1 }).of_those_with("intent.what"),
        Index::new("members", "user", doc! { "user": 1, "in": 1 }),
        Index::new("members", "slot", doc! { "user": 1, "slot": 1 }).unique().of_those_with("slot"),
        Index::new("members", "seat", doc! { "conversation": 1, "seat": 1 }).of_those_with("seat"),
        gone,
        Index::new("invites", "conversation", doc! { "conversation": 1 }),
        Index::new("invites", "end", doc! { "expiresAt": 1 }),
        Index::new("states", "deleted", doc! { "conversation": 1, "seq": 1 }).of_those(doc! { "deleted": true }),
        Index::new("hidden", "at", doc! { "user": 1, "at": 1 }),
        Index::new("hidden", "slot", doc! { "user": 1, "conversation": 1, "slot": 1 }).unique(),
        Index::new("users", "name", doc! { "nameKey": 1 }).unique(),
        Index::new("users", "skeleton", doc! { "skeleton": 1 }).unique(),
        Index::new("users", "email", doc! { "emailKey": 1 }).unique(),
        Index::new("user_keys", "key", doc! { "key": 1, "user": 1 }).unique(),
        Index::new("user_keys", "user", doc! { "user": 1 }),
        Index::new("sessions", "user", doc! { "user": 1, "createdAt": 1 }),
        Index::new("sessions", "end", doc! { "expiresAt": 1 }),
        Index::new("sessions", "revoked", doc! { "revokedAt": 1 }).of_those_with("revokedAt"),
        Index::new("blocks", "slot", doc! { "user": 1, "slot": 1 }).unique(),
        Index::new("blocks", "blocked", doc! { "blocked": 1 }),
        Index::new("jobs", "due", doc! { "due": 1 }).of_those_with("due"),
        Index::new("jobs", "buried", doc! { "buriedAt": -1 }).of_those_with("buriedAt"),
    ]
}

struct Preparation<'a> {
    database: &'a Database,
    meta: Collection<Document>,
    gate: &'a Gate,
}

/// Brings a database up to the schema that this version knows, and sees to it that all indexes are there.
pub(super) async fn prepare(database: &Database, gate: &Gate) -> Result<(), MongoOpenError> {
    let preparation = Preparation {
        database,
        meta: database.collection(META),
        gate,
    };
    let expected = indexes();
    if preparation.version().await? == KNOWN && preparation.missing(&expected).await?.is_empty() {
        return Ok(());
    }
    let owner = preparation.lock().await?;
    let raised = tokio::select! {
        raised = preparation.raise(&expected) => raised,
        never = preparation.keep_locked(owner) => match never {},
    };
    preparation.unlock(owner).await;
    raised
}

impl Preparation<'_> {
    async fn version(&self) -> Result<i64, MongoOpenError> {
        let found = self.meta.find_one(doc! { "_id": SCHEMA });
        let Some(schema) = self.gate.call(found.into_future()).await.map_err(unreachable)? else {
            return Ok(0);
        };
        let version = match schema.get("version") {
            Some(Bson::Int32(version)) => i64::from(*version),
            Some(Bson::Int64(version)) => *version,
            _ => {
                return Err(MongoOpenError::Foreign {
                    database: self.database.name().to_owned(),
                    why: format!("{META}.{SCHEMA} has no version"),
                });
            }
        };
        if version > KNOWN {
            return Err(MongoOpenError::Newer {
                database: self.database.name().to_owned(),
                found: version,
                known: KNOWN,
            });
        }
        Ok(version)
    }

    /// Waits until no other node prepares the database; what the lock is given back with.
    async fn lock(&self) -> Result<ObjectId, MongoOpenError> {
        let owner = ObjectId::new();
        let started = SystemClock.now();
        loop {
            let now = SystemClock.now();
            let stamp = |at: Timestamp| DateTime::from_millis(at.as_millis());
            let take = self
                .meta
                .find_one_and_update(
                    doc! { "_id": LOCK, "until": { "$lt": stamp(now) } },
                    doc! { "$set": { "owner": owner, "until": stamp(now.plus(LOCKED_MAX)) } },
                )
                .upsert(true)
                .return_document(ReturnDocument::After);
            match self.gate.call(take.into_future()).await {
                Ok(_) => return Ok(owner),
                Err(failure) if failure.is_duplicate() => {}
                Err(failure) => return Err(unreachable(failure)),
            }
            if now.since(started) > LOCKED_MAX + LOOK_AGAIN {
                return Err(MongoOpenError::Locked(self.database.name().to_owned()));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn unlock(&self, owner: ObjectId) {
        // Else it ends by itself.
        let delete = self.meta.delete_one(doc! { "_id": LOCK, "owner": owner });
        let _ = self.gate.call(delete.into_future()).await;
    }

    /// Renews the lock for as long as it is waited for. A renewal that fails does no harm: whatever two nodes make at
    /// once is made once.
    async fn keep_locked(&self, owner: ObjectId) -> Infallible {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let until = DateTime::from_millis(SystemClock.now().plus(LOCKED_MAX).as_millis());
            let renew = self.meta.update_one(
                doc! { "_id": LOCK, "owner": owner },
                doc! { "$set": { "until": until } },
            );
            if let Err(failure) = self.gate.call(renew.into_future()).await {
                let error = unreachable(failure);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the lock of the database's preparation could not be renewed; it goes on"
                );
            }
        }
    }

    async fn raise(&self, expected: &[Index]) -> Result<(), MongoOpenError> {
        // Another node may have done all of it while this one waited for the lock.
        let missing = self.missing(expected).await?;
        stream::iter(by_collection(missing))
            .map(|indexes| self.build(indexes))
            .buffer_unordered(BUILT_AT_ONCE)
            .try_collect::<()>()
            .await?;
        // Only up: another version may have gone further meanwhile.
        let raise = self
            .meta
            .update_one(doc! { "_id": SCHEMA }, doc! { "$max": { "version": KNOWN } })
            .upsert(true);
        self.gate
            .call(raise.into_future())
            .await
            .map(drop)
            .map_err(unreachable)
    }

    /// Makes indexes of one collection.
    async fn build(&self, indexes: Vec<&Index>) -> Result<(), MongoOpenError> {
        let name = indexes[0].collection;
        let collection: Collection<Document> = self.database.collection(name);
        let models = indexes.iter().map(|index| index.model());
        let create = collection.create_indexes(models).into_future();
        match self.gate.patiently(BUILD_MAX, create).await {
            Ok(_) => Ok(()),
            Err(failure) if is_in_the_way(&failure) => Err(MongoOpenError::NotBuilt {
                collection: name,
                indexes: indexes
                    .iter()
                    .map(|index| index.name)
                    .collect::<Vec<_>>()
                    .join(", "),
                why: why(failure),
            }),
            Err(failure) => Err(unreachable(failure)),
        }
    }

    /// Indexes that aren't there. One that is another than it should be is refused: whoever made it had a reason.
    async fn missing<'i>(&self, expected: &'i [Index]) -> Result<Vec<&'i Index>, MongoOpenError> {
        let missing = try_join_all(by_collection(expected).into_iter().map(async |indexes| {
            let name = indexes[0].collection;
            let collection: Collection<Document> = self.database.collection(name);
            let listing = async { collection.list_indexes().await?.try_collect().await };
            let found: Vec<IndexModel> = match self.gate.call(listing).await {
                Ok(found) => found,
                Err(failure) if is_no_collection(&failure) => Vec::new(),
                Err(failure) => return Err(unreachable(failure)),
            };
            let mut missing = Vec::new();
            for index in indexes {
                let named = |model: &&IndexModel| {
                    model.options.as_ref().and_then(|options| options.name.as_deref()) == Some(index.name)
                };
                match found.iter().find(named).map(|model| index.difference(model)) {
                    Some(None) => {}
                    Some(Some(why)) => {
                        return Err(MongoOpenError::Index {
                            database: self.database.name().to_owned(),
                            collection: name,
                            index: index.name,
                            why,
                        });
                    }
                    None => missing.push(index),
                }
            }
            Ok(missing)
        }))
        .await?;
        Ok(missing.concat())
    }
}

fn by_collection<'i>(indexes: impl IntoIterator<Item = &'i Index>) -> Vec<Vec<&'i Index>> {
    let mut grouped: Vec<Vec<&Index>> = Vec::new();
    for index in indexes {
        match grouped.last_mut() {
            Some(last) if last[0].collection == index.collection => last.push(index),
            _ => grouped.push(vec![index]),
        }
    }
    grouped
}

fn code(failure: &Failure) -> Option<i32> {
    let Failure::Driver(error) = failure else {
        return None;
    };
    match error.kind.as_ref() {
        ErrorKind::Command(error) => Some(error.code),
        _ => None,
    }
}

/// `NamespaceNotFound`.
fn is_no_collection(failure: &Failure) -> bool {
    code(failure) == Some(26)
}

/// `IndexOptionsConflict`, `IndexKeySpecsConflict`, or documents that a unique index can't have: it is of no use to try
/// again before somebody has looked.
fn is_in_the_way(failure: &Failure) -> bool {
    failure.is_duplicate() || matches!(code(failure), Some(85 | 86))
}
