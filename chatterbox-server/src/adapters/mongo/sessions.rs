//! Logins, one document each. Each call is one round trip, but for [`revoke_all`](SessionStore::revoke_all) and
//! [`sweep`](SessionStore::sweep) with two.

use async_trait::async_trait;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::session::Session;
use chatterbox_core::ids::{SessionId, UserId};
use chatterbox_core::ports::storage::{Rotation, SessionStore, StoreError};
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, DateTime, Document, doc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::error::{corrupt, unless_duplicate};
use super::ids::{self, Id as _, binary, long, number, stamp, time};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionRow {
    #[serde(rename = "_id")]
    id: ObjectId,
    user: ObjectId,
    salt: Binary,
    generation: i64,
    rotated_at: DateTime,
    created_at: DateTime,
    expires_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

#[derive(Deserialize)]
struct IdRow {
    #[serde(rename = "_id")]
    id: ObjectId,
}

impl From<&Session> for SessionRow {
    fn from(session: &Session) -> SessionRow {
        SessionRow {
            id: session.id.oid(),
            user: session.user.oid(),
            salt: binary(session.salt.to_vec()),
            generation: long(session.generation),
            rotated_at: stamp(session.rotated_at),
            created_at: stamp(session.created_at),
            expires_at: stamp(session.expires_at),
            revoked_at: session.revoked_at.map(stamp),
            user_agent: session.user_agent.clone(),
        }
    }
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Session, StoreError> {
        let salt = row.salt.bytes.try_into();
        Ok(Session {
            id: SessionId::from_oid(row.id),
            user: UserId::from_oid(row.user),
            salt: salt.map_err(|_| corrupt(format!("the session {} has a wrong salt", row.id)))?,
            generation: number(row.generation)?,
            rotated_at: time(row.rotated_at),
            created_at: time(row.created_at),
            expires_at: time(row.expires_at),
            revoked_at: row.revoked_at.map(time),
            user_agent: row.user_agent,
        })
    }
}

pub(super) struct MongoSessions {
    shared: Shared,
    sessions: Collection<SessionRow>,
}

impl MongoSessions {
    pub(super) fn new(shared: &Shared) -> MongoSessions {
        MongoSessions {
            sessions: shared.database.collection("sessions"),
            shared: shared.clone(),
        }
    }

    /// Whether this call changed one.
    async fn change(&self, filter: Document, set: Document) -> Result<bool, StoreError> {
        let update = self.sessions.update_one(filter, doc! { "$set": set });
        let updated = self.shared.gate.call(update.into_future()).await?;
        Ok(updated.matched_count == 1)
    }

    async fn ids(
        &self,
        filter: Document,
        sort: Option<Document>,
        limit: Option<usize>,
    ) -> Result<Vec<SessionId>, StoreError> {
        if limit == Some(0) {
            return Ok(Vec::new());
        }
        let ids = self.sessions.clone_with_type::<IdRow>();
        let mut find = ids.find(filter).projection(doc! { "_id": 1 });
        if let Some(sort) = sort {
            find = find.sort(sort);
        }
        if let Some(limit) = limit {
            find = find.limit(ids::limit(limit)).batch_size(ids::batch(limit));
        }
        let rows = self.shared.gate.all(find).await?;
        Ok(rows.into_iter().map(|row| SessionId::from_oid(row.id)).collect())
    }
}

#[async_trait]
impl SessionStore for MongoSessions {
    async fn insert(&self, session: &Session) -> Result<(), StoreError> {
        let row = SessionRow::from(session);
        let insert = self.sessions.insert_one(&row);
        unless_duplicate(self.shared.gate.call(insert.into_future()).await).map(drop)
    }

    async fn get(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let find = self.sessions.find_one(doc! { "_id": id.oid() });
        let row = self.shared.gate.call(find.into_future()).await?;
        row.map(Session::try_from).transpose()
    }

    async fn rotate(
        &self,
        id: SessionId,
        from: u32,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let Some(next) = from.checked_add(1) else {
            return Ok(Rotation::Lost);
        };
        let stands = doc! { "_id": id.oid(), "generation": long(from), "revokedAt": null };
        let set = doc! {
            "generation": long(next), "rotatedAt": stamp(now), "expiresAt": stamp(expires_at),
        };
        Ok(if self.change(stands, set).await? {
            Rotation::Rotated
        } else {
            Rotation::Lost
        })
    }

    async fn revoke(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let lives = doc! { "_id": id.oid(), "revokedAt": null };
        self.change(lives, doc! { "revokedAt": stamp(now) }).await
    }

    async fn revoke_all(
        &self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut lives = doc! {
            "user": user.oid(), "revokedAt": null, "expiresAt": { "$gt": stamp(now) },
        };
        if let Some(except) = except {
            lives.insert("_id", doc! { "$ne": except.oid() });
        }
        // Tells those that this call ended from those that another one did.
        let call = ObjectId::new();
        let revoke = self.sessions.update_many(
            lives,
            doc! { "$set": { "revokedAt": stamp(now), "revokedBy": call } },
        );
        self.shared.gate.call(revoke.into_future()).await?;
        self.ids(doc! { "user": user.oid(), "revokedBy": call }, None, None)
            .await
    }

    async fn of_user(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let lives = doc! {
            "user": user.oid(), "revokedAt": null, "expiresAt": { "$gt": stamp(now) },
        };
        let find = self
            .sessions
            .find(lives)
            .sort(doc! { "createdAt": -1, "_id": -1 });
        let rows = self.shared.gate.all(find).await?;
        rows.into_iter().map(Session::try_from).collect()
    }

    async fn revoked_since(&self, since: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        let revoked = doc! { "revokedAt": { "$gte": stamp(since) } };
        self.ids(revoked, Some(doc! { "revokedAt": 1, "_id": 1 }), Some(limit))
            .await
    }

    async fn sweep(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let before = doc! { "$lt": stamp(before) };
        let over = doc! { "$or": [{ "expiresAt": before.clone() }, { "revokedAt": before }] };
        let ids = self.ids(over, None, Some(limit)).await?;
        // Also when there are none: whoever asks learns whether the store takes writes.
        let delete = self
            .sessions
            .delete_many(doc! { "_id": { "$in": ids::oids(&ids) } });
        let deleted = self.shared.gate.call(delete.into_future()).await?;
        Ok(usize::try_from(deleted.deleted_count).unwrap_or(usize::MAX))
    }
}
