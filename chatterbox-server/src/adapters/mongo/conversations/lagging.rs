//! Which conversations stand behind their logs, without looking at those in which nothing was written.
//!
//! ```text
//! meta.compared ──────────── looked at ───────────▶ now
//!   every entry named before     conversations with entries named since: rows and ends of logs compared
//!   is in its rows
//! ```
//! Ids of entries tell when they were made and have an index, so what was written since everything was found in order is
//! one range. A process that starts, and the sweep of workers once a minute, look at that and at nothing older. A database
//! without the mark is compared as a whole once.

use std::collections::HashSet;
use std::time::Duration;

use chatterbox_core::clock::{Clock as _, SystemClock, Timestamp};
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::ConversationId;
use chatterbox_core::ports::storage::StoreError;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, doc};
use serde::Deserialize;

use super::MongoConversations;
use super::rows::ConversationRow;
use crate::adapters::mongo::ids::{self, seq_key};
use crate::adapters::mongo::log::heads_of;

/// The document of `meta` with the mark.
const MARK: &str = "compared";
/// So long after it was named an entry may come into the log: by retries, and by clocks that don't agree. What comes later
/// is found by whoever needs the conversation.
const LATE_MAX: Duration = Duration::from_mins(2);
/// Entries that one command looks at.
const LOOKED_AT_ONCE: i64 = 10_000;
/// Conversations compared with their logs at a time.
const COMPARED_AT_ONCE: usize = 100;

/// A conversation in which something was written.
#[derive(Deserialize)]
struct Written {
    #[serde(rename = "_id")]
    conversation: ObjectId,
    last: ObjectId,
    count: i64,
}

#[derive(Deserialize)]
struct Named {
    id: ObjectId,
}

/// What was found behind so far, each with the entry at which its rows stand.
struct Found {
    lagging: Vec<(ConversationId, Seq)>,
    limit: usize,
}

impl Found {
    fn is_full(&self) -> bool {
        self.lagging.len() >= self.limit
    }
}

impl MongoConversations {
    /// Conversations behind their logs; what a dead node has begun is finished.
    pub(super) async fn find_lagging(&self, limit: usize) -> Result<Vec<ConversationId>, StoreError> {
        let began = SystemClock.now();
        self.finish_begun(limit).await?;
        let mut found = Found {
            lagging: Vec::new(),
            limit,
        };
        match self.mark().await? {
            Some(mark) => self.compare_since(mark, &mut found).await?,
            None => self.compare_all(&mut found).await?,
        }
        if !found.is_full() {
            self.raise_mark(began, &found.lagging).await?;
        }
        Ok(found.lagging.into_iter().map(|(id, _)| id).collect())
    }

    /// One that can't be finished keeps none of the others behind.
    async fn finish_begun(&self, limit: usize) -> Result<(), StoreError> {
        for begun in self.begun_behind(None, limit).await? {
            let id = begun.conversation;
            let counted = async {
                match self.find_row(doc! { "_id": id }).await? {
                    Some(row) => self.counted(row).await.map(drop),
                    None => Ok(()),
                }
            };
            if let Err(error) = counted.await {
                tracing::debug!(
                    conversation.id = %id,
                    error = &error as &dyn std::error::Error,
                    "what has been begun with conversation {id} could not be finished"
                );
            }
        }
        Ok(())
    }

    async fn mark(&self) -> Result<Option<ObjectId>, StoreError> {
        let find = self.shared.meta.find_one(doc! { "_id": MARK });
        let mark = self.shared.gate.call(find.into_future()).await?;
        Ok(mark.and_then(|mark| mark.get_object_id("id").ok()))
    }

    async fn compare_since(&self, mark: ObjectId, found: &mut Found) -> Result<(), StoreError> {
        let mut from = mark;
        let mut seen = HashSet::new();
        loop {
            let pipeline = [
                doc! { "$match": { "id": { "$gt": from } } },
                doc! { "$sort": { "id": 1 } },
                doc! { "$limit": LOOKED_AT_ONCE },
                doc! { "$group": { "_id": "$conversation", "last": { "$max": "$id" }, "count": { "$sum": 1_i64 } } },
            ];
            let aggregate = self.shared.newest_entries.aggregate(pipeline);
            let written: Vec<Written> = self.shared.gate.aggregated(aggregate).await?;
            let fresh: Vec<ObjectId> = written
                .iter()
                .map(|one| one.conversation)
                .filter(|id| seen.insert(*id))
                .collect();
            for some in fresh.chunks(COMPARED_AT_ONCE) {
                let find = self
                    .conversations
                    .find(doc! { "_id": { "$in": some.to_vec() } })
                    .batch_size(ids::batch(some.len()));
                self.compare(&self.shared.gate.all(find).await?, found).await?;
                if found.is_full() {
                    return Ok(());
                }
            }
            let looked: i64 = written.iter().map(|one| one.count).sum();
            match written.iter().map(|one| one.last).max() {
                Some(last) if looked >= LOOKED_AT_ONCE => from = last,
                Some(_) | None => return Ok(()),
            }
        }
    }

    async fn compare_all(&self, found: &mut Found) -> Result<(), StoreError> {
        let mut after = ObjectId::from_bytes([0; 12]);
        loop {
            let page = self
                .conversations
                .find(doc! { "_id": { "$gt": after } })
                .sort(doc! { "_id": 1 })
                .limit(ids::limit(COMPARED_AT_ONCE))
                .batch_size(ids::batch(COMPARED_AT_ONCE));
            let rows = self.shared.gate.all(page).await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = last.id;
            self.compare(&rows, found).await?;
            if found.is_full() {
                return Ok(());
            }
        }
    }

    async fn compare(&self, rows: &[ConversationRow], found: &mut Found) -> Result<(), StoreError> {
        let conversations: Vec<ConversationId> = rows.iter().map(ConversationRow::conversation_id).collect();
        let heads = heads_of(&self.shared, &conversations).await?;
        for (row, head) in rows.iter().zip(heads) {
            let stands_at = row.projected()?;
            if stands_at < head.seq && !found.is_full() {
                found.lagging.push((row.conversation_id(), stands_at));
            }
        }
        Ok(())
    }

    /// Up to where everything is in order: below whatever may still come, and below what was found behind.
    async fn raise_mark(
        &self,
        began: Timestamp,
        lagging: &[(ConversationId, Seq)],
    ) -> Result<(), StoreError> {
        let first_missing: Vec<Binary> = lagging
            .iter()
            .map(|(id, stands_at)| seq_key(*id, Seq(stands_at.0 + 1)))
            .collect();
        let safe = began.minus(LATE_MAX).as_secs();
        let mut second = u32::try_from(safe).unwrap_or(0);
        if !first_missing.is_empty() {
            let rows = self.shared.newest_entries.clone_with_type::<Named>();
            let find = rows
                .find(doc! { "_id": { "$in": first_missing } })
                .projection(doc! { "_id": 0, "id": 1 })
                .batch_size(ids::batch(lagging.len()));
            for named in self.shared.gate.all(find).await? {
                let [a, b, c, d, ..] = named.id.bytes();
                second = second.min(u32::from_be_bytes([a, b, c, d]));
            }
        }
        let mut mark = [0; 12];
        mark[..4].copy_from_slice(&second.to_be_bytes());
        let raise = doc! { "$max": { "id": ObjectId::from_bytes(mark) } };
        let raised = self
            .shared
            .meta
            .update_one(doc! { "_id": MARK }, raise)
            .upsert(true);
        match self.shared.gate.call(raised.into_future()).await {
            Err(failure) if !failure.is_duplicate() => Err(failure.into()),
            // Of two that made the mark at once, one is enough.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
