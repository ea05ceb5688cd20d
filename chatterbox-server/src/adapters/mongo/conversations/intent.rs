//! What has been begun with the rows of a conversation, as its document holds it.
//!
//! Nodes of the version before read it as well: a new kind of work comes in two steps, first a version that can finish it,
//! then one that begins it.

use std::collections::BTreeMap;

use chatterbox_core::domain::change::{Change, Reaction};
use chatterbox_core::domain::conversation::{Conversation, History, Kind, Role, RoomName, Visibility};
use chatterbox_core::domain::emoji::Emoji;
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::domain::standing::MemberChange;
use chatterbox_core::ids::{EntryId, UserId};
use chatterbox_core::ports::storage::{
    Head, MemberStep, MessageChange, MessageStep, Projection, Reply, StoreError,
};
use mongodb::bson::DateTime;
use mongodb::bson::oid::ObjectId;
use serde::{Deserialize, Serialize};

use crate::adapters::mongo::ids::{Id as _, long, number, seq, stamp, time};

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub(super) enum Work {
    /// Add the first members.
    Create { founders: Vec<Founder> },
    /// Follow the log.
    Project(Steps),
    /// Make those members of a room who have a place in it.
    Join { joiners: Vec<Joiner> },
    /// End somebody's membership of a room.
    Leave { user: ObjectId },
}

impl Work {
    /// Whether rows are not whole while it is being done.
    pub(super) fn is_half_done(&self) -> bool {
        match self {
            Work::Create { .. } | Work::Project(_) => true,
            Work::Join { .. } | Work::Leave { .. } => false,
        }
    }

    pub(super) fn join(joiners: impl Iterator<Item = (UserId, Head)>) -> Work {
        let joiner = |(user, head): (UserId, Head)| Joiner {
            user: user.oid(),
            seq: long(head.seq.0),
            ordinal: long(head.ordinal),
        };
        Work::Join {
            joiners: joiners.map(joiner).collect(),
        }
    }
}

/// Somebody who comes into a room, and up to where they need not read.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Joiner {
    pub(super) user: ObjectId,
    pub(super) seq: i64,
    pub(super) ordinal: i64,
}

/// A member from the beginning.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Founder {
    pub(super) user: ObjectId,
    pub(super) role: Role,
    /// The other one in a direct conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) peer: Option<ObjectId>,
}

/// A [`Projection`] without what the log says by itself: the texts of edits are read from there, so that the document
/// stays small whatever is projected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Steps {
    pub(super) to: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settings: Option<Settings>,
    members: Vec<MemberRow>,
    pub(super) messages: Vec<MessageRow>,
    pub(super) replies: Vec<(ObjectId, i64)>,
    pub(super) pointers: Vec<(ObjectId, i64, i64)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Settings {
    name: Option<RoomName>,
    title: Option<String>,
    description: Option<String>,
    visibility: Visibility,
    history: History,
    archived: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct MemberRow {
    seq: i64,
    ordinal: i64,
    user: ObjectId,
    change: MemberWord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum MemberWord {
    Joined,
    Left,
    Role,
    Banned,
    Unbanned,
}

/// A change of a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct MessageRow {
    /// The entry that made it.
    pub(super) seq: i64,
    pub(super) by: ObjectId,
    pub(super) at: DateTime,
    pub(super) message_seq: i64,
    pub(super) change: MessageWord,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) enum MessageWord {
    Edited,
    Deleted,
    Reacted {
        message: ObjectId,
        emoji: Emoji,
        change: Change,
    },
}

impl MessageWord {
    /// As the domain has it, of a message with this number.
    pub(in super::super) fn reaction(&self, message_seq: Seq) -> Option<Reaction> {
        match self {
            MessageWord::Edited | MessageWord::Deleted => None,
            MessageWord::Reacted {
                message,
                emoji,
                change,
            } => Some(Reaction {
                message: EntryId::from_oid(*message),
                message_seq,
                emoji: emoji.clone(),
                change: *change,
            }),
        }
    }
}

impl From<&Projection> for Steps {
    fn from(projection: &Projection) -> Steps {
        Steps {
            to: long(projection.to.0),
            settings: projection.settings.as_ref().map(Settings::of),
            members: projection.members.iter().map(MemberRow::of).collect(),
            messages: projection.messages.iter().map(message_row).collect(),
            replies: replies(&projection.replies),
            pointers: pointers(&projection.pointers),
        }
    }
}

fn replies(replies: &[Reply]) -> Vec<(ObjectId, i64)> {
    replies
        .iter()
        .map(|reply| (reply.to.oid(), long(reply.seq.0)))
        .collect()
}

fn pointers(pointers: &BTreeMap<UserId, (Seq, u32)>) -> Vec<(ObjectId, i64, i64)> {
    pointers
        .iter()
        .map(|(user, (seq, ordinal))| (user.oid(), long(seq.0), long(*ordinal)))
        .collect()
}

fn message_row(step: &MessageStep) -> MessageRow {
    MessageRow {
        seq: long(step.seq.0),
        by: step.by.oid(),
        at: stamp(step.at),
        message_seq: long(step.message_seq.0),
        change: match &step.change {
            MessageChange::Edited(_) => MessageWord::Edited,
            MessageChange::Deleted => MessageWord::Deleted,
            MessageChange::Reacted(reaction) => MessageWord::Reacted {
                message: step.message.oid(),
                emoji: reaction.emoji.clone(),
                change: reaction.change,
            },
        },
    }
}

impl MemberRow {
    fn of(step: &MemberStep) -> MemberRow {
        let (change, user, role) = match step.change {
            MemberChange::Joined(user, role) => (MemberWord::Joined, user, Some(role)),
            MemberChange::Left(user) => (MemberWord::Left, user, None),
            MemberChange::Role(user, role) => (MemberWord::Role, user, Some(role)),
            MemberChange::Banned(user) => (MemberWord::Banned, user, None),
            MemberChange::Unbanned(user) => (MemberWord::Unbanned, user, None),
        };
        MemberRow {
            seq: long(step.seq.0),
            ordinal: long(step.ordinal),
            user: user.oid(),
            change,
            role,
        }
    }

    fn step(&self) -> Result<MemberStep, StoreError> {
        let user = UserId::from_oid(self.user);
        let role = self.role.unwrap_or(Role::Member);
        Ok(MemberStep {
            seq: seq(self.seq)?,
            ordinal: number(self.ordinal)?,
            change: match self.change {
                MemberWord::Joined => MemberChange::Joined(user, role),
                MemberWord::Left => MemberChange::Left(user),
                MemberWord::Role => MemberChange::Role(user, role),
                MemberWord::Banned => MemberChange::Banned(user),
                MemberWord::Unbanned => MemberChange::Unbanned(user),
            },
        })
    }
}

impl Settings {
    fn of(conversation: &Conversation) -> Settings {
        Settings {
            name: match &conversation.kind {
                Kind::Direct | Kind::Group => None,
                Kind::Room(name) => Some(name.clone()),
            },
            title: conversation.title.clone(),
            description: conversation.description.clone(),
            visibility: conversation.visibility,
            history: conversation.history,
            archived: conversation.archived,
        }
    }
}

impl Steps {
    pub(super) fn members(&self) -> Result<Vec<MemberStep>, StoreError> {
        self.members.iter().map(MemberRow::step).collect()
    }

    /// What `conversation` is called and so on from now on.
    pub(super) fn settings(&self, conversation: Conversation) -> Option<Conversation> {
        let settings = self.settings.clone()?;
        Some(Conversation {
            kind: match (settings.name, conversation.kind) {
                (Some(name), Kind::Room(_)) => Kind::Room(name),
                (_, kind) => kind,
            },
            title: settings.title,
            description: settings.description,
            visibility: settings.visibility,
            history: settings.history,
            archived: settings.archived,
            ..conversation
        })
    }
}

/// The steps on messages as they are applied, with their numbers.
pub(in super::super) struct MessageAt<'a> {
    pub(in super::super) seq: Seq,
    pub(in super::super) by: UserId,
    pub(in super::super) at: chatterbox_core::clock::Timestamp,
    pub(in super::super) message_seq: Seq,
    pub(in super::super) change: &'a MessageWord,
}

impl MessageRow {
    pub(in super::super) fn read(&self) -> Result<MessageAt<'_>, StoreError> {
        Ok(MessageAt {
            seq: seq(self.seq)?,
            by: UserId::from_oid(self.by),
            at: time(self.at),
            message_seq: seq(self.message_seq)?,
            change: &self.change,
        })
    }
}
