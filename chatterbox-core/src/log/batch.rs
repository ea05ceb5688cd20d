//! One batch on its way into the log: decide, append, project, announce, answer, in as many steps as it takes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::announce::Announcer;
use super::sequencer::{Posted, Proposal};
use super::state::State;
use crate::clock::Clock;
use crate::domain::entry::{Entry, EntryKind, Seq};
use crate::error::Error;
use crate::ids::{ConversationId, EntryId};
use crate::ports::storage::{Appended, Head, NewEntry, StoreError, Stores};

/// Most entries appended in one step; a single proposal has no more.
pub(super) const BATCH_MAX: usize = 256;
/// How often an append is tried whose store does not answer, and the pause before each further try.
const ATTEMPTS: u32 = 4;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A proposal and where its answer goes. Whoever asked may be gone: answering nobody is fine.
pub(super) struct Pending {
    pub(super) proposal: Proposal,
    pub(super) answer: oneshot::Sender<Result<Posted, Error>>,
}

impl Pending {
    fn answer(self, posted: Posted) {
        let _ = self.answer.send(Ok(posted));
    }
}

pub(super) struct Appender {
    pub(super) stores: Stores,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) announcer: Announcer,
}

/// The entries of the first proposals of a batch: `counts[i]` belong to the i-th.
#[derive(Default)]
struct Plan {
    entries: Vec<NewEntry>,
    counts: Vec<usize>,
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
            let targets = batch.iter().filter_map(|one| one.proposal.target).collect();
            self.read_targets(&mut state, targets).await?;
            let Plan { entries, counts } = self.decide(&state, batch);
            if entries.is_empty() {
                return self.settle(state, batch).await;
            }
            match self
                .stores
                .log
                .append(conversation, state.head.seq, entries)
                .await
            {
                Ok(Appended::At(entries)) => {
                    state.apply_all(&entries);
                    self.project_if_needed(&mut state).await;
                    self.announcer.announce(state.conversation(), &entries).await;
                    answer_appended(batch, &counts, entries);
                }
                Ok(Appended::Duplicate(entry)) => self.answer_duplicate(&state, batch, entry).await?,
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
        }
    }

    /// Lets every proposal find the message that it is about in the state.
    async fn read_targets(&self, state: &mut State, targets: SmallVec<[EntryId; 4]>) -> Result<(), Error> {
        if targets.is_empty() {
            return Ok(());
        }
        // What became of a message is read from rows, which must not lag behind.
        if state.should_project() {
            state.project(&self.stores).await?;
        }
        for target in targets {
            state.read_message(&self.stores, target).await?;
        }
        Ok(())
    }

    /// Asks each proposal for its entries and answers those that have none; afterwards the entries belong to the
    /// first proposals of the batch. Ends behind an entry that governs, and before a second one about the same message:
    /// what follows is decided on the state behind it.
    fn decide(&self, state: &State, batch: &mut VecDeque<Pending>) -> Plan {
        let mut plan = Plan::default();
        let mut targets: SmallVec<[EntryId; 4]> = SmallVec::new();
        let mut rest = std::mem::take(batch);
        let mut settling = Vec::new();
        while let Some(pending) = rest.pop_front() {
            let proposal = &pending.proposal;
            if proposal.target.is_some_and(|target| targets.contains(&target)) {
                rest.push_front(pending);
                break;
            }
            let kinds = match (proposal.decide)(state) {
                Ok(kinds) => kinds,
                Err(error) => {
                    let _ = pending.answer.send(Err(error));
                    continue;
                }
            };
            if kinds.is_empty() {
                if proposal.settle {
                    settling.push(pending);
                } else {
                    pending.answer(Posted::New(SmallVec::new()));
                }
                continue;
            }
            if plan.entries.len() + kinds.len() > BATCH_MAX {
                rest.push_front(pending);
                break;
            }
            targets.extend(proposal.target);
            let governs = kinds.iter().any(EntryKind::governs);
            let mut key = proposal.client_message_id.clone();
            plan.counts.push(kinds.len());
            plan.entries
                .extend(proposal.ids.iter().zip(kinds).map(|(id, kind)| NewEntry {
                    id: *id,
                    sender: proposal.sender,
                    client_message_id: key.take(),
                    created_at: self.clock.now(),
                    kind,
                }));
            batch.push_back(pending);
            if governs {
                break;
            }
        }
        batch.append(&mut rest);
        batch.extend(settling);
        plan
    }

    /// The first proposal's entry is in the log already: by an earlier try of ours whose answer was lost, or because
    /// its sender had used its key before.
    async fn answer_duplicate(
        &self,
        state: &State,
        batch: &mut VecDeque<Pending>,
        entry: Entry,
    ) -> Result<(), StoreError> {
        let Some(pending) = batch.pop_front() else {
            return Ok(());
        };
        let ids = &pending.proposal.ids;
        if ids.first() != Some(&entry.id) {
            pending.answer(Posted::Duplicate(entry));
            return Ok(());
        }
        // All of its entries came into the log together, or the first few of them.
        let mut ours = SmallVec::new();
        if ids.len() > 1 {
            let last = u32::try_from(ids.len() - 1).unwrap_or(u32::MAX);
            let seqs: Vec<Seq> = (entry.seq.0..=entry.seq.0.saturating_add(last))
                .map(Seq)
                .collect();
            let found = self.stores.log.read_at(entry.conversation, &seqs).await?;
            ours.extend(found.into_iter().filter(|one| ids.contains(&one.id)));
        } else {
            ours.push(entry);
        }
        // Nobody has announced them yet.
        self.announcer.announce(state.conversation(), &ours).await;
        pending.answer(Posted::New(ours));
        Ok(())
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

    /// Before anybody hears of the entries, so that who hears of a change finds it. A failure is repaired by whoever
    /// uses the conversation next.
    async fn project_if_needed(&self, state: &mut State) {
        if state.should_project()
            && let Err(error) = state.project(&self.stores).await
        {
            let id = state.conversation().id;
            tracing::warn!(conversation.id = %id, error = &error as &dyn std::error::Error,
                "the rows of conversation {id} could not be brought up to date; they are repaired at its next use");
        }
    }

    /// The end of a batch: nothing is left in it but proposals that only wait for the stored rows.
    async fn settle(&self, mut state: State, batch: &mut VecDeque<Pending>) -> Result<State, Error> {
        if !batch.is_empty() {
            state.project(&self.stores).await?;
        }
        for pending in batch.drain(..) {
            pending.answer(Posted::New(SmallVec::new()));
        }
        Ok(state)
    }
}

/// Answers the proposals whose entries are in the log.
fn answer_appended(batch: &mut VecDeque<Pending>, counts: &[usize], entries: Vec<Entry>) {
    let mut left = entries.len();
    let mut entries = entries.into_iter();
    for count in counts {
        if left < *count {
            return;
        }
        left -= count;
        if let Some(pending) = batch.pop_front() {
            pending.answer(Posted::New(entries.by_ref().take(*count).collect()));
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
