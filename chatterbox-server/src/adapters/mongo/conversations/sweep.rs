//! What a dead node has begun is finished also where nobody comes by, so that no counter stays behind its rows.
//!
//! ```text
//! every 5 s   the next 100 with an intent, by id ─┬─ first seen, or moved on meanwhile ─▶ remembered
//!             (from the first again at the end)   └─ as it was when it was seen before ─▶ finished
//! ```
//! One that can't be finished is told of once and tried again when its turn comes; those behind it don't wait for it.

use std::collections::HashMap;
use std::time::Duration;

use chatterbox_core::ports::storage::StoreError;
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;
use serde::Deserialize;

use super::MongoConversations;
use crate::adapters::mongo::Shared;
use crate::adapters::mongo::ids;

/// How often it is looked; what is still being done the next time is finished.
const EVERY: Duration = Duration::from_secs(5);
/// Conversations looked at each time.
const AT_ONCE: usize = 100;

/// For ever.
pub(in super::super) async fn finish_regularly(shared: Shared) {
    let store = MongoConversations::new(&shared);
    let mut round = Round::default();
    loop {
        tokio::time::sleep(EVERY).await;
        match store.begun_behind(round.after, AT_ONCE).await {
            Ok(page) => {
                for left in round.look(&page, AT_ONCE) {
                    if let Err(error) = store.finish_as_it_was(left).await {
                        round.failed(left, &error);
                    }
                }
            }
            // Whoever needs the store tells that it is away.
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "what other nodes have begun could not be looked at"
            ),
        }
    }
}

/// Something that has been begun with a conversation, without what it is: a document that can't be read whole is in
/// nobody's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Begun {
    #[serde(rename = "_id")]
    pub(super) conversation: ObjectId,
    rev: i64,
}

/// What was seen on the way through all conversations with which something is being done.
#[derive(Default)]
struct Round {
    /// Behind which it goes on.
    after: Option<ObjectId>,
    seen: HashMap<ObjectId, Seen>,
    seen_before: HashMap<ObjectId, Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    rev: i64,
    /// Whether it was told that it can't be finished.
    is_told: bool,
}

impl Round {
    /// Those on the next page, of at most `limit`, that are as they were when they were seen last.
    fn look(&mut self, page: &[Begun], limit: usize) -> Vec<Begun> {
        let mut left = Vec::new();
        for begun in page {
            let before = self.seen_before.get(&begun.conversation);
            let same = before.filter(|seen| seen.rev == begun.rev);
            let is_told = same.is_some_and(|seen| seen.is_told);
            let rev = begun.rev;
            self.seen.insert(begun.conversation, Seen { rev, is_told });
            if same.is_some() {
                left.push(*begun);
            }
        }
        self.after = page.last().map(|begun| begun.conversation);
        if page.len() < limit {
            self.after = None;
            self.seen_before = std::mem::take(&mut self.seen);
        }
        left
    }

    fn failed(&mut self, left: Begun, error: &StoreError) {
        let id = left.conversation;
        let seen = if self.seen.contains_key(&id) {
            self.seen.get_mut(&id)
        } else {
            self.seen_before.get_mut(&id)
        };
        let first = seen.is_some_and(|seen| !std::mem::replace(&mut seen.is_told, true));
        if first {
            tracing::warn!(
                conversation.id = %id,
                error = error as &dyn std::error::Error,
                "what a dead node has begun with conversation {id} could not be finished; tried again now and then"
            );
        }
    }
}

impl MongoConversations {
    /// Conversations with which something is being done, in order of id.
    pub(super) async fn begun_behind(
        &self,
        after: Option<ObjectId>,
        limit: usize,
    ) -> Result<Vec<Begun>, StoreError> {
        let mut filter = doc! { "intent.what": { "$exists": true } };
        if let Some(after) = after {
            filter.insert("_id", doc! { "$gt": after });
        }
        let conversations = self.conversations.clone_with_type::<Begun>();
        let find = conversations
            .find(filter)
            .projection(doc! { "rev": 1 })
            .sort(doc! { "_id": 1 })
            .limit(ids::limit(limit))
            .batch_size(ids::batch(limit));
        Ok(self.shared.gate.all(find).await?)
    }

    async fn finish_as_it_was(&self, left: Begun) -> Result<(), StoreError> {
        let same = doc! { "_id": left.conversation, "rev": left.rev };
        if let Some(row) = self.find_row(same).await? {
            self.finish(&row).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(number: u8, rev: i64) -> Begun {
        let conversation = ObjectId::from_bytes([number; 12]);
        Begun { conversation, rev }
    }

    #[test]
    fn what_is_still_the_same_is_finished() {
        let mut round = Round::default();
        assert_eq!(round.look(&[begun(1, 1), begun(2, 1)], 100), []);
        assert_eq!(
            round.look(&[begun(1, 1), begun(2, 2), begun(3, 1)], 100),
            [begun(1, 1)]
        );
        assert_eq!(round.look(&[begun(2, 2)], 100), [begun(2, 2)]);
    }

    /// More than a page of conversations that never get finished.
    #[test]
    fn nothing_waits_behind_what_is_stuck() {
        let all: Vec<Begun> = (0..7).map(|number| begun(number, 1)).collect();
        let mut round = Round::default();
        let mut looked = Vec::new();
        for _ in 0..6 {
            let behind = all
                .iter()
                .filter(|begun| round.after.is_none_or(|after| begun.conversation > after));
            let page: Vec<Begun> = behind.take(3).copied().collect();
            looked.push(round.look(&page, 3).len());
        }
        assert_eq!(looked, [0, 0, 0, 3, 3, 1]);
    }
}
