//! Entries of a conversation's log. What they can say besides messages is in [`super::change`].

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change::{Ban, Delete, Edit, Join, Leave, Reaction, RoleChange, SettingsChange};
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
    /// A message's text was replaced (S-130).
    Edit(Edit),
    /// A message was taken out (S-131).
    Delete(Delete),
    /// A reaction was put on a message or taken off (S-132).
    Reaction(Reaction),
    /// Somebody became a member of a group.
    Join(Join),
    /// Somebody is no member of a group any more.
    Leave(Leave),
    /// A member's role changed.
    Role(RoleChange),
    /// Somebody was banned from a group or room, or is no longer.
    Ban(Ban),
    /// A change of the conversation's settings.
    Settings(SettingsChange),
}

impl EntryKind {
    /// Whether decisions made before this entry must be made again behind it (DESIGN.md section 4).
    pub fn governs(&self) -> bool {
        match self {
            EntryKind::Message(_) | EntryKind::Edit(_) | EntryKind::Delete(_) | EntryKind::Reaction(_) => {
                false
            }
            EntryKind::Join(_)
            | EntryKind::Leave(_)
            | EntryKind::Role(_)
            | EntryKind::Ban(_)
            | EntryKind::Settings(_) => true,
        }
    }

    /// Whether it counts as a message: takes an ordinal and can be unread.
    pub fn is_message(&self) -> bool {
        matches!(self, EntryKind::Message(_))
    }

    /// Whether history shows it: messages, and what the system says about members, roles and settings. Edits,
    /// deletions and reactions show in the message they are about.
    pub fn is_shown(&self) -> bool {
        self.is_message() || self.governs()
    }

    /// The message that it changes, and that message's number.
    pub fn target(&self) -> Option<(EntryId, Seq)> {
        match self {
            EntryKind::Edit(edit) => Some((edit.message, edit.message_seq)),
            EntryKind::Delete(delete) => Some((delete.message, delete.message_seq)),
            EntryKind::Reaction(reaction) => Some((reaction.message, reaction.message_seq)),
            EntryKind::Message(_)
            | EntryKind::Join(_)
            | EntryKind::Leave(_)
            | EntryKind::Role(_)
            | EntryKind::Ban(_)
            | EntryKind::Settings(_) => None,
        }
    }
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageBody {
    /// The text, as [`crate::domain::message`] lets it be; empty once redacted.
    pub content: String,
    /// The message this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<EntryId>,
    /// Users addressed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// When it was deleted and its content taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted_at: Option<Timestamp>,
}
