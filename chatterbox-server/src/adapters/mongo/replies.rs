//! Which messages answer which: one row an answer, in order of its number by `_id`.

use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, EntryId};
use chatterbox_core::ports::storage::StoreError;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, Document, doc};
use serde::Deserialize;

use super::Shared;
use super::command::upsert;
use super::ids::{self, Id as _, LAST, binary, seq};

/// An answer.
#[derive(Deserialize)]
pub(super) struct ReplyRow {
    seq: i64,
}

fn key(conversation: ConversationId, to: EntryId, reply: Seq) -> Binary {
    binary(
        [
            &conversation.as_bytes()[..],
            to.as_bytes(),
            &reply.0.to_be_bytes(),
        ]
        .concat(),
    )
}

/// What makes these answers known; twice is once.
pub(super) fn statements(
    conversation: ConversationId,
    replies: &[(ObjectId, i64)],
) -> Result<Vec<Document>, StoreError> {
    let statement = |(to, number): &(ObjectId, i64)| {
        let to = EntryId::from_oid(*to);
        let known = doc! { "_id": key(conversation, to, seq(*number)?) };
        Ok(upsert(known, doc! { "$set": { "seq": *number } }))
    };
    replies.iter().map(statement).collect()
}

/// Numbers of the answers above `after`, in order.
pub(super) async fn above(
    shared: &Shared,
    (conversation, to): (ConversationId, EntryId),
    after: Seq,
    limit: usize,
) -> Result<Vec<Seq>, StoreError> {
    let range = doc! { "$gt": key(conversation, to, after), "$lte": key(conversation, to, LAST) };
    let find = shared
        .replies
        .find(doc! { "_id": range })
        .sort(doc! { "_id": 1 })
        .limit(ids::limit(limit))
        .batch_size(ids::batch(limit));
    let rows = shared.gate.all(find).await?;
    rows.into_iter().map(|row| seq(row.seq)).collect()
}
