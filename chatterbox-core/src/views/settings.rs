//! The settings of a conversation.

use serde::Serialize;
use utoipa::ToSchema;

use super::room_name;
use crate::clock::Timestamp;
use crate::domain::change::SettingsChange;
use crate::domain::conversation::{Conversation, History, Kind, RoomName, Visibility};
use crate::ids::{ConversationId, UserId};

/// Changed settings under the names of [`SettingsView`]; what is not here is as it was.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingsChanges<'a> {
    /// Name of a room.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub room_name: Option<&'a RoomName>,
    /// Title of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// What it is about; `null` if that was taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<&'a str>>,
    /// Who may join by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// What new members see of the time before them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// Closed for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
}

impl<'a> SettingsChanges<'a> {
    pub(super) fn new(change: &'a SettingsChange) -> SettingsChanges<'a> {
        let description = change.description.as_deref();
        SettingsChanges {
            room_name: change.name.as_ref(),
            name: change.title.as_deref(),
            description: description.map(|text| Some(text).filter(|text| !text.is_empty())),
            visibility: change.visibility,
            history: change.history,
            archived: change.archived,
        }
    }
}

/// The settings of a conversation, the same for everyone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingsView<'a> {
    /// Id.
    pub id: ConversationId,
    /// `direct`, `group` or `room`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Name of a room.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub room_name: Option<&'a RoomName>,
    /// Title of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// What it is about.
    pub description: Option<&'a str>,
    /// Who may join by themselves.
    pub visibility: Visibility,
    /// What new members see of the time before them.
    pub history: History,
    /// Who made it.
    pub created_by: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
    /// Closed for good.
    pub archived: bool,
}

impl<'a> SettingsView<'a> {
    /// Of this conversation.
    pub fn new(conversation: &'a Conversation) -> SettingsView<'a> {
        SettingsView {
            id: conversation.id,
            kind: match conversation.kind {
                Kind::Direct => "direct",
                Kind::Group => "group",
                Kind::Room(_) => "room",
            },
            room_name: room_name(conversation),
            name: conversation.title.as_deref(),
            description: conversation.description.as_deref(),
            visibility: conversation.visibility,
            history: conversation.history,
            created_by: conversation.creator,
            created_at: conversation.created_at,
            archived: conversation.archived,
        }
    }
}
