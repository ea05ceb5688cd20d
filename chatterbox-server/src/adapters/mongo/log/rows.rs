//! Entries as documents.

use std::collections::BTreeSet;

use chatterbox_core::domain::entry::{ClientMessageId, Entry, EntryKind};
use chatterbox_core::domain::{text, words};
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::ports::storage::{Head, StoreError};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, DateTime, Document, doc};
use serde::{Deserialize, Serialize};

use super::super::ids::{self, Id as _, long, seq, stamp};

/// An entry. It has everything of a [`Head`], so that the last one is where a log ends.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct EntryRow {
    /// Conversation and seq, which makes them unique.
    #[serde(rename = "_id")]
    key: Binary,
    pub(in super::super) id: ObjectId,
    conversation: ObjectId,
    seq: i64,
    ordinal: i64,
    gov: i64,
    sender: ObjectId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_message_id: Option<ClientMessageId>,
    created_at: DateTime,
    body: EntryKind,
    /// What it is found by, each word once; see `search`. Never read.
    #[serde(skip_deserializing, skip_serializing_if = "BTreeSet::is_empty")]
    words: BTreeSet<String>,
    #[serde(skip_deserializing, skip_serializing_if = "std::ops::Not::not")]
    link: bool,
}

/// The words that a text is found by.
pub(in super::super) fn words_of(content: &str) -> BTreeSet<String> {
    words::of(content).into_iter().collect()
}

/// All fields of an entry, without what it is found by.
pub(in super::super) fn entry_fields() -> Document {
    doc! { "words": 0, "link": 0, "wordsRev": 0 }
}

/// Only what history shows ([`EntryKind::is_shown`]).
pub(in super::super) fn shown() -> Document {
    doc! { "body.kind": { "$nin": ["edit", "delete", "reaction"] } }
}

impl From<&Entry> for EntryRow {
    fn from(entry: &Entry) -> EntryRow {
        let text = match &entry.kind {
            EntryKind::Message(body) => body.content.as_str(),
            _ => "",
        };
        EntryRow {
            key: ids::seq_key(entry.conversation, entry.seq),
            id: entry.id.oid(),
            conversation: entry.conversation.oid(),
            seq: long(entry.seq.0),
            ordinal: long(entry.ordinal),
            gov: long(entry.gov.0),
            sender: entry.sender.oid(),
            client_message_id: entry.client_message_id.clone(),
            created_at: stamp(entry.created_at),
            body: entry.kind.clone(),
            words: words_of(text),
            link: text::has_link(text),
        }
    }
}

impl TryFrom<EntryRow> for Entry {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Entry, StoreError> {
        Ok(Entry {
            id: EntryId::from_oid(row.id),
            conversation: ConversationId::from_oid(row.conversation),
            seq: seq(row.seq)?,
            ordinal: ids::number(row.ordinal)?,
            gov: seq(row.gov)?,
            sender: UserId::from_oid(row.sender),
            client_message_id: row.client_message_id,
            created_at: ids::time(row.created_at),
            kind: row.body,
        })
    }
}

/// Where a log ends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct HeadRow {
    seq: i64,
    ordinal: i64,
    gov: i64,
    created_at: DateTime,
}

/// The fields of a [`HeadRow`].
pub(in super::super) fn head_fields() -> Document {
    doc! { "_id": 0, "seq": 1, "ordinal": 1, "gov": 1, "createdAt": 1 }
}

impl TryFrom<HeadRow> for Head {
    type Error = StoreError;

    fn try_from(row: HeadRow) -> Result<Head, StoreError> {
        Ok(Head {
            seq: seq(row.seq)?,
            ordinal: ids::number(row.ordinal)?,
            gov: seq(row.gov)?,
            created_at: ids::time(row.created_at),
        })
    }
}
