use std::collections::HashMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::app::App;
use crate::domain::conversation::Conversation;
use crate::domain::current::MessageState;
use crate::domain::entry::{Entry, Seq};
use crate::ports::storage::StoreError;
use crate::views::{MessageView, People};

/// One message, as it stands now.
#[derive(Debug, Clone)]
pub struct MessageFound(pub(super) Found);

/// Entries of one conversation that history shows, and what their views are made from.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) conversation: Conversation,
    pub(super) entries: Vec<Entry>,
    states: HashMap<Seq, MessageState>,
    people: People,
}

impl Found {
    /// Looks up what became of the entries, and whom they name.
    pub(super) async fn of(
        app: &App,
        conversation: Conversation,
        entries: Vec<Entry>,
    ) -> Result<Found, StoreError> {
        let people = People::of(&app.names, &entries).await?;
        let seqs: Vec<Seq> = entries.iter().map(|entry| entry.seq).collect();
        let states = if seqs.is_empty() {
            Vec::new()
        } else {
            app.stores.messages.states(conversation.id, &seqs).await?
        };
        Ok(Found {
            conversation,
            entries,
            states: states.into_iter().collect(),
            people,
        })
    }

    /// As clients see one of the entries.
    pub(super) fn view<'a>(&'a self, entry: &'a Entry) -> Option<MessageView<'a>> {
        let state = self.states.get(&entry.seq);
        MessageView::new(entry, state, &self.conversation, &self.people)
    }
}

impl MessageFound {
    /// As clients see it.
    pub fn view(&self) -> Option<MessageView<'_>> {
        self.0.entries.first().and_then(|entry| self.0.view(entry))
    }
}

impl Serialize for MessageFound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.view().serialize(serializer)
    }
}

/// A page of messages in order of seq.
#[derive(Debug, Clone)]
pub struct MessagePage {
    pub(super) found: Found,
    /// The limit that was used.
    pub limit: usize,
    /// Whether there are entries below the first.
    pub has_more_before: bool,
    /// Whether there are entries above the last.
    pub has_more_after: bool,
}

impl MessagePage {
    /// The messages as clients see them.
    pub fn items(&self) -> impl Iterator<Item = MessageView<'_>> {
        let entries = self.found.entries.iter();
        entries.filter_map(|entry| self.found.view(entry))
    }

    /// The number of the first.
    pub fn first(&self) -> Option<Seq> {
        self.found.entries.first().map(|entry| entry.seq)
    }

    /// The number of the last.
    pub fn last(&self) -> Option<Seq> {
        self.found.entries.last().map(|entry| entry.seq)
    }
}

impl Serialize for MessagePage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("items", &self.items().collect::<Vec<_>>())?;
        map.serialize_entry("limit", &self.limit)?;
        map.serialize_entry("hasMoreBefore", &self.has_more_before)?;
        map.serialize_entry("hasMoreAfter", &self.has_more_after)?;
        map.end()
    }
}
