//! What became of messages, and finding them.
//!
//! ```text
//! states   one row a message that something became of, written with projections    hidden   what users hide from themselves
//! follow   changes of the log ─▶ states, redacted entries, words                    search   words of entries
//! ```

mod follow;
mod hidden;
mod search;
mod states;

use async_trait::async_trait;
use chatterbox_core::domain::current::MessageState;
use chatterbox_core::domain::entry::{Entry, Seq};
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::ports::storage::{HiddenMessage, HiddenPlace, MessageStore, SearchQuery, StoreError};
use mongodb::bson::doc;

use super::ids::{Id as _, long, seq_key};
use super::{Shared, replies};

pub(super) use follow::follow;
pub(super) use hidden::HiddenRow;
pub(super) use states::{StateRow, deleted_above};

pub(super) struct MongoMessages(Shared);

impl MongoMessages {
    pub(super) fn new(shared: &Shared) -> MongoMessages {
        MongoMessages(shared.clone())
    }
}

// Each of these is one round trip, or one for so many of what is asked for; `hide` has three.
#[async_trait]
impl MessageStore for MongoMessages {
    async fn states(
        &self,
        conversation: ConversationId,
        messages: &[Seq],
    ) -> Result<Vec<(Seq, MessageState)>, StoreError> {
        let keys = messages.iter().map(|seq| seq_key(conversation, *seq)).collect();
        let rows = states::read(&self.0, keys).await?;
        states::told(rows, |row, state| Ok((row.seq()?, state)))
    }

    async fn states_across(
        &self,
        messages: &[(ConversationId, Seq)],
    ) -> Result<Vec<(ConversationId, MessageState)>, StoreError> {
        let keys = messages
            .iter()
            .map(|(conversation, seq)| seq_key(*conversation, *seq))
            .collect();
        let rows = states::read(&self.0, keys).await?;
        states::told(rows, |row, state| Ok((row.conversation(), state)))
    }

    async fn replies(
        &self,
        conversation: ConversationId,
        to: EntryId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>, StoreError> {
        replies::above(&self.0, (conversation, to), after, limit).await
    }

    async fn deleted_above(
        &self,
        conversation: ConversationId,
        after: Seq,
        most: u32,
    ) -> Result<u32, StoreError> {
        // No limit at all is what a limit of zero means to the server.
        if most == 0 {
            return Ok(0);
        }
        let above = doc! {
            "conversation": conversation.oid(), "seq": { "$gt": long(after.0) }, "deleted": true,
        };
        let count = self.0.states.count_documents(above).limit(u64::from(most));
        let count = self.0.gate.call(count.into_future()).await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX).min(most))
    }

    async fn deleted_across(
        &self,
        above: &[(ConversationId, Seq)],
    ) -> Result<Vec<(ConversationId, u32)>, StoreError> {
        states::deleted_above(&self.0, above).await
    }

    async fn hide(&self, user: UserId, message: HiddenMessage, hidden_max: u64) -> Result<bool, StoreError> {
        hidden::hide(&self.0, user, message, hidden_max).await
    }

    async fn hidden_among(
        &self,
        user: UserId,
        conversation: ConversationId,
        messages: &[Seq],
    ) -> Result<Vec<Seq>, StoreError> {
        let places: Vec<_> = messages.iter().map(|seq| (conversation, *seq)).collect();
        let hidden = hidden::among(&self.0, user, &places).await?;
        Ok(hidden.into_iter().map(|(_, seq)| seq).collect())
    }

    async fn hidden_across(
        &self,
        user: UserId,
        messages: &[(ConversationId, Seq)],
    ) -> Result<Vec<ConversationId>, StoreError> {
        let hidden = hidden::among(&self.0, user, messages).await?;
        Ok(hidden.into_iter().map(|(conversation, _)| conversation).collect())
    }

    async fn hidden_since(
        &self,
        user: UserId,
        since: HiddenPlace,
        limit: usize,
    ) -> Result<Vec<HiddenMessage>, StoreError> {
        hidden::since(&self.0, user, since, limit).await
    }

    async fn search(&self, query: SearchQuery) -> Result<Vec<Entry>, StoreError> {
        search::search(&self.0, &query).await
    }
}
