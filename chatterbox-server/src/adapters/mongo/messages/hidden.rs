//! What users hide from themselves. A row is never taken back, so the slots of a user in a conversation fill up from
//! zero, and the next is how many there are (`slots` says what slots are for).

use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::ports::storage::{HiddenMessage, HiddenPlace, StoreError};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, DateTime, doc};
use serde::{Deserialize, Serialize};

use crate::adapters::mongo::Shared;
use crate::adapters::mongo::error::{unless_duplicate, unsettled};
use crate::adapters::mongo::ids::{self, Id as _, binary, long, seq, stamp, time};

/// How often a slot is tried that others took at the same moment.
const ATTEMPTS: u32 = 64;

/// A hidden message.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct HiddenRow {
    #[serde(rename = "_id")]
    key: Binary,
    user: ObjectId,
    conversation: ObjectId,
    seq: i64,
    message: ObjectId,
    at: DateTime,
    slot: i64,
}

fn key(user: UserId, conversation: ConversationId, seq: Seq) -> Binary {
    binary(
        [
            &user.as_bytes()[..],
            conversation.as_bytes(),
            &seq.0.to_be_bytes(),
        ]
        .concat(),
    )
}

pub(super) async fn hide(
    shared: &Shared,
    user: UserId,
    message: HiddenMessage,
    hidden_max: u64,
) -> Result<bool, StoreError> {
    let place = (message.conversation, message.seq);
    for _ in 0..ATTEMPTS {
        if !among(shared, user, &[place]).await?.is_empty() {
            return Ok(true);
        }
        let here = doc! { "user": user.oid(), "conversation": message.conversation.oid() };
        let count = shared.hidden.count_documents(here);
        let slot = shared.gate.call(count.into_future()).await?;
        if slot >= hidden_max {
            return Ok(false);
        }
        let row = HiddenRow {
            key: key(user, message.conversation, message.seq),
            user: user.oid(),
            conversation: message.conversation.oid(),
            seq: long(message.seq.0),
            message: message.message.oid(),
            at: stamp(message.at),
            slot: i64::try_from(slot).unwrap_or(i64::MAX),
        };
        let insert = shared.hidden.insert_one(&row);
        if unless_duplicate(shared.gate.call(insert.into_future()).await)? {
            return Ok(true);
        }
    }
    Err(unsettled())
}

/// Those of these places that the user has hidden.
pub(super) async fn among(
    shared: &Shared,
    user: UserId,
    places: &[(ConversationId, Seq)],
) -> Result<Vec<(ConversationId, Seq)>, StoreError> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let keys = places
        .iter()
        .map(|(conversation, seq)| key(user, *conversation, *seq));
    let find = shared
        .hidden
        .find(doc! { "_id": { "$in": keys.collect::<Vec<_>>() } })
        .batch_size(ids::batch(places.len()));
    let rows = shared.gate.all(find).await?;
    let place = |row: HiddenRow| Ok((ConversationId::from_oid(row.conversation), seq(row.seq)?));
    rows.into_iter().map(place).collect()
}

pub(super) async fn since(
    shared: &Shared,
    user: UserId,
    since: HiddenPlace,
    limit: usize,
) -> Result<Vec<HiddenMessage>, StoreError> {
    let (at, conversation) = (stamp(since.at), since.conversation.oid());
    let behind = doc! {
        // The bound that the index serves, and then the order among those of the same moment.
        "user": user.oid(), "at": { "$gte": at },
        "$or": [
            { "at": { "$gt": at } },
            { "conversation": { "$gt": conversation } },
            { "conversation": conversation, "seq": { "$gt": long(since.seq.0) } },
        ],
    };
    let find = shared
        .hidden
        .find(behind)
        .sort(doc! { "at": 1, "conversation": 1, "seq": 1 })
        .limit(ids::limit(limit))
        .batch_size(ids::batch(limit));
    let rows = shared.gate.all(find).await?;
    let hidden = rows.into_iter().map(|row| {
        Ok(HiddenMessage {
            conversation: ConversationId::from_oid(row.conversation),
            seq: seq(row.seq)?,
            message: EntryId::from_oid(row.message),
            at: time(row.at),
        })
    });
    hidden.collect()
}
