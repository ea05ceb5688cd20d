//! Joins of a room that come at once become one intent.
//!
//! What is done with a conversation is done one after another, three writes each that wait for a majority. When a thousand
//! people come into a room, those who wait for their turn are taken along by whoever has it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{Head, StoreError};
use mongodb::bson::doc;
use tokio::sync::oneshot;

use super::begin::Begun;
use super::intent::Work;
use super::{MongoConversations, missing};
use crate::adapters::mongo::error::unsettled;
use crate::adapters::mongo::ids::Id as _;

/// Joins in one intent.
const AT_ONCE: usize = 256;

/// What became of a wish to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CameIn {
    /// They are in; whether by this call.
    Yes { first: bool },
    /// They are not: banned meanwhile, or gone again with the place by another call of theirs.
    No,
}

/// Somebody with a place who wants to come in.
struct Wish {
    user: UserId,
    head: Head,
    answer: oneshot::Sender<CameIn>,
}

/// Those who wait, by room.
#[derive(Clone, Default)]
pub(in super::super) struct Joins(Arc<Mutex<HashMap<ConversationId, Vec<Wish>>>>);

impl Joins {
    fn lock(&self) -> MutexGuard<'_, HashMap<ConversationId, Vec<Wish>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, room: ConversationId, user: UserId, head: Head) -> oneshot::Receiver<CameIn> {
        let (answer, came_in) = oneshot::channel();
        self.lock()
            .entry(room)
            .or_default()
            .push(Wish { user, head, answer });
        came_in
    }

    /// Those who came first, without those who have given up.
    fn take(&self, room: ConversationId) -> Vec<Wish> {
        let mut all = self.lock();
        let Some(waiting) = all.get_mut(&room) else {
            return Vec::new();
        };
        waiting.retain(|wish| !wish.answer.is_closed());
        let taken = waiting.drain(..waiting.len().min(AT_ONCE)).collect();
        if waiting.is_empty() {
            all.remove(&room);
        }
        taken
    }
}

impl MongoConversations {
    /// Brings a user in who has a place, with others who wait for the same.
    pub(super) async fn come_in(
        &self,
        room: ConversationId,
        user: UserId,
        head: Head,
    ) -> Result<CameIn, StoreError> {
        let mut mine = self.shared.joins.wait(room, user, head);
        let _turn = tokio::select! {
            biased;
            // Who took this one along has failed, or was dropped.
            answer = &mut mine => return answer.map_err(|_| unsettled()),
            turn = self.turn(room) => turn?,
        };
        loop {
            if let Ok(answer) = mine.try_recv() {
                return Ok(answer);
            }
            let wishes = self.shared.joins.take(room);
            if wishes.is_empty() {
                return Err(unsettled());
            }
            self.bring_in(room, wishes).await?;
        }
    }

    async fn bring_in(&self, room: ConversationId, wishes: Vec<Wish>) -> Result<(), StoreError> {
        let work = Work::join(wishes.iter().map(|wish| (wish.user, wish.head)));
        let Begun::Done { rev, touched } = self.begin_in_turn(room, &doc! {}, &work).await? else {
            return Err(missing(room));
        };
        let mut told = HashSet::new();
        for wish in wishes {
            let row = touched
                .iter()
                .find(|row| row.user == wish.user.oid() && row.is_in);
            let came_in = match row {
                // Of two calls of one user, one is the first.
                Some(row) => CameIn::Yes {
                    first: row.rev == rev && told.insert(wish.user),
                },
                None => CameIn::No,
            };
            // Whoever asked may be gone.
            let _ = wish.answer.send(came_in);
        }
        Ok(())
    }
}
