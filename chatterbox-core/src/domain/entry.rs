//! Entries of a conversation's log.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{ConversationId, EntryId, UserId};

/// The number of an entry in its conversation: dense, from 1. Zero means "before the first".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u32);

impl Seq {
    /// Before the first entry.
    pub const ZERO: Seq = Seq(0);

    /// The number behind this one.
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A key that a client makes for a message so that it can ask again: 1 to 64 bytes without control characters
/// (THREATS.md G9). Public: it is part of the message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ClientMessageId(Arc<str>);

/// Not 1 to 64 bytes without control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 1 to 64 bytes without control characters")]
pub struct InvalidClientMessageId;

impl ClientMessageId {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<ClientMessageId, InvalidClientMessageId> {
        if (1..=64).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(ClientMessageId(text.into()))
        } else {
            Err(InvalidClientMessageId)
        }
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClientMessageId {
    type Error = InvalidClientMessageId;

    fn try_from(text: String) -> Result<ClientMessageId, InvalidClientMessageId> {
        ClientMessageId::parse(&text)
    }
}

/// One entry of a conversation's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Id; of a message, the message's public id.
    pub id: EntryId,
    /// Where.
    pub conversation: ConversationId,
    /// Its number.
    pub seq: Seq,
    /// Messages up to and with this entry.
    pub ordinal: u32,
    /// Seq of the last governing entry up to and with this one.
    pub gov: Seq,
    /// Who caused it.
    pub sender: UserId,
    /// The key its client gave it.
    pub client_message_id: Option<ClientMessageId>,
    /// Never below that of the entry before.
    pub created_at: Timestamp,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry says. Its JSON form is a storage format: additive changes only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum EntryKind {
    /// A message of a person.
    Message(MessageBody),
    /// A change of the conversation's settings.
    Settings(SettingsChange),
}

impl EntryKind {
    /// Whether decisions made before this entry must be made again behind it (DESIGN.md section 4).
    pub fn governs(&self) -> bool {
        match self {
            EntryKind::Message(_) => false,
            EntryKind::Settings(_) => true,
        }
    }

    /// Whether it counts as a message: takes an ordinal and can be unread.
    pub fn is_message(&self) -> bool {
        match self {
            EntryKind::Message(_) => true,
            EntryKind::Settings(_) => false,
        }
    }
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageBody {
    /// The text, as [`crate::domain::message`] lets it be.
    pub content: String,
    /// The message this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<EntryId>,
    /// Users addressed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
}

/// Settings as they are from this entry on; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingsChange {
    /// What the conversation is about; an empty text takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Closed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
}
