use serde::Serialize;
use utoipa::ToSchema;

use super::{PublicUser, room_name};
use crate::clock::Timestamp;
use crate::domain::conversation::{Conversation, RoomName};
use crate::domain::entry::{ClientMessageId, Entry, EntryKind, MessageBody, Seq};
use crate::ids::{ConversationId, EntryId, UserId};

/// The message object of SPEC.md section 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageView<'a> {
    /// Id.
    pub id: EntryId,
    /// Where.
    pub conversation_id: ConversationId,
    /// Where, if it is a room.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub room_name: Option<&'a RoomName>,
    /// Number of its entry.
    pub seq: Seq,
    /// Number of the entry before: only in events, so that a client sees a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev: Option<Seq>,
    /// The key its client gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub client_message_id: Option<&'a ClientMessageId>,
    /// Who wrote it.
    #[schema(value_type = PublicUser)]
    pub sender: &'a PublicUser,
    /// `text` or `system`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The text.
    pub content: &'a str,
    /// Files; none exist yet.
    #[schema(value_type = Vec<Object>)]
    pub attachments: [(); 0],
    /// The message it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<EntryId>,
    /// Users addressed.
    #[schema(value_type = Vec<UserId>)]
    pub mentions: &'a [UserId],
    /// Reactions; none exist yet.
    #[schema(value_type = Vec<Object>)]
    pub reactions: [(); 0],
    /// When.
    pub created_at: Timestamp,
}

impl<'a> MessageView<'a> {
    /// An entry as clients see it; settings are shown as messages of the system.
    pub fn new(entry: &'a Entry, conversation: &'a Conversation, sender: &'a PublicUser) -> MessageView<'a> {
        let (kind, content, reply_to, mentions): (_, &str, _, &[UserId]) = match &entry.kind {
            EntryKind::Message(MessageBody {
                content,
                reply_to,
                mentions,
            }) => ("text", content, *reply_to, mentions),
            EntryKind::Settings(change) if change.archived == Some(true) => {
                ("system", "The room was closed.", None, &[])
            }
            EntryKind::Settings(_) => ("system", "The settings were changed.", None, &[]),
        };
        MessageView {
            id: entry.id,
            conversation_id: entry.conversation,
            room_name: room_name(conversation),
            seq: entry.seq,
            prev: None,
            client_message_id: entry.client_message_id.as_ref(),
            sender,
            kind,
            content,
            attachments: [],
            reply_to,
            mentions,
            reactions: [],
            created_at: entry.created_at,
        }
    }

    /// As the payload of an event.
    pub fn in_event(mut self) -> MessageView<'a> {
        self.prev = Some(Seq(self.seq.0.saturating_sub(1)));
        self
    }
}
