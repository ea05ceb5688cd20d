use std::collections::HashMap;

use chatterbox_core::ids::ConversationId;
use chatterbox_core::ports::storage::{Head, StoreError};
use rusqlite::Connection;

use super::super::error::store_error;
use super::journal::Journal;
use super::rows;

/// Conversations whose heads the writer remembers (about 6 MiB).
const HEADS_MAX: usize = 1 << 16;

/// What the writer remembers of the logs it has appended to.
///
/// It may, because nobody else can append: this thread has the only connection that writes, the lock on the data
/// directory keeps other processes away, and a transaction that fails makes it forget everything.
#[derive(Default)]
pub(in super::super) struct Heads(HashMap<ConversationId, Log>);

#[derive(Clone, Copy)]
pub(super) struct Log {
    /// `None` before the first entry.
    pub(super) number: Option<u32>,
    pub(super) head: Head,
}

impl Heads {
    /// Forgets everything: the next append reads.
    pub(in super::super) fn forget(&mut self) {
        self.0.clear();
    }

    pub(super) fn of(
        &mut self,
        connection: &Connection,
        journal: &Journal,
        conversation: ConversationId,
    ) -> Result<Log, StoreError> {
        if let Some(log) = self.0.get(&conversation) {
            return Ok(*log);
        }
        let number = rows::number(connection, conversation).map_err(store_error)?;
        let unsettled = journal.unsettled().running(|view| view.head(conversation));
        let head = match (unsettled, number) {
            (Some(head), _) => head,
            (None, Some(number)) => rows::head(connection, number)?,
            (None, None) => Head::EMPTY,
        };
        let log = Log { number, head };
        self.remember(conversation, log);
        Ok(log)
    }

    pub(super) fn remember(&mut self, conversation: ConversationId, log: Log) {
        if self.0.len() >= HEADS_MAX {
            self.forget();
        }
        self.0.insert(conversation, log);
    }
}
