//! A message as it stands now: the entry, and what later entries have made of it.

use super::change::{Change, Reaction};
use super::emoji::Emoji;
use super::entry::{Entry, EntryKind};
use super::limits::{EMOJI_PER_MESSAGE_MAX, REACTIONS_PER_MESSAGE_MAX};
use crate::clock::Timestamp;
use crate::ids::UserId;

/// An entry that history shows, with its newest text and its reactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentMessage {
    /// As it was written, or redacted.
    pub entry: Entry,
    /// What became of it.
    pub state: MessageState,
}

/// What later entries have made of a message. Most messages have none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageState {
    /// The last edit.
    pub edited: Option<Edited>,
    /// In the order of the first reaction with each emoji.
    pub reactions: Reactions,
}

/// The newest text of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The text.
    pub content: String,
    /// Users addressed.
    pub mentions: Vec<UserId>,
    /// When.
    pub at: Timestamp,
}

/// Who has reacted to a message, with what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reactions(pub Vec<Reacted>);

/// One emoji and who chose it, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reacted {
    /// Which.
    pub emoji: Emoji,
    /// Never empty.
    pub users: Vec<UserId>,
}

/// Why a reaction can't be put on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooManyReactions {
    /// Over [`EMOJI_PER_MESSAGE_MAX`].
    #[error("a message takes at most 20 different emoji")]
    Emoji,
    /// Over [`REACTIONS_PER_MESSAGE_MAX`].
    #[error("a message takes at most 500 reactions")]
    Reactions,
}

impl CurrentMessage {
    /// When it was deleted.
    pub fn deleted_at(&self) -> Option<Timestamp> {
        match &self.entry.kind {
            EntryKind::Message(body) => body.redacted_at,
            _ => None,
        }
    }

    /// Takes in a later entry of its conversation; one about another message changes nothing.
    pub fn apply(&mut self, entry: &Entry) {
        if entry.kind.target().is_none_or(|(id, _)| id != self.entry.id) {
            return;
        }
        match &entry.kind {
            EntryKind::Edit(edit) if self.deleted_at().is_none() => {
                self.state.edited = Some(Edited {
                    content: edit.content.clone(),
                    mentions: edit.mentions.clone(),
                    at: entry.created_at,
                });
            }
            EntryKind::Delete(_) => {
                redact(&mut self.entry.kind, entry.created_at);
                self.state = MessageState::default();
            }
            EntryKind::Reaction(reaction) if self.deleted_at().is_none() => {
                self.state.reactions.apply(entry.sender, reaction);
            }
            _ => {}
        }
    }
}

impl Reactions {
    /// Whether the user has chosen this emoji.
    pub fn has(&self, user: UserId, emoji: &Emoji) -> bool {
        self.0
            .iter()
            .any(|one| one.emoji == *emoji && one.users.contains(&user))
    }

    /// Whether one more fits.
    pub fn has_room_for(&self, emoji: &Emoji) -> Result<(), TooManyReactions> {
        if self.0.len() >= EMOJI_PER_MESSAGE_MAX && self.0.iter().all(|one| one.emoji != *emoji) {
            return Err(TooManyReactions::Emoji);
        }
        let all: usize = self.0.iter().map(|one| one.users.len()).sum();
        if all >= REACTIONS_PER_MESSAGE_MAX {
            return Err(TooManyReactions::Reactions);
        }
        Ok(())
    }

    /// Puts it on or takes it off; twice is once.
    pub fn apply(&mut self, user: UserId, reaction: &Reaction) {
        let place = self.0.iter().position(|one| one.emoji == reaction.emoji);
        match (reaction.change, place) {
            (Change::Added, Some(place)) => {
                if !self.0[place].users.contains(&user) {
                    self.0[place].users.push(user);
                }
            }
            (Change::Added, None) => self.0.push(Reacted {
                emoji: reaction.emoji.clone(),
                users: vec![user],
            }),
            (Change::Removed, Some(place)) => {
                self.0[place].users.retain(|one| *one != user);
                if self.0[place].users.is_empty() {
                    self.0.remove(place);
                }
            }
            (Change::Removed, None) => {}
        }
    }
}

/// Takes the content of a message, or of an edit of one, out of its entry: the only change an entry ever sees
/// (S-131). The number, the author and the time stay.
pub fn redact(kind: &mut EntryKind, at: Timestamp) {
    match kind {
        EntryKind::Message(body) => {
            body.content.clear();
            body.mentions.clear();
            body.redacted_at.get_or_insert(at);
        }
        EntryKind::Edit(edit) => {
            edit.content.clear();
            edit.mentions.clear();
            edit.redacted_at.get_or_insert(at);
        }
        EntryKind::Delete(_)
        | EntryKind::Reaction(_)
        | EntryKind::Join(_)
        | EntryKind::Leave(_)
        | EntryKind::Role(_)
        | EntryKind::Ban(_)
        | EntryKind::Settings(_) => {}
    }
}
