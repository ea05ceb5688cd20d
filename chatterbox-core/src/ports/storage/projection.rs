use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::domain::change::{Delete, Edit, Reaction};
use crate::domain::conversation::Conversation;
use crate::domain::entry::{Entry, EntryKind, Seq};
use crate::domain::standing::MemberChange;
use crate::ids::{EntryId, UserId};

/// What the entries above `from`, up to and with `to`, mean for the rows beside the log: settings, members, the
/// current text of messages, read pointers. Computed from the entries alone, so that everyone makes the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// The entry at which the stored rows must stand for this to follow.
    pub from: Seq,
    /// The entry at which they stand afterwards.
    pub to: Seq,
    /// Settings as of `to`, if they have changed.
    pub settings: Option<Conversation>,
    /// Changes of members, in order.
    pub members: Vec<MemberStep>,
    /// Changes of messages, in order.
    pub messages: Vec<MessageStep>,
    /// Answers to messages.
    pub replies: Vec<Reply>,
    /// Where those who wrote have read up to: their own last message. Sending moves the sender's pointer (SPEC.md
    /// section 1, Unread).
    pub pointers: BTreeMap<UserId, (Seq, u32)>,
}

/// A change of a member, and the entry that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberStep {
    /// The entry.
    pub seq: Seq,
    /// Messages up to it.
    pub ordinal: u32,
    /// What it changed.
    pub change: MemberChange,
}

/// A change of a message, and the entry that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageStep {
    /// The entry.
    pub seq: Seq,
    /// Its sender.
    pub by: UserId,
    /// Its stamp.
    pub at: Timestamp,
    /// The message.
    pub message: EntryId,
    /// The message's number.
    pub message_seq: Seq,
    /// What it changed.
    pub change: MessageChange,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageChange {
    /// It has this text now. Of a deleted message: nothing.
    Edited(Edit),
    /// It and all its edits are redacted ([`crate::domain::current::redact`]), its state and what the search knows of
    /// it forgotten, and it counts as deleted from now on.
    Deleted,
    /// A reaction of `by`. Of a deleted message: nothing.
    Reacted(Reaction),
}

/// An answer to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The message that is answered.
    pub to: EntryId,
    /// The number of the answer.
    pub seq: Seq,
}

/// What became of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projected {
    /// The rows stand at its end.
    Applied,
    /// The rows stand elsewhere than at its beginning: nothing was changed. They stand here.
    StandsAt(Seq),
}

impl Projection {
    /// Of no entry.
    pub fn at(seq: Seq) -> Projection {
        Projection {
            from: seq,
            to: seq,
            settings: None,
            members: Vec::new(),
            messages: Vec::new(),
            replies: Vec::new(),
            pointers: BTreeMap::new(),
        }
    }

    /// Takes in the next entry, which left the settings at `conversation` and changed `members`.
    pub fn add(&mut self, entry: &Entry, conversation: &Conversation, members: Vec<MemberChange>) {
        self.to = entry.seq;
        let step = |change| MemberStep {
            seq: entry.seq,
            ordinal: entry.ordinal,
            change,
        };
        self.members.extend(members.into_iter().map(step));
        let mut message = |message: EntryId, message_seq: Seq, change: MessageChange| {
            self.messages.push(MessageStep {
                seq: entry.seq,
                by: entry.sender,
                at: entry.created_at,
                message,
                message_seq,
                change,
            });
        };
        match &entry.kind {
            EntryKind::Message(body) => {
                self.pointers.insert(entry.sender, (entry.seq, entry.ordinal));
                if let Some(to) = body.reply_to {
                    self.replies.push(Reply { to, seq: entry.seq });
                }
            }
            EntryKind::Edit(edit) => message(
                edit.message,
                edit.message_seq,
                MessageChange::Edited(edit.clone()),
            ),
            EntryKind::Delete(Delete {
                message: id,
                message_seq,
                ..
            }) => message(*id, *message_seq, MessageChange::Deleted),
            EntryKind::Reaction(reaction) => message(
                reaction.message,
                reaction.message_seq,
                MessageChange::Reacted(reaction.clone()),
            ),
            EntryKind::Settings(_) => self.settings = Some(conversation.clone()),
            EntryKind::Join(_) | EntryKind::Leave(_) | EntryKind::Role(_) | EntryKind::Ban(_) => {}
        }
    }

    /// Whether something follows from it at all.
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Whether somebody could miss it: everything but the pointers of senders and the index of answers.
    pub fn is_urgent(&self) -> bool {
        !self.members.is_empty() || !self.messages.is_empty() || self.settings.is_some()
    }
}
