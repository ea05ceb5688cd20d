use async_trait::async_trait;

use super::StoreError;
use crate::clock::Timestamp;
use crate::domain::current::MessageState;
use crate::domain::entry::{Entry, Seq};
use crate::ids::{ConversationId, EntryId, UserId};

/// A message that a user has deleted for themselves (S-131, `scope=me`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HiddenMessage {
    /// Where.
    pub conversation: ConversationId,
    /// Its number.
    pub seq: Seq,
    /// The message.
    pub message: EntryId,
    /// When it was hidden.
    pub at: Timestamp,
}

/// A place in the order in which a user has hidden messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HiddenPlace {
    /// When.
    pub at: Timestamp,
    /// Where, for those of the same moment.
    pub conversation: ConversationId,
    /// And which.
    pub seq: Seq,
}

impl HiddenPlace {
    /// Behind everything of that moment.
    pub fn after(at: Timestamp) -> HiddenPlace {
        HiddenPlace {
            at,
            conversation: ConversationId::from_bytes([0xff; 12]),
            seq: Seq(u32::MAX),
        }
    }

    /// Of a message.
    pub fn of(message: &HiddenMessage) -> HiddenPlace {
        HiddenPlace {
            at: message.at,
            conversation: message.conversation,
            seq: message.seq,
        }
    }
}

/// What is looked for, and where. Everything must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    /// The conversations searched (at most 5,000) and the number above which the searcher sees their entries.
    pub within: Vec<(ConversationId, Seq)>,
    /// Words, each of which must occur; of the last one a beginning suffices. 1 to 8, folded, without operators of any
    /// query language.
    pub terms: Vec<String>,
    /// Only messages of this author.
    pub from: Option<UserId>,
    /// Only messages that link somewhere.
    pub has_link: bool,
    /// Only messages with a lower id: the page behind the one that ended there. Ids are in order of time.
    pub before: Option<EntryId>,
    /// At most so many (1 to 101).
    pub limit: usize,
}

/// What became of messages, and finding them. Rows that come from the log are written by
/// [`ConversationStore::project`](super::ConversationStore::project).
#[async_trait]
pub trait MessageStore: Send + Sync {
    /// What became of these messages (at most 1,000, any order, of one conversation): those of which there is something to tell.
    async fn states(
        &self,
        conversation: ConversationId,
        messages: &[Seq],
    ) -> Result<Vec<(Seq, MessageState)>, StoreError>;

    /// The same for messages of several conversations (at most 100). A store that can asks itself once, however many
    /// there are (S-062).
    async fn states_across(
        &self,
        messages: &[(ConversationId, Seq)],
    ) -> Result<Vec<(ConversationId, MessageState)>, StoreError> {
        let mut found = Vec::new();
        for (conversation, seq) in messages {
            let states = self.states(*conversation, &[*seq]).await?;
            found.extend(states.into_iter().map(|(_, state)| (*conversation, state)));
        }
        Ok(found)
    }

    /// Numbers of the answers to a message above `after`, in order, at most `limit` (1 to 1,000).
    async fn replies(
        &self,
        conversation: ConversationId,
        to: EntryId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>, StoreError>;

    /// Deleted messages above `after`, counted up to `most`.
    async fn deleted_above(
        &self,
        conversation: ConversationId,
        after: Seq,
        most: u32,
    ) -> Result<u32, StoreError>;

    /// Deleted messages above a number in each of these conversations (any number of them, each once); those without
    /// any are left out. A store asks itself once for many (S-056).
    async fn deleted_across(
        &self,
        above: &[(ConversationId, Seq)],
    ) -> Result<Vec<(ConversationId, u32)>, StoreError>;

    /// Hides a message from one user; the first time counts. `hidden_max` bounds a user's hidden messages of one
    /// conversation; over it nothing happens and the answer is false.
    async fn hide(&self, user: UserId, message: HiddenMessage, hidden_max: u64) -> Result<bool, StoreError>;

    /// Which of these messages (at most 1,000) the user has hidden.
    async fn hidden_among(
        &self,
        user: UserId,
        conversation: ConversationId,
        messages: &[Seq],
    ) -> Result<Vec<Seq>, StoreError>;

    /// In which of several conversations (at most 100) the user has hidden the message named. A store that can asks
    /// itself once, however many there are (S-062).
    async fn hidden_across(
        &self,
        user: UserId,
        messages: &[(ConversationId, Seq)],
    ) -> Result<Vec<ConversationId>, StoreError> {
        let mut found = Vec::new();
        for (conversation, seq) in messages {
            let hidden = self.hidden_among(user, *conversation, &[*seq]).await?;
            found.extend(hidden.first().map(|_| *conversation));
        }
        Ok(found)
    }

    /// What the user has hidden behind this place, in order, at most `limit` (1 to 1,000).
    async fn hidden_since(
        &self,
        user: UserId,
        since: HiddenPlace,
        limit: usize,
    ) -> Result<Vec<HiddenMessage>, StoreError>;

    /// Messages that match, newest first. A message is found within two seconds of its append; its newest text
    /// counts, and once redacted it is never found. The cost depends on what is searched and not on the number of
    /// other conversations.
    async fn search(&self, query: SearchQuery) -> Result<Vec<Entry>, StoreError>;
}
