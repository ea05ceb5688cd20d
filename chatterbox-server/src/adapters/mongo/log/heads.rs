use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chatterbox_core::ids::ConversationId;
use chatterbox_core::ports::storage::Head;

/// Conversations whose heads are remembered (about 6 MiB).
const HEADS_MAX: usize = 1 << 16;

/// Heads of logs of which a majority knows. Entries never change but by redaction, which leaves alone what a head is
/// made of: so a head that is remembered may be overtaken, but never wrong.
#[derive(Clone, Default)]
pub(in super::super) struct Heads(Arc<Mutex<HashMap<ConversationId, Head>>>);

impl Heads {
    fn lock(&self) -> MutexGuard<'_, HashMap<ConversationId, Head>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, conversation: ConversationId) -> Option<Head> {
        self.lock().get(&conversation).copied()
    }

    /// Remembers a head that is durable; an older one than is known already is forgotten.
    pub(super) fn remember(&self, conversation: ConversationId, head: Head) {
        let mut heads = self.lock();
        if heads.len() >= HEADS_MAX && !heads.contains_key(&conversation) {
            // What is needed again is read again.
            heads.clear();
        }
        let known = heads.entry(conversation).or_insert(head);
        if known.seq < head.seq {
            *known = head;
        }
    }
}
