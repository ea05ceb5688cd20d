//! What entries of a log change: messages, members, settings.
//!
//! Each names what it changes in full, so that one entry is right wherever the log is cut behind it: an owner's leave
//! names the heir, and a hand-over makes the old owner an admin by itself. The entry that tells of the second half
//! follows in the same append and changes nothing.

use serde::{Deserialize, Serialize};

use super::conversation::{History, Role, RoomName, Visibility};
use super::emoji::Emoji;
use super::entry::Seq;
use crate::clock::Timestamp;
use crate::ids::{EntryId, UserId};

/// A message has a new text. By its author (S-130).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edit {
    /// The message.
    pub message: EntryId,
    /// Its number.
    pub message_seq: Seq,
    /// When it was written.
    pub sent_at: Timestamp,
    /// The message it answers, as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<EntryId>,
    /// The text from now on; empty once redacted.
    pub content: String,
    /// Users addressed from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// When the message was deleted, and this content with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted_at: Option<Timestamp>,
}

/// A message is no more; its entry keeps its number. By its author or somebody who manages the conversation (S-131).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delete {
    /// The message.
    pub message: EntryId,
    /// Its number.
    pub message_seq: Seq,
    /// Its author.
    pub author: UserId,
}

/// A reaction of the entry's sender (S-132).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reaction {
    /// The message.
    pub message: EntryId,
    /// Its number.
    pub message_seq: Seq,
    /// Which.
    pub emoji: Emoji,
    /// Put on, or taken off.
    pub change: Change,
}

/// Something is there from now on, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is.
    Added,
    /// It is not.
    Removed,
}

/// Somebody became a member of a group; added by the entry's sender, who may be themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Join {
    /// Who.
    pub user: UserId,
    /// As what.
    pub role: Role,
}

/// Somebody is no member any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leave {
    /// Who.
    pub user: UserId,
    /// By whose will.
    pub reason: LeaveReason,
    /// Who owns the group from now on, if its owner left and somebody stays (S-072).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heir: Option<UserId>,
}

/// Why a membership ended, as `participant-removed` tells it (S-106).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaveReason {
    /// By an admin.
    Removed,
    /// By themselves.
    Left,
    /// Their account was deleted.
    Deleted,
}

/// A member has another role. Who becomes owner takes it from the owner, who stays as admin (S-069).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleChange {
    /// Who.
    pub user: UserId,
    /// From now on.
    pub role: Role,
    /// Until now.
    pub previous: Role,
}

/// Who is banned is no member and can't become one (S-071).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ban {
    /// Who.
    pub user: UserId,
    /// Banned, or not any more.
    pub change: Change,
}

/// Settings as they are from this entry on; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingsChange {
    /// Name of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Name of a room; it was claimed before the entry was written, and the old one goes on leading here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<RoomName>,
    /// What the conversation is about; an empty text takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who may join by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// What later members see of the time before them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// Closed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
}
