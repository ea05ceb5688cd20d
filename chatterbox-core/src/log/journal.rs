//! What has just happened to subscriptions, for those who were reading rows meanwhile.
//!
//! Whoever subscribes somebody reads first who is a member of what, and that takes time. What crosses with it stands
//! here: ends of memberships that were delivered, and announcements that nobody watched. The journal forgets the
//! oldest; who was slower than that reads again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::{ConversationId, UserId};

/// Notes kept.
const NOTES_MAX: usize = 1024;

#[derive(Default)]
pub(super) struct Journal {
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// Number of the note that comes next.
    next: u64,
    recent: VecDeque<Note>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Note {
    /// A membership has ended.
    Out(ConversationId, UserId),
    /// Entries were announced that nobody watched on this node.
    Unheard(ConversationId),
}

/// A place in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

/// What the journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// Nothing of the kind.
    No,
    /// It happened.
    Yes,
    /// Too much has happened to tell.
    Unknown,
}

impl Journal {
    pub(super) fn mark(&self) -> Mark {
        Mark(self.lock().next)
    }

    pub(super) fn note_out(&self, conversation: ConversationId, user: UserId) {
        self.note(Note::Out(conversation, user));
    }

    pub(super) fn note_unheard(&self, conversation: ConversationId) {
        self.note(Note::Unheard(conversation));
    }

    /// Whether the membership has ended since.
    pub(super) fn is_out(&self, mark: Mark, conversation: ConversationId, user: UserId) -> Since {
        self.since(mark, Note::Out(conversation, user))
    }

    /// Whether something was announced since that nobody watched.
    pub(super) fn was_unheard(&self, mark: Mark, conversation: ConversationId) -> Since {
        self.since(mark, Note::Unheard(conversation))
    }

    fn note(&self, note: Note) {
        let mut notes = self.lock();
        if notes.recent.len() >= NOTES_MAX {
            notes.recent.pop_front();
        }
        notes.recent.push_back(note);
        notes.next += 1;
    }

    fn since(&self, Mark(mark): Mark, note: Note) -> Since {
        let notes = self.lock();
        let missed = usize::try_from(notes.next - mark).unwrap_or(usize::MAX);
        if missed == 0 {
            Since::No
        } else if missed > notes.recent.len() {
            Since::Unknown
        } else if notes.recent.iter().rev().take(missed).any(|other| *other == note) {
            Since::Yes
        } else {
            Since::No
        }
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::SeededIds;

    #[test]
    fn what_happened_since_a_mark_is_told_and_too_much_is_said_to_be_too_much() {
        let ids = SeededIds::new(1);
        let (tea, user) = (ConversationId::new(&ids), UserId::new(&ids));
        let journal = Journal::default();
        journal.note_out(tea, user);
        let mark = journal.mark();
        assert_eq!(journal.is_out(mark, tea, user), Since::No, "it was before");
        journal.note_unheard(tea);
        assert_eq!(journal.was_unheard(mark, tea), Since::Yes);
        assert_eq!(journal.is_out(mark, tea, user), Since::No);
        journal.note_out(tea, user);
        assert_eq!(journal.is_out(mark, tea, user), Since::Yes);
        for _ in 0..NOTES_MAX {
            journal.note_unheard(ConversationId::new(&ids));
        }
        assert_eq!(journal.is_out(mark, tea, user), Since::Unknown);
        assert_eq!(journal.is_out(journal.mark(), tea, user), Since::No);
    }
}
