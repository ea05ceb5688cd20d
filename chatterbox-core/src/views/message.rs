use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use super::{People, PublicUser, room_name, system};
use crate::clock::Timestamp;
use crate::domain::conversation::{Conversation, RoomName};
use crate::domain::current::{MessageState, Reacted};
use crate::domain::entry::{ClientMessageId, Entry, EntryKind, Seq};
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
    /// Who wrote it, or whose doing it tells of.
    #[schema(value_type = PublicUser)]
    pub sender: &'a PublicUser,
    /// `text` or `system`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The text; empty once deleted.
    pub content: Cow<'a, str>,
    /// Files; none exist yet.
    #[schema(value_type = Vec<Object>)]
    pub attachments: [(); 0],
    /// The message it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<EntryId>,
    /// Users addressed.
    #[schema(value_type = Vec<UserId>)]
    pub mentions: &'a [UserId],
    /// Reactions, in the order of the first one with each emoji.
    pub reactions: Vec<ReactionView<'a>>,
    /// When.
    pub created_at: Timestamp,
    /// When its text was last replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// When it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
}

/// Everyone who chose one emoji.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReactionView<'a> {
    /// Which.
    pub emoji: &'a str,
    /// How many.
    pub count: usize,
    /// Who, in order; at most 500 on one message.
    #[schema(value_type = Vec<UserId>)]
    pub user_ids: &'a [UserId],
}

impl<'a> ReactionView<'a> {
    fn new(reacted: &'a Reacted) -> ReactionView<'a> {
        ReactionView {
            emoji: reacted.emoji.as_str(),
            count: reacted.users.len(),
            user_ids: &reacted.users,
        }
    }
}

impl<'a> MessageView<'a> {
    /// An entry that history shows: a message in its newest text, or what the system says of a change. `None` for
    /// others, and when `people` doesn't have its sender.
    pub fn new(
        entry: &'a Entry,
        state: Option<&'a MessageState>,
        conversation: &'a Conversation,
        people: &'a People,
    ) -> Option<MessageView<'a>> {
        let mut view = MessageView {
            id: entry.id,
            conversation_id: entry.conversation,
            room_name: room_name(conversation),
            seq: entry.seq,
            prev: None,
            client_message_id: entry.client_message_id.as_ref(),
            sender: people.get(entry.sender)?,
            kind: "text",
            content: Cow::Borrowed(""),
            attachments: [],
            reply_to: None,
            mentions: &[],
            reactions: Vec::new(),
            created_at: entry.created_at,
            edited_at: None,
            deleted_at: None,
        };
        match &entry.kind {
            EntryKind::Message(body) => {
                view.content = Cow::Borrowed(&body.content);
                view.reply_to = body.reply_to;
                view.mentions = &body.mentions;
                view.deleted_at = body.redacted_at;
                if let Some(state) = state.filter(|_| body.redacted_at.is_none()) {
                    view.reactions = state.reactions.0.iter().map(ReactionView::new).collect();
                    if let Some(edited) = &state.edited {
                        view.content = Cow::Borrowed(&edited.content);
                        view.mentions = &edited.mentions;
                        view.edited_at = Some(edited.at);
                    }
                }
            }
            change => {
                view.kind = "system";
                view.content = Cow::Owned(system::text(entry.sender, change, conversation, people)?);
            }
        }
        Some(view)
    }

    /// As the payload of an event.
    pub fn in_event(mut self) -> MessageView<'a> {
        self.prev = Some(Seq(self.seq.0.saturating_sub(1)));
        self
    }
}
