//! Changes of several rows, all of them or none, without a transaction.
//!
//! ```text
//! 1  conversation { rev: 7 }                   ──▶ { rev: 8, intent: what is to be done }     one document: it happens
//! 2  rows { rev < 8 } ── each by itself ──▶ rows { rev: 8 }                                   by whoever comes by
//! 3  conversation { rev: 8, intent }           ──▶ { rev: 8, counters, projected }            once
//! ```
//!
//! An intent is placed only where none is, so they follow one another, numbered by `rev`. From then on it is going to
//! happen: who placed it carries it out, and if that node dies, whoever needs the conversation next does. A row is
//! written only while it has not seen this intent or a later one, so doing it twice, at once or years late is doing it
//! once. For that a row must not vanish: who leaves a room leaves a row behind for a day, marked `gone`.
//!
//! The counter of members moves in step 3 by what the rows with this very number say (`in` now, and `was` before), so
//! all who carry it out count the same, and one of them writes it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use chatterbox_core::ids::ConversationId;
use chatterbox_core::ports::storage::StoreError;
use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

use super::MongoConversations;
use super::intent::Work;
use super::rows::{ConversationRow, MemberRow, bson};
use crate::adapters::mongo::error::unsettled;
use crate::adapters::mongo::ids::Id as _;

/// How long one waits for one's turn.
const TURN_MAX: Duration = Duration::from_secs(5);
/// After how long it is looked first, and after how long at most, whether what another node has begun is done.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(4), Duration::from_millis(40)];
/// How long a node is left alone with what it has begun, before others carry it out as well.
const LEFT_ALONE: Duration = Duration::from_millis(250);
/// Conversations wait for those of the same number; few enough to be made at once, many enough to seldom meet.
const TURNS: usize = 256;

/// What became of a wish to begin something.
pub(super) enum Begun {
    /// It is done; the number it had, and the members' rows that it was about.
    Done { rev: i64, touched: Vec<MemberRow> },
    /// The conversation is not as it was to be: it stands so.
    Elsewhere(Box<ConversationRow>),
    /// There is no such conversation.
    Nowhere,
}

/// Callers of this node begin one after another, in the order in which they came: only one of them asks the server
/// whether it is its turn.
#[derive(Clone)]
pub(in super::super) struct Turns(Arc<[Mutex<()>]>);

impl Default for Turns {
    fn default() -> Turns {
        Turns((0..TURNS).map(|_| Mutex::default()).collect())
    }
}

impl Turns {
    async fn wait_for(&self, id: ConversationId, end: Instant) -> Result<MutexGuard<'_, ()>, StoreError> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let number = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or(0);
        let turn = timeout_at(end, self.0[number].lock());
        turn.await.map_err(|_| unsettled())
    }
}

/// Waiting for what another node has begun.
pub(super) struct Patience {
    end: Instant,
    pause: Duration,
    /// Which one was seen, and since when.
    seen: Option<(i64, Instant)>,
}

impl Patience {
    pub(super) fn new() -> Patience {
        Patience {
            end: Instant::now() + TURN_MAX,
            pause: LOOK_AGAIN[0],
            seen: None,
        }
    }

    /// Waits a little; whether it is time to help.
    pub(super) async fn wait(&mut self, rev: i64) -> Result<bool, StoreError> {
        let now = Instant::now();
        if now > self.end {
            return Err(unsettled());
        }
        match self.seen {
            Some((seen, since)) if seen == rev => {
                if now - since > LEFT_ALONE {
                    return Ok(true);
                }
            }
            Some(_) | None => {
                self.seen = Some((rev, now));
                self.pause = LOOK_AGAIN[0];
            }
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LOOK_AGAIN[1]);
        Ok(false)
    }
}

impl MongoConversations {
    /// Does `work`, if the conversation is as `guard` wants it, once nothing else is being done with it. Round trips: 2
    /// (place, finish) and those of the rows.
    pub(super) async fn begin(
        &self,
        id: ConversationId,
        guard: &Document,
        work: &Work,
    ) -> Result<Begun, StoreError> {
        let _turn = self.turn(id).await?;
        self.begin_in_turn(id, guard, work).await
    }

    /// Waits until it is the caller's turn to begin something, among those of this node.
    pub(super) async fn turn(&self, id: ConversationId) -> Result<MutexGuard<'_, ()>, StoreError> {
        self.shared.turns.wait_for(id, Instant::now() + TURN_MAX).await
    }

    /// What [`begin`](Self::begin) does, for one whose turn it is.
    pub(super) async fn begin_in_turn(
        &self,
        id: ConversationId,
        guard: &Document,
        work: &Work,
    ) -> Result<Begun, StoreError> {
        let intent = bson(work)?;
        let mut patience = Patience::new();
        loop {
            let mut filter = doc! { "_id": id.oid(), "intent": null };
            filter.extend(guard.clone());
            let place = self
                .conversations
                .find_one_and_update(
                    filter,
                    doc! { "$set": { "intent": intent.clone() }, "$inc": { "rev": 1_i64 } },
                )
                .return_document(ReturnDocument::After);
            if let Some(row) = self.shared.gate.call(place.into_future()).await? {
                let touched = self.finish(&row).await?;
                return Ok(Begun::Done {
                    rev: row.rev,
                    touched,
                });
            }
            let Some(row) = self.row(id).await? else {
                return Ok(Begun::Nowhere);
            };
            if row.intent.is_none() && !self.is_as(&row, guard)? {
                return Ok(Begun::Elsewhere(Box::new(row)));
            }
            if row.intent.is_some() && patience.wait(row.rev).await? {
                self.finish(&row).await?;
            }
        }
    }

    /// Whether a guard on `projected` holds; there is no other.
    #[expect(clippy::unused_self, reason = "reads as a question to the store")]
    fn is_as(&self, row: &ConversationRow, guard: &Document) -> Result<bool, StoreError> {
        match guard.get_i64("projected") {
            Ok(projected) => Ok(i64::from(row.projected()?.0) == projected),
            Err(_) => Ok(true),
        }
    }

    /// Waits until nothing half done is in the way, or does it; the conversation as it is then.
    pub(super) async fn whole(&self, row: ConversationRow) -> Result<ConversationRow, StoreError> {
        self.without(row, Work::is_half_done).await
    }

    /// The same until nothing is being done at all, so that the counter is that of the rows.
    pub(super) async fn counted(&self, row: ConversationRow) -> Result<ConversationRow, StoreError> {
        self.without(row, |_| true).await
    }

    async fn without(
        &self,
        mut row: ConversationRow,
        is_awaited: impl Fn(&Work) -> bool,
    ) -> Result<ConversationRow, StoreError> {
        let mut patience = Patience::new();
        while row.intent.as_ref().is_some_and(&is_awaited) {
            if patience.wait(row.rev).await? {
                self.finish(&row).await?;
            }
            let id = row.conversation_id();
            let again = self.row(id).await?;
            row = again.ok_or_else(|| super::missing(id))?;
        }
        Ok(row)
    }
}
