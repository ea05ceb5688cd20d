//! Invites into groups, by the hash of their tokens.

use chatterbox_core::clock::Timestamp;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{Invite, StoreError};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, DateTime, doc};
use serde::{Deserialize, Serialize};

use crate::adapters::mongo::Shared;
use crate::adapters::mongo::error::{corrupt, unless_duplicate};
use crate::adapters::mongo::ids::{self, Id as _, binary, stamp, time};

/// An invite.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct InviteRow {
    #[serde(rename = "_id")]
    token_hash: Binary,
    conversation: ObjectId,
    created_by: ObjectId,
    created_at: DateTime,
    expires_at: DateTime,
}

/// 2 round trips.
pub(super) async fn add(shared: &Shared, invite: &Invite) -> Result<(), StoreError> {
    // Those that are over go whenever one comes, so that they don't pile up.
    let over = shared.invites.delete_many(doc! {
        "conversation": invite.conversation.oid(), "expiresAt": { "$lte": stamp(invite.created_at) },
    });
    shared.gate.call(over.into_future()).await?;
    let row = InviteRow {
        token_hash: binary(invite.token_hash.to_vec()),
        conversation: invite.conversation.oid(),
        created_by: invite.created_by.oid(),
        created_at: stamp(invite.created_at),
        expires_at: stamp(invite.expires_at),
    };
    let insert = shared.invites.insert_one(&row);
    unless_duplicate(shared.gate.call(insert.into_future()).await).map(drop)
}

pub(super) async fn get(
    shared: &Shared,
    token_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Invite>, StoreError> {
    let good = doc! { "_id": binary(token_hash.to_vec()), "expiresAt": { "$gt": stamp(now) } };
    let find = shared.invites.find_one(good);
    let row = shared.gate.call(find.into_future()).await?;
    row.map(|row| {
        let token_hash = row.token_hash.bytes.try_into();
        Ok(Invite {
            token_hash: token_hash.map_err(|_| corrupt("a token's hash is not 32 bytes long"))?,
            conversation: ConversationId::from_oid(row.conversation),
            created_by: UserId::from_oid(row.created_by),
            created_at: time(row.created_at),
            expires_at: time(row.expires_at),
        })
    })
    .transpose()
}

/// 2 round trips.
pub(super) async fn sweep(shared: &Shared, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
    let over = doc! { "expiresAt": { "$lt": stamp(before) } };
    let find = shared
        .invites
        .find(over)
        .limit(ids::limit(limit))
        .batch_size(ids::batch(limit));
    let over = shared.gate.all(find).await?;
    let tokens: Vec<Binary> = over.into_iter().map(|row| row.token_hash).collect();
    if tokens.is_empty() {
        return Ok(0);
    }
    let delete = shared.invites.delete_many(doc! { "_id": { "$in": tokens } });
    let deleted = shared.gate.call(delete.into_future()).await?.deleted_count;
    Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
}

pub(super) async fn revoke_all(shared: &Shared, conversation: ConversationId) -> Result<u64, StoreError> {
    let delete = shared
        .invites
        .delete_many(doc! { "conversation": conversation.oid() });
    Ok(shared.gate.call(delete.into_future()).await?.deleted_count)
}
