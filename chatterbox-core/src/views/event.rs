//! The event of each kind of entry. A function of the entry and of names alone, so that every node makes the same
//! (DESIGN.md section 4, Fan-out).

use serde::Serialize;
use utoipa::ToSchema;

use super::settings::{SettingsChanges, SettingsView};
use super::{MessageView, People, PublicUser, room_name};
use crate::clock::Timestamp;
use crate::domain::change::{Ban, Change, Delete, Edit, Join, Leave, LeaveReason, Reaction, RoleChange};
use crate::domain::conversation::{Conversation, Kind, Role, RoomName};
use crate::domain::entry::{Entry, EntryKind, MessageBody, Seq};
use crate::ids::{ConversationId, EntryId, UserId};

/// What every event of the log carries: where, the number, and the one before (SPEC.md section 1, Sequence).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Place<'a> {
    /// Where.
    pub conversation_id: ConversationId,
    /// Where, if it is a room.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub room_name: Option<&'a RoomName>,
    /// Number of the entry.
    pub seq: Seq,
    /// Number of the entry before.
    pub prev: Seq,
    /// When.
    pub at: Timestamp,
}

/// `message-updated` (S-130): the message with its new text. Its reactions are as they were.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageUpdated<'a> {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// The message, without reactions.
    pub message: EditedMessage<'a>,
}

/// A message in its new text. What is not here hasn't changed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EditedMessage<'a> {
    /// Id.
    pub id: EntryId,
    /// Where.
    pub conversation_id: ConversationId,
    /// Where, if it is a room.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub room_name: Option<&'a RoomName>,
    /// Number of the message.
    pub seq: Seq,
    /// Who wrote it.
    #[schema(value_type = PublicUser)]
    pub sender: &'a PublicUser,
    /// `text`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The text; empty once deleted.
    pub content: &'a str,
    /// The message it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<EntryId>,
    /// Users addressed.
    #[schema(value_type = Vec<UserId>)]
    pub mentions: &'a [UserId],
    /// When it was written.
    pub created_at: Timestamp,
    /// When it got this text.
    pub edited_at: Timestamp,
    /// When it was deleted, if it was since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
}

/// `message-deleted` (S-131).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageDeleted<'a> {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// Which message.
    pub message: MessageRef,
    /// By whom.
    pub deleted_by: UserId,
}

/// `reaction-added` and `reaction-removed` (S-132).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReactionChanged<'a> {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// On which message.
    pub message: MessageRef,
    /// Which.
    pub emoji: &'a str,
    /// Whose.
    #[schema(value_type = PublicUser)]
    pub user: &'a PublicUser,
}

/// A message by its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct MessageRef {
    /// Id.
    pub id: EntryId,
    /// Number.
    pub seq: Seq,
}

impl MessageRef {
    /// Of this message.
    pub fn of(entry: &Entry) -> MessageRef {
        MessageRef {
            id: entry.id,
            seq: entry.seq,
        }
    }
}

/// `participant-added` (S-105). To the added one too, hence the settings of the conversation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantAdded<'a> {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// Who.
    #[schema(value_type = PublicUser)]
    pub user: &'a PublicUser,
    /// As what.
    pub role: Role,
    /// By whom; by themselves if they joined.
    pub added_by: UserId,
    /// Where.
    pub conversation: SettingsView<'a>,
    /// The item of history.
    pub message: MessageView<'a>,
}

/// `participant-removed` (S-106).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantRemoved<'a> {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// Who.
    pub user_id: UserId,
    /// By whom.
    pub removed_by: UserId,
    /// Why.
    #[schema(value_type = String)]
    pub reason: LeaveReason,
    /// Whether they may not come back.
    pub banned: bool,
    /// The item of history.
    pub message: MessageView<'a>,
}

/// `participant-role-updated` (S-107).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantRoleUpdated<'a> {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// Who.
    pub user_id: UserId,
    /// From now on.
    pub role: Role,
    /// Until now.
    pub previous_role: Role,
    /// By whom.
    pub updated_by: UserId,
    /// The item of history.
    pub message: MessageView<'a>,
}

/// `participant-unbanned`: who was banned may come back (S-071).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantUnbanned<'a> {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// Who.
    pub user_id: UserId,
    /// By whom.
    pub updated_by: UserId,
    /// The item of history.
    pub message: MessageView<'a>,
}

/// `conversation-updated` and `conversation-deleted` (S-066, S-137): what has changed; the rest is as it was.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationUpdated<'a> {
    /// Where and when.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// What has changed.
    pub changes: SettingsChanges<'a>,
    /// By whom.
    pub updated_by: UserId,
    /// The item of history.
    pub message: MessageView<'a>,
}

/// Takes an event's name and payload.
pub trait EventSink {
    /// What it makes of them.
    type Made;

    /// Makes it.
    fn event(self, name: &str, payload: &impl Serialize) -> Self::Made;
}

/// The event of an entry, as name and payload. `None` when `people` lacks somebody the entry names.
pub fn entry_event<S: EventSink>(
    sink: S,
    entry: &Entry,
    conversation: &Conversation,
    people: &People,
) -> Option<S::Made> {
    let place = || Place {
        conversation_id: entry.conversation,
        room_name: room_name(conversation),
        seq: entry.seq,
        prev: Seq(entry.seq.0.saturating_sub(1)),
        at: entry.created_at,
    };
    let sender = entry.sender;
    let item = || MessageView::new(entry, None, conversation, people);
    let made = match &entry.kind {
        EntryKind::Message(MessageBody { .. }) => {
            let name = match conversation.kind {
                Kind::Room(_) => "room-message",
                Kind::Direct | Kind::Group => "new-message",
            };
            sink.event(name, &item()?.in_event())
        }
        EntryKind::Edit(edit) => sink.event(
            "message-updated",
            &MessageUpdated {
                place: place(),
                message: edited(edit, entry, conversation, people)?,
            },
        ),
        EntryKind::Delete(Delete {
            message, message_seq, ..
        }) => sink.event(
            "message-deleted",
            &MessageDeleted {
                place: place(),
                message: MessageRef {
                    id: *message,
                    seq: *message_seq,
                },
                deleted_by: sender,
            },
        ),
        EntryKind::Reaction(Reaction {
            message,
            message_seq,
            emoji,
            change,
        }) => sink.event(
            match change {
                Change::Added => "reaction-added",
                Change::Removed => "reaction-removed",
            },
            &ReactionChanged {
                place: place(),
                message: MessageRef {
                    id: *message,
                    seq: *message_seq,
                },
                emoji: emoji.as_str(),
                user: people.get(sender)?,
            },
        ),
        EntryKind::Join(Join { user, role }) => sink.event(
            "participant-added",
            &ParticipantAdded {
                place: place(),
                user: people.get(*user)?,
                role: *role,
                added_by: sender,
                conversation: SettingsView::new(conversation),
                message: item()?,
            },
        ),
        EntryKind::Leave(Leave { user, reason, .. }) => sink.event(
            "participant-removed",
            &ParticipantRemoved {
                place: place(),
                user_id: *user,
                removed_by: sender,
                reason: *reason,
                banned: false,
                message: item()?,
            },
        ),
        EntryKind::Role(RoleChange { user, role, previous }) => sink.event(
            "participant-role-updated",
            &ParticipantRoleUpdated {
                place: place(),
                user_id: *user,
                role: *role,
                previous_role: *previous,
                updated_by: sender,
                message: item()?,
            },
        ),
        EntryKind::Ban(Ban {
            user,
            change: Change::Added,
        }) => sink.event(
            "participant-removed",
            &ParticipantRemoved {
                place: place(),
                user_id: *user,
                removed_by: sender,
                reason: LeaveReason::Removed,
                banned: true,
                message: item()?,
            },
        ),
        EntryKind::Ban(Ban {
            user,
            change: Change::Removed,
        }) => sink.event(
            "participant-unbanned",
            &ParticipantUnbanned {
                place: place(),
                user_id: *user,
                updated_by: sender,
                message: item()?,
            },
        ),
        EntryKind::Settings(changes) => sink.event(
            if changes.archived == Some(true) {
                "conversation-deleted"
            } else {
                "conversation-updated"
            },
            &ConversationUpdated {
                place: place(),
                changes: SettingsChanges::new(changes),
                updated_by: sender,
                message: item()?,
            },
        ),
    };
    Some(made)
}

fn edited<'a>(
    edit: &'a Edit,
    entry: &Entry,
    conversation: &'a Conversation,
    people: &'a People,
) -> Option<EditedMessage<'a>> {
    Some(EditedMessage {
        id: edit.message,
        conversation_id: entry.conversation,
        room_name: room_name(conversation),
        seq: edit.message_seq,
        // Only authors edit.
        sender: people.get(entry.sender)?,
        kind: "text",
        content: &edit.content,
        reply_to: edit.reply_to,
        mentions: &edit.mentions,
        created_at: edit.sent_at,
        edited_at: entry.created_at,
        deleted_at: edit.redacted_at,
    })
}
