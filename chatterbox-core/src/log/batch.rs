//! One batch on its way into the log: decide, append, announce, answer, in as many steps as it takes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::announce::Announcer;
use super::sequencer::{Posted, Proposal};
use super::state::State;
use crate::clock::Clock;
use crate::domain::entry::Entry;
use crate::error::Error;
use crate::ids::ConversationId;
use crate::ports::storage::{Appended, Head, NewEntry, StoreError, Stores};

/// How often an append is tried whose store does not answer, and the pause before each further try.
const ATTEMPTS: u32 = 4;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A proposal and where its answer goes. Whoever asked may be gone: answering nobody is fine.
pub(super) struct Pending {
    pub(super) proposal: Proposal,
    pub(super) answer: oneshot::Sender<Result<Posted, Error>>,
}

pub(super) struct Appender {
    pub(super) stores: Stores,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) announcer: Announcer,
}

impl Appender {
    /// Appends a batch and answers all of it. `state` is the state at the head as far as this node knows; so is the
    /// result, `None` when it doesn't.
    pub(super) async fn append(
        &self,
        conversation: ConversationId,
        state: Option<State>,
        mut batch: VecDeque<Pending>,
    ) -> Option<State> {
        match self.try_append(conversation, state, &mut batch).await {
            Ok(state) => Some(state),
            Err(error) => {
                if error.is_fault() {
                    tracing::error!(
                        conversation.id = %conversation, error = &error as &dyn std::error::Error,
                        "could not append to conversation {conversation}; its senders are told to try again"
                    );
                }
                refuse(batch, &error);
                None
            }
        }
    }

    async fn try_append(
        &self,
        conversation: ConversationId,
        state: Option<State>,
        batch: &mut VecDeque<Pending>,
    ) -> Result<State, Error> {
        let mut state = match state {
            Some(state) => state,
            None => State::load(&self.stores, conversation).await?,
        };
        let mut attempt = 1;
        loop {
            let entries = self.decide(&state, batch);
            if entries.is_empty() {
                return Ok(state);
            }
            let settings_before = state.conversation.settings_seq;
            match self
                .stores
                .log
                .append(conversation, state.head.seq, entries)
                .await
            {
                Ok(Appended::At(entries)) => {
                    state.apply_all(&entries);
                    self.announcer.announce(&state.conversation, &entries).await;
                    let answered = batch.drain(..entries.len());
                    for (entry, pending) in entries.into_iter().zip(answered) {
                        let _ = pending.answer.send(Ok(Posted::New(entry)));
                    }
                }
                Ok(Appended::Duplicate(entry)) => self.answer_duplicate(&state, batch, entry).await,
                Ok(Appended::Moved { entries_since, head }) => {
                    state = self.catch_up(conversation, state, &entries_since, head).await?;
                }
                // Whether it happened is unknown; the same ids find out.
                Err(error) if attempt < ATTEMPTS && !matches!(error, StoreError::Full) => {
                    tokio::time::sleep(RETRY_PAUSE * attempt).await;
                    attempt += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            attempt = 1;
            if state.conversation.settings_seq > settings_before {
                self.project(&state).await;
            }
        }
    }

    /// Asks each proposal for its entry and answers those that have none; afterwards the entries belong to the first
    /// proposals of the batch. Ends behind an entry that governs: what follows is decided on the state behind it.
    fn decide(&self, state: &State, batch: &mut VecDeque<Pending>) -> Vec<NewEntry> {
        let mut entries = Vec::with_capacity(batch.len());
        let mut rest = std::mem::take(batch);
        while let Some(pending) = rest.pop_front() {
            match (pending.proposal.decide)(state) {
                Ok(kind) => {
                    let governs = kind.governs();
                    entries.push(NewEntry {
                        id: pending.proposal.id,
                        sender: pending.proposal.sender,
                        client_message_id: pending.proposal.client_message_id.clone(),
                        created_at: self.clock.now(),
                        kind,
                    });
                    batch.push_back(pending);
                    if governs {
                        break;
                    }
                }
                Err(error) => {
                    let _ = pending.answer.send(Err(error));
                }
            }
        }
        batch.append(&mut rest);
        entries
    }

    /// The first proposal's entry is in the log already: by an earlier try of ours whose answer was lost, or because
    /// its sender had used its key before.
    async fn answer_duplicate(&self, state: &State, batch: &mut VecDeque<Pending>, entry: Entry) {
        let Some(pending) = batch.pop_front() else { return };
        let posted = if entry.id == pending.proposal.id {
            // Nobody has announced it yet.
            self.announcer
                .announce(&state.conversation, std::slice::from_ref(&entry))
                .await;
            Posted::New(entry)
        } else {
            Posted::Duplicate(entry)
        };
        let _ = pending.answer.send(Ok(posted));
    }

    async fn catch_up(
        &self,
        conversation: ConversationId,
        mut state: State,
        entries_since: &[Entry],
        head: Head,
    ) -> Result<State, Error> {
        state.apply_all(entries_since);
        if state.head.seq == head.seq {
            Ok(state)
        } else {
            State::load(&self.stores, conversation).await
        }
    }

    /// A failure is repaired by whoever loads the conversation next.
    async fn project(&self, state: &State) {
        if let Err(error) = state.project(&self.stores).await {
            let id = state.conversation.id;
            tracing::warn!(conversation.id = %id, error = &error as &dyn std::error::Error,
                "settings of conversation {id} could not be written; they are repaired at its next use");
        }
    }
}

fn refuse(batch: VecDeque<Pending>, error: &Error) {
    for pending in batch {
        let answer = match error {
            Error::NotFound(what) => Error::NotFound(what),
            _ => Error::Unavailable(None),
        };
        let _ = pending.answer.send(Err(answer));
    }
}
