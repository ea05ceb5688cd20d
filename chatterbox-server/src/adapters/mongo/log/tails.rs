//! The ends of many logs at once.
//!
//! Each is one entry at the end of a range of `_id`, and no query has several ranges with a limit for each. So a
//! command looks up one after another, beside a document that is always there: what it costs depends on how many are
//! asked for, and not on how long the logs are (docs/decisions/mongodb.md).

use std::collections::HashMap;

use chatterbox_core::domain::entry::{Entry, Seq};
use chatterbox_core::ids::ConversationId;
use chatterbox_core::ports::storage::{Head, StoreError};
use futures_util::future::try_join_all;
use mongodb::bson::{Bson, Document, doc};
use serde::de::DeserializeOwned;

use super::rows::{EntryRow, HeadRow, entry_fields, head_fields, shown};
use crate::adapters::mongo::Shared;
use crate::adapters::mongo::error::corrupt;
use crate::adapters::mongo::ids::{LAST, seqs_between};
use crate::adapters::mongo::schema::SCHEMA;

/// Logs a command looks at.
const AT_ONCE: usize = 25;

/// Heads in the order of the conversations: what the primary knows.
pub(in super::super) async fn heads_of(
    shared: &Shared,
    conversations: &[ConversationId],
) -> Result<Vec<Head>, StoreError> {
    let rows: Vec<Option<HeadRow>> = tails(shared, conversations, &Document::new(), &head_fields()).await?;
    let heads = rows
        .into_iter()
        .map(|row| row.map_or(Ok(Head::EMPTY), Head::try_from));
    heads.collect()
}

/// The last entries that history shows.
pub(in super::super) async fn last_shown_of(
    shared: &Shared,
    conversations: &[ConversationId],
) -> Result<HashMap<ConversationId, Entry>, StoreError> {
    let rows: Vec<Option<EntryRow>> = tails(shared, conversations, &shown(), &entry_fields()).await?;
    let mut last = HashMap::new();
    for (conversation, row) in conversations.iter().zip(rows) {
        if let Some(row) = row {
            last.insert(*conversation, Entry::try_from(row)?);
        }
    }
    Ok(last)
}

async fn tails<T: DeserializeOwned>(
    shared: &Shared,
    conversations: &[ConversationId],
    filter: &Document,
    fields: &Document,
) -> Result<Vec<Option<T>>, StoreError> {
    let chunks = conversations.chunks(AT_ONCE);
    let chunks = try_join_all(chunks.map(|chunk| some_tails(shared, chunk, filter, fields))).await?;
    Ok(chunks.into_iter().flatten().collect())
}

async fn some_tails<T: DeserializeOwned>(
    shared: &Shared,
    conversations: &[ConversationId],
    filter: &Document,
    fields: &Document,
) -> Result<Vec<Option<T>>, StoreError> {
    let mut pipeline = vec![doc! { "$match": { "_id": SCHEMA } }];
    for (index, conversation) in conversations.iter().enumerate() {
        let mut filter = filter.clone();
        filter.insert("_id", seqs_between(*conversation, Seq::ZERO, LAST));
        pipeline.push(doc! { "$lookup": {
            "from": shared.entries.name(),
            "pipeline": [
                { "$match": filter }, { "$sort": { "_id": -1 } }, { "$limit": 1 }, { "$project": fields.clone() },
            ],
            "as": index.to_string(),
        } });
    }
    let found: Vec<Document> = shared.gate.aggregated(shared.meta.aggregate(pipeline)).await?;
    let Some(mut found) = found.into_iter().next() else {
        return Err(corrupt("meta.schema is missing"));
    };
    let tails = (0..conversations.len()).map(|index| match found.remove(index.to_string()) {
        Some(Bson::Array(mut tail)) => match tail.pop() {
            Some(row) => mongodb::bson::deserialize_from_bson(row)
                .map(Some)
                .map_err(|error| corrupt(error.to_string())),
            None => Ok(None),
        },
        _ => Err(corrupt("an aggregation has lost one of its fields")),
    });
    tails.collect()
}
