//! A conversation as it stands at an entry of its log: what decisions are made on.

use std::collections::HashMap;

use crate::domain::conversation::Conversation;
use crate::domain::current::{CurrentMessage, MessageState};
use crate::domain::entry::Entry;
use crate::domain::standing::Standing;
use crate::error::Error;
use crate::ids::{ConversationId, EntryId};
use crate::ports::storage::{Head, Projected, Projection, StoreError, Stores};

/// Entries read at a time when stored rows are brought up to date.
const READ_AT_ONCE: usize = 1000;
/// Messages kept because somebody is changing them; more are forgotten and read again.
const MESSAGES_KEPT: usize = 64;
/// From so many entries on, the rows are brought up to date while others wait.
const UNPROJECTED_MAX: u32 = 256;

/// A conversation at an entry of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Settings, members and bans as of `head`.
    pub standing: Standing,
    /// The last entry taken in.
    pub head: Head,
    /// Messages that proposals are about, as of `head`.
    messages: HashMap<EntryId, CurrentMessage>,
    /// What the stored rows have still to learn.
    unprojected: Projection,
}

impl State {
    /// The settings.
    pub fn conversation(&self) -> &Conversation {
        &self.standing.conversation
    }

    /// The message that the proposal is about ([`Proposal::target`](super::Proposal)), if the conversation has it.
    pub fn message(&self, id: EntryId) -> Option<&CurrentMessage> {
        self.messages.get(&id)
    }

    /// The state at the end of the log: what the stored rows say, and the entries behind them.
    pub(super) async fn load(stores: &Stores, id: ConversationId) -> Result<State, Error> {
        let (standing, projected) = stores
            .conversations
            .standing(id)
            .await?
            .ok_or(Error::NotFound("conversation"))?;
        // Read behind the rows, so it can't be older than they are.
        let head = stores.log.head(id).await?;
        let mut state = State {
            standing,
            head: Head {
                seq: projected,
                ..head
            },
            messages: HashMap::new(),
            unprojected: Projection::at(projected),
        };
        while state.head.seq < head.seq {
            let entries = stores.log.read_after(id, state.head.seq, READ_AT_ONCE).await?;
            if entries.is_empty() {
                return Err(StoreError::Corrupt(format!("log of {id} ends before its head")).into());
            }
            state.apply_all(&entries);
        }
        Ok(state)
    }

    /// Takes in the entries behind the head.
    pub(super) fn apply_all(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.apply(entry);
        }
    }

    fn apply(&mut self, entry: &Entry) {
        self.head = Head::of(entry);
        let members = self.standing.apply(entry);
        self.unprojected.add(entry, &self.standing.conversation, members);
        if let Some((id, _)) = entry.kind.target()
            && let Some(message) = self.messages.get_mut(&id)
        {
            message.apply(entry);
        }
    }

    /// Reads the message, unless it is there or the conversation has none of that id.
    pub(super) async fn read_message(&mut self, stores: &Stores, id: EntryId) -> Result<(), Error> {
        if self.messages.contains_key(&id) {
            return Ok(());
        }
        if self.messages.len() >= MESSAGES_KEPT {
            self.messages.clear();
        }
        let conversation = self.standing.conversation.id;
        let Some(entry) = stores.log.get(conversation, id).await? else {
            return Ok(());
        };
        // Rows that another node has brought further are no harm: taking in entries twice, in order, is once.
        let states = stores.messages.states(conversation, &[entry.seq]).await?;
        let state = states
            .into_iter()
            .next()
            .map_or_else(MessageState::default, |(_, state)| state);
        self.messages.insert(id, CurrentMessage { entry, state });
        Ok(())
    }

    /// Whether the stored rows lack something that somebody could miss, or lag far behind.
    pub(super) fn should_project(&self) -> bool {
        self.unprojected.is_urgent() || self.unprojected.to.0 - self.unprojected.from.0 >= UNPROJECTED_MAX
    }

    /// Whether the stored rows stand at the head.
    pub(super) fn is_projected(&self) -> bool {
        self.unprojected.is_empty()
    }

    /// Brings the stored rows up to the head. Where they stand elsewhere, by another node's hand, the state is read
    /// anew.
    pub(super) async fn project(&mut self, stores: &Stores) -> Result<(), Error> {
        while !self.unprojected.is_empty() {
            let id = self.standing.conversation.id;
            match stores.conversations.project(id, self.unprojected.clone()).await? {
                Projected::Applied => self.unprojected = Projection::at(self.unprojected.to),
                Projected::StandsAt(_) => *self = State::load(stores, id).await?,
            }
        }
        Ok(())
    }
}
