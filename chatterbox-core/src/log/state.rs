use crate::domain::conversation::Conversation;
use crate::domain::entry::{Entry, EntryKind, SettingsChange};
use crate::error::Error;
use crate::ids::ConversationId;
use crate::ports::storage::{Head, StoreError, Stores};

/// Entries read at a time when settings are brought up to date.
const READ_AT_ONCE: usize = 1000;

/// A conversation as it stands at an entry of its log: what decisions are made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Settings as of `head`.
    pub conversation: Conversation,
    /// The last entry taken in.
    pub head: Head,
}

impl State {
    /// The state at the end of the log. Stored settings that lag behind the log are brought up to date by it, and
    /// repaired in the store.
    pub(super) async fn load(stores: &Stores, id: ConversationId) -> Result<State, Error> {
        let conversation = stores
            .conversations
            .get(id)
            .await?
            .ok_or(Error::NotFound("conversation"))?;
        // Read behind the settings: a head that is newer than they are shows it by its `gov`.
        let head = stores.log.head(id).await?;
        if head.gov <= conversation.settings_seq {
            return Ok(State { conversation, head });
        }
        let mut state = State {
            head: Head {
                seq: conversation.settings_seq,
                ..head
            },
            conversation,
        };
        while state.head.seq < head.seq {
            let entries = stores.log.read_after(id, state.head.seq, READ_AT_ONCE).await?;
            if entries.is_empty() {
                return Err(StoreError::Corrupt(format!("log of {id} ends before its head")).into());
            }
            state.apply_all(&entries);
        }
        state.project(stores).await?;
        Ok(state)
    }

    /// Takes in the entries behind the head.
    pub(super) fn apply_all(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.apply(entry);
        }
    }

    fn apply(&mut self, entry: &Entry) {
        self.head = Head {
            seq: entry.seq,
            ordinal: entry.ordinal,
            gov: entry.gov,
            created_at: entry.created_at,
        };
        match &entry.kind {
            EntryKind::Message(_) => {}
            EntryKind::Settings(SettingsChange {
                description,
                archived,
            }) => {
                if let Some(text) = description {
                    self.conversation.description = Some(text.clone()).filter(|text| !text.is_empty());
                }
                if let Some(archived) = archived {
                    self.conversation.archived = *archived;
                }
                self.conversation.settings_seq = entry.seq;
            }
        }
    }

    /// Writes the settings where lists and look-ups read them.
    pub(super) async fn project(&self, stores: &Stores) -> Result<(), StoreError> {
        stores
            .conversations
            .apply_settings(&self.conversation, self.conversation.settings_seq.0)
            .await
    }
}
