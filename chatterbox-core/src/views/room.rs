use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::domain::conversation::{Conversation, Kind, RoomName, RoomSummary};
use crate::ids::{ConversationId, UserId};

/// A room as REST answers and acks show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomView {
    /// Id of its conversation, under two names: rooms are conversations.
    pub id: ConversationId,
    /// The same.
    pub conversation_id: ConversationId,
    /// Unique name.
    pub name: String,
    /// What it is about.
    pub description: Option<String>,
    /// Who made it; nobody for rooms of the first start.
    pub created_by: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
    /// How many members it has.
    pub member_count: u64,
    /// How many people watch it now, on all nodes; those on other nodes as of a quarter of a minute ago at most.
    pub online_count: u64,
    /// Whether the caller is a member.
    pub joined: bool,
}

impl RoomView {
    /// `None` if the conversation is not a room.
    pub fn new(summary: &RoomSummary, online_count: u64) -> Option<RoomView> {
        let conversation = &summary.conversation;
        Some(RoomView {
            id: conversation.id,
            conversation_id: conversation.id,
            name: room_name(conversation)?.to_string(),
            description: conversation.description.clone(),
            created_by: conversation.creator,
            created_at: conversation.created_at,
            member_count: summary.members,
            online_count,
            joined: summary.joined,
        })
    }
}

/// The name of a room; `None` for other conversations.
pub fn room_name(conversation: &Conversation) -> Option<&RoomName> {
    match &conversation.kind {
        Kind::Room(name) => Some(name),
        Kind::Direct | Kind::Group => None,
    }
}
