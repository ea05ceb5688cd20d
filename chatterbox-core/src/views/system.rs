//! What the system says of changes, in one sentence each.

use super::{People, room_name};
use crate::domain::change::{Ban, Change, Join, Leave, LeaveReason, RoleChange, SettingsChange};
use crate::domain::conversation::{Conversation, Role};
use crate::domain::entry::EntryKind;
use crate::ids::UserId;

/// The sentence; `None` for entries that are no such change.
pub(super) fn text(
    sender: UserId,
    kind: &EntryKind,
    conversation: &Conversation,
    people: &People,
) -> Option<String> {
    let by = people.name(sender);
    let text = match kind {
        EntryKind::Message(_) | EntryKind::Edit(_) | EntryKind::Delete(_) | EntryKind::Reaction(_) => {
            return None;
        }
        EntryKind::Join(Join { user, .. }) if *user == sender => format!("{by} joined."),
        EntryKind::Join(Join { user, .. }) => format!("{by} added {}.", people.name(*user)),
        EntryKind::Leave(Leave { user, reason, .. }) => match reason {
            LeaveReason::Left => format!("{} left.", people.name(*user)),
            LeaveReason::Removed => format!("{by} removed {}.", people.name(*user)),
            LeaveReason::Deleted => format!("{} deleted their account.", people.name(*user)),
        },
        EntryKind::Role(RoleChange { user, role, .. }) => {
            let role = match role {
                Role::Owner => "the owner",
                Role::Admin => "an admin",
                Role::Moderator => "a moderator",
                Role::Member => "a member",
            };
            format!("{} is now {role}.", people.name(*user))
        }
        EntryKind::Ban(Ban { user, change }) => match change {
            Change::Added => format!("{by} banned {}.", people.name(*user)),
            Change::Removed => format!("{by} lifted the ban of {}.", people.name(*user)),
        },
        EntryKind::Settings(change) => settings(by, change, conversation),
    };
    Some(text)
}

fn settings(by: &str, change: &SettingsChange, conversation: &Conversation) -> String {
    let what = if room_name(conversation).is_some() {
        "room"
    } else {
        "conversation"
    };
    match change {
        SettingsChange {
            archived: Some(true), ..
        } => format!("The {what} was closed."),
        SettingsChange {
            title: Some(title), ..
        } => format!("{by} renamed the conversation to “{title}”."),
        SettingsChange { name: Some(name), .. } => format!("{by} renamed the room to {name}."),
        _ => format!("{by} changed the settings."),
    }
}
