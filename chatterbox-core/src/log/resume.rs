//! What a connection hears that has been away: the entries it has missed, then live ones, none lost and none twice.
//!
//! ```text
//! cursors ─▶ plan (plan.rs): what is to be replayed, what is too much (a gap) ─▶ per conversation:
//!            hold live entries ─▶ read the log, page by page, paced by the outbox ─▶ what was held ─▶ live
//! ```
//! A hold begins and ends under the conversation's lock, so nothing falls between the log and the live entries. What a
//! connection has heard live already it does not hear again.

use std::sync::Arc;
use std::time::Duration;

use super::Deliveries;
use super::journal::{Mark, Since};
use super::plan::{Plan, Replay};
use super::watched::{Holding, Watched};
use crate::domain::entry::{Entry, EntryKind, Seq};
use crate::error::Error;
use crate::hub::{Channel, Link};
use crate::ids::{ConversationId, UserId};

/// Entries read at a time.
const PAGE: u32 = 200;
/// The next page is read when less than this is queued, and looked for so often.
const QUEUED_MAX: usize = 256 << 10;
const PACE: Duration = Duration::from_millis(10);
/// How often a hold that overflows is begun anew, and a membership read anew that too much has happened since.
const ROUNDS: u32 = 6;
/// The pause before a connection is let hear what it could not be let hear before, at first and at most.
const DEAF_PAUSE: Duration = Duration::from_millis(200);
const DEAF_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Until the connection has taken most of what was sent, or is over.
pub async fn room_in_queue(link: &Link) {
    while link.queued_bytes() >= QUEUED_MAX && !link.is_closed() {
        tokio::time::sleep(PACE).await;
    }
}

/// What a plan came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CarriedOut {
    /// For each conversation that the connection hears: from which entry on it has now had everything.
    pub heard: Vec<(ConversationId, Seq)>,
    /// Conversations that its client has to load anew, besides the gaps of the plan.
    pub gaps: Vec<ConversationId>,
    /// Those among them that the connection doesn't hear yet.
    pub deaf: Vec<ConversationId>,
}

/// What became of one replay.
enum Replayed {
    /// The connection has everything, and hears the rest live.
    Whole,
    /// So it has, but what its user may see has changed with an entry in between.
    OtherHistory,
    /// It hears live what is above this entry; the rest could not be replayed.
    Gap(Seq),
    /// The user is no member any more, and has heard so.
    Out,
    /// The user is no member any more, which this connection was not told.
    Gone,
}

impl Deliveries {
    /// Carries out a plan made of rows that were read after `mark`.
    pub async fn resume(self: &Arc<Self>, link: &Link, user: UserId, plan: &Plan, mark: Mark) -> CarriedOut {
        let mut done = CarriedOut::default();
        self.begin_plan(plan, mark).await;
        // Where nothing is missing nothing is waited for, so those are heard before the mark is old.
        let (missing, complete): (Vec<&Replay>, Vec<&Replay>) =
            plan.steps.iter().partition(|step| step.misses_something());
        for step in complete.into_iter().chain(missing) {
            if link.is_closed() {
                break;
            }
            let id = step.conversation;
            let had = step.after.min(step.live_from.unwrap_or(step.after));
            match self.replay_one(link, user, *step, mark).await {
                Ok(Replayed::Whole) => done.heard.push((id, had)),
                Ok(Replayed::OtherHistory) => {
                    done.heard.push((id, had));
                    if step.joined_later {
                        done.gaps.push(id);
                    }
                }
                Ok(Replayed::Gap(from)) => {
                    done.heard.push((id, from));
                    done.gaps.push(id);
                }
                Ok(Replayed::Out) => {}
                Ok(Replayed::Gone) => done.gaps.push(id),
                Err(error) => {
                    tracing::warn!(conversation.id = %id, error = &error as &dyn std::error::Error,
                        "conversation {id} could not be replayed; its client is told to load it anew");
                    // Above what, is known to nobody here once somebody else has let it be heard.
                    done.heard.push((id, Seq(u32::MAX)));
                    done.gaps.push(id);
                    done.deaf.push(id);
                }
            }
        }
        done
    }

    /// Lets a connection hear what it should hear and doesn't, as soon as the store tells that it may. Calls `then` for
    /// each, when its client is to load what was said meanwhile; also where the user is no member any more.
    pub fn hear_later(
        self: &Arc<Self>,
        link: &Link,
        user: UserId,
        deaf: Vec<ConversationId>,
        then: impl Fn(&Link, ConversationId) + Send + 'static,
    ) {
        let (deliveries, link) = (self.clone(), link.clone());
        self.tasks.spawn_until_stopped(async move {
            // Neither closed nor somebody else's by now.
            let is_theirs = || deliveries.hub.is_subscribed(&link, &Channel::User(user));
            let (mut deaf, mut pause) = (deaf, DEAF_PAUSE);
            while !deaf.is_empty() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(DEAF_PAUSE_MAX);
                let mut still = Vec::new();
                for id in deaf {
                    if !is_theirs() {
                        return;
                    }
                    match deliveries.watch_now(&link, user, id).await {
                        Ok(()) if is_theirs() => then(&link, id),
                        Ok(()) => {
                            deliveries.hub.unsubscribe(&link, &Channel::Conversation(id));
                            deliveries.forget_unwatched(id);
                            return;
                        }
                        Err(error) => {
                            tracing::warn!(conversation.id = %id, error = &error as &dyn std::error::Error,
                                "conversation {id} is still not heard by a connection that came back");
                            still.push(id);
                        }
                    }
                }
                deaf = still;
            }
        });
    }

    async fn watch_now(
        self: &Arc<Self>,
        link: &Link,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<(), Error> {
        if let Some(mark) = self.mark_as_member(conversation, user).await? {
            self.watch_as(link, user, conversation, mark).await?;
        }
        Ok(())
    }

    /// Has all conversations of a plan delivered, in one question to the store, however many they are.
    async fn begin_plan(self: &Arc<Self>, plan: &Plan, mark: Mark) {
        let heads: Vec<(ConversationId, Seq)> = plan
            .steps
            .iter()
            .map(|step| (step.conversation, step.head))
            .collect();
        let begun = self.begin_all(&heads).await;
        if let Err(error) = self.catch_up_with(&begun.fresh, mark).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "heads could not be compared for a connection that comes back; it is tried again"
            );
            self.ask_to_compare();
        }
    }

    /// One conversation.
    async fn replay_one(
        self: &Arc<Self>,
        link: &Link,
        user: UserId,
        step: Replay,
        mark: Mark,
    ) -> Result<Replayed, Error> {
        let watched = self.begun(step.conversation, Some(step.head)).await?;
        let last = watched.lock().last.unwrap_or(Seq::ZERO);
        let mut is_healed = true;
        if last < step.head
            // The bus has lost something, or this node is slower than the one that the client comes from.
            && let Err(error) = self.heal(&watched).await
        {
            let id = step.conversation;
            tracing::warn!(conversation.id = %id, error = &error as &dyn std::error::Error,
                "the end of conversation {id} could not be read; its client is told to load it anew");
            is_healed = false;
        }
        if is_healed && step.live_from.is_some_and(|from| step.after >= from) {
            return Ok(Replayed::Whole);
        }
        let replayed = self
            .catch_up(link, user, step.conversation, step.after, step.live_from, mark)
            .await?;
        Ok(match replayed {
            Replayed::Whole | Replayed::OtherHistory if !is_healed => Replayed::Gap(step.after),
            replayed => replayed,
        })
    }

    /// Lets the connection of a new member hear what is above `behind`, which others have heard already.
    pub(super) async fn catch_up_newcomer(
        self: &Arc<Self>,
        link: &Link,
        user: UserId,
        conversation: ConversationId,
        behind: Seq,
        mark: Mark,
    ) -> Result<(), Error> {
        match self
            .catch_up(link, user, conversation, behind, None, mark)
            .await?
        {
            Replayed::Whole | Replayed::OtherHistory | Replayed::Out | Replayed::Gone => Ok(()),
            Replayed::Gap(_) => Err(Error::Unavailable(None)),
        }
    }

    /// Replays what is above `after`, and lets the connection hear the rest live; what is above `live_from` it has had
    /// or is about to. An error only if it hears nothing.
    async fn catch_up(
        self: &Arc<Self>,
        link: &Link,
        user: UserId,
        conversation: ConversationId,
        after: Seq,
        live_from: Option<Seq>,
        mark: Mark,
    ) -> Result<Replayed, Error> {
        let topic = Channel::Conversation(conversation);
        let was_live = live_from.is_some();
        let (mut after, mut live_from, mut mark) = (after, live_from, mark);
        let mut history = SameHistory::Yes;
        for _ in 0..ROUNDS {
            let watched = self.begun(conversation, None).await?;
            let held = {
                let mut progress = watched.lock();
                if progress.over {
                    continue;
                }
                match (self.journal.is_out(mark, conversation, user), progress.last) {
                    (Since::Yes, _) if was_live => return Ok(Replayed::Out),
                    (Since::Yes, _) => return Ok(Replayed::Gone),
                    (Since::Unknown, _) => None,
                    (Since::No, None) => continue,
                    (Since::No, Some(last)) => {
                        let until = live_from.unwrap_or(last);
                        if after >= until {
                            self.hub.subscribe(link, &topic);
                            return Ok(history.whole());
                        }
                        self.hub.unsubscribe(link, &topic);
                        progress.hold(link, user);
                        Some((until, last))
                    }
                }
            };
            let Some((until, last)) = held else {
                match self.mark_as_member(conversation, user).await? {
                    Some(fresh) => mark = fresh,
                    None if was_live => return Ok(Replayed::Out),
                    None => return Ok(Replayed::Gone),
                }
                continue;
            };
            let hold = Hold {
                watched: &watched,
                link,
            };
            let replayed = self.replay(link, conversation, after, until).await;
            let mut progress = watched.lock();
            match progress.release(link.id()) {
                Some((Holding::Whole, packets)) => {
                    for packet in packets {
                        link.send(packet);
                    }
                    self.hub.subscribe(link, &topic);
                    drop(progress);
                    return Ok(match replayed {
                        Ok(same) => history.and(same).whole(),
                        Err(error) => could_not_replay(conversation, until, &error),
                    });
                }
                Some((Holding::Ended, packets)) => {
                    for packet in packets {
                        link.send(packet);
                    }
                    return Ok(Replayed::Out);
                }
                // Too much has come meanwhile: it is read as well.
                Some((Holding::Overflown, _)) | None => {}
            }
            drop(progress);
            drop(hold);
            match replayed {
                Ok(same) => history = history.and(same),
                Err(error) => {
                    could_not_replay(conversation, until, &error);
                    break;
                }
            }
            (after, live_from) = (last, None);
        }
        match self.watch_as(link, user, conversation, mark).await? {
            Some(from) => Ok(Replayed::Gap(from)),
            None if was_live => Ok(Replayed::Out),
            None => Ok(Replayed::Gone),
        }
    }

    /// Sends the entries above `after` up to `until`.
    async fn replay(
        &self,
        link: &Link,
        conversation: ConversationId,
        after: Seq,
        until: Seq,
    ) -> Result<SameHistory, Error> {
        let row = self
            .stores
            .conversations
            .get(conversation)
            .await?
            .ok_or(Error::NotFound("conversation"))?;
        let (mut sent, mut history) = (after, SameHistory::Yes);
        while sent < until && !link.is_closed() {
            room_in_queue(link).await;
            let limit = (until.0 - sent.0).min(PAGE);
            let limit = usize::try_from(limit).unwrap_or(1);
            let entries = self.stores.log.read_after(conversation, sent, limit).await?;
            let Some(last) = entries.last() else {
                return Err(Error::Unavailable(None));
            };
            sent = last.seq;
            if entries.iter().any(changes_history) {
                history = SameHistory::No;
            }
            let announcement = self.encoder.encode(&row, &entries).await?;
            for entry in announcement.entries {
                link.send(entry.packet);
            }
        }
        Ok(history)
    }
}

/// Whether what members may see is the same behind some entries as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SameHistory {
    Yes,
    No,
}

impl SameHistory {
    fn and(self, other: SameHistory) -> SameHistory {
        match self {
            SameHistory::Yes => other,
            SameHistory::No => SameHistory::No,
        }
    }

    fn whole(self) -> Replayed {
        match self {
            SameHistory::Yes => Replayed::Whole,
            SameHistory::No => Replayed::OtherHistory,
        }
    }
}

fn changes_history(entry: &Entry) -> bool {
    matches!(&entry.kind, EntryKind::Settings(change) if change.history.is_some())
}

fn could_not_replay(conversation: ConversationId, until: Seq, error: &Error) -> Replayed {
    tracing::warn!(conversation.id = %conversation, error = error as &dyn std::error::Error,
        "conversation {conversation} could not be replayed; its client is told to load it anew");
    Replayed::Gap(until)
}

/// A hold that ends with whoever waits for it.
struct Hold<'a> {
    watched: &'a Watched,
    link: &'a Link,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.watched.lock().release(self.link.id());
    }
}
