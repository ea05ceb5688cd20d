//! What a dead node has begun is finished also where nobody comes by, so that no counter stays behind its rows.

use std::collections::HashMap;
use std::time::Duration;

use chatterbox_core::ports::storage::StoreError;
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;

use super::MongoConversations;
use super::rows::ConversationRow;
use crate::adapters::mongo::Shared;
use crate::adapters::mongo::ids;

/// How often it is looked; what is still being done the next time is finished.
const EVERY: Duration = Duration::from_secs(5);
/// Conversations looked at each time.
const AT_ONCE: usize = 100;

/// For ever.
pub(in super::super) async fn finish_regularly(shared: Shared) {
    let store = MongoConversations::new(&shared);
    let mut seen = HashMap::new();
    loop {
        tokio::time::sleep(EVERY).await;
        match store.finish_those(&seen).await {
            Ok(unfinished) => seen = unfinished,
            // Whoever needs the store tells that it is away.
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "what other nodes have begun could not be looked at"
            ),
        }
    }
}

impl MongoConversations {
    /// Finishes what was seen before, and gives what else has been begun, each with its number.
    async fn finish_those(
        &self,
        seen: &HashMap<ObjectId, i64>,
    ) -> Result<HashMap<ObjectId, i64>, StoreError> {
        let mut begun = HashMap::new();
        for row in self.unfinished(AT_ONCE).await? {
            if seen.get(&row.id) == Some(&row.rev) {
                self.finish(&row).await?;
            } else {
                begun.insert(row.id, row.rev);
            }
        }
        Ok(begun)
    }

    /// Conversations with which something is being done.
    pub(super) async fn unfinished(&self, limit: usize) -> Result<Vec<ConversationRow>, StoreError> {
        let find = self
            .conversations
            .find(doc! { "intent.what": { "$exists": true } })
            .limit(ids::limit(limit))
            .batch_size(ids::batch(limit));
        Ok(self.shared.gate.all(find).await?)
    }
}
