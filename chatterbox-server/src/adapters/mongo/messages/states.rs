//! What became of a message, as a document. It stays when the message is deleted, to be counted.

use chatterbox_core::domain::current::{Edited, MessageState, Reacted, Reactions};
use chatterbox_core::domain::emoji::Emoji;
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::StoreError;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, DateTime, Document, doc};
use serde::{Deserialize, Serialize};

use crate::adapters::mongo::Shared;
use crate::adapters::mongo::ids::{self, Id as _, long, seq, stamp, time};

/// Messages that one command asks for.
const AT_ONCE: usize = 1_000;
/// Conversations that one command counts in, each with a range of its own.
const COUNTED_AT_ONCE: usize = 500;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct StateRow {
    conversation: ObjectId,
    seq: i64,
    /// The last intent that wrote it.
    pub(super) rev: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) deleted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edited: Option<EditedRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reactions: Vec<ReactedRow>,
    /// Numbers of the entries that edited it, to be redacted with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) edits: Vec<i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct EditedRow {
    content: String,
    mentions: Vec<ObjectId>,
    at: DateTime,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ReactedRow {
    emoji: Emoji,
    users: Vec<ObjectId>,
}

impl StateRow {
    /// Of a message that nothing became of yet.
    pub(super) fn new(conversation: ConversationId, seq: Seq) -> StateRow {
        StateRow {
            conversation: conversation.oid(),
            seq: long(seq.0),
            rev: 0,
            deleted: false,
            edited: None,
            reactions: Vec::new(),
            edits: Vec::new(),
        }
    }

    pub(super) fn seq(&self) -> Result<Seq, StoreError> {
        seq(self.seq)
    }

    pub(super) fn conversation(&self) -> ConversationId {
        ConversationId::from_oid(self.conversation)
    }

    pub(super) fn state(&self) -> MessageState {
        let users = |users: &[ObjectId]| users.iter().map(|user| UserId::from_oid(*user)).collect();
        let reacted = self.reactions.iter().map(|one| Reacted {
            emoji: one.emoji.clone(),
            users: users(&one.users),
        });
        MessageState {
            edited: self.edited.as_ref().map(|edited| Edited {
                content: edited.content.clone(),
                mentions: users(&edited.mentions),
                at: time(edited.at),
            }),
            reactions: Reactions(reacted.collect()),
        }
    }

    pub(super) fn set(&mut self, state: &MessageState) {
        self.edited = state.edited.as_ref().map(|edited| EditedRow {
            content: edited.content.clone(),
            mentions: ids::oids(&edited.mentions),
            at: stamp(edited.at),
        });
        let reacted = state.reactions.0.iter().map(|one| ReactedRow {
            emoji: one.emoji.clone(),
            users: ids::oids(&one.users),
        });
        self.reactions = reacted.collect();
    }

    /// The text it has now, if it was edited.
    pub(super) fn text(&self) -> Option<&str> {
        self.edited.as_ref().map(|edited| edited.content.as_str())
    }
}

#[derive(Deserialize)]
struct CountRow {
    #[serde(rename = "_id")]
    conversation: ObjectId,
    count: i64,
}

/// How many messages above these numbers were deleted, where there are any.
pub(in super::super) async fn deleted_above(
    shared: &Shared,
    places: &[(ConversationId, Seq)],
) -> Result<Vec<(ConversationId, u32)>, StoreError> {
    let mut found = Vec::new();
    for places in places.chunks(COUNTED_AT_ONCE) {
        let above = places.iter().map(|(conversation, after)| {
            doc! { "conversation": conversation.oid(), "seq": { "$gt": long(after.0) }, "deleted": true }
        });
        let pipeline = [
            doc! { "$match": { "$or": above.collect::<Vec<Document>>() } },
            doc! { "$group": { "_id": "$conversation", "count": { "$sum": 1_i64 } } },
        ];
        let rows: Vec<CountRow> = shared.gate.aggregated(shared.states.aggregate(pipeline)).await?;
        found.extend(rows.into_iter().map(|row| {
            let count = u32::try_from(row.count).unwrap_or(u32::MAX);
            (ConversationId::from_oid(row.conversation), count)
        }));
    }
    Ok(found)
}

/// The rows with these keys that are there.
pub(super) async fn read(shared: &Shared, keys: Vec<Binary>) -> Result<Vec<StateRow>, StoreError> {
    let mut rows = Vec::new();
    for keys in keys.chunks(AT_ONCE) {
        let find = shared
            .states
            .find(doc! { "_id": { "$in": keys.to_vec() } })
            .batch_size(ids::batch(keys.len()));
        rows.extend(shared.gate.all(find).await?);
    }
    Ok(rows)
}

/// Those of which there is something to tell.
pub(super) fn told<T>(
    rows: Vec<StateRow>,
    tell: impl Fn(&StateRow, MessageState) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let states = rows.into_iter().map(|row| (row.state(), row));
    states
        .filter(|(state, row)| !row.deleted && *state != MessageState::default())
        .map(|(state, row)| tell(&row, state))
        .collect()
}
