//! What a connection hears that has been away: the entries it has missed, then live ones, none lost and none twice.
//!
//! ```text
//! cursors ─▶ plan: what is to be replayed, what is too much (a gap) ─▶ per conversation:
//!            hold live entries ─▶ read the log, page by page, paced by the outbox ─▶ what was held ─▶ live
//! ```
//! A hold begins and ends under the conversation's lock, so nothing falls between the log and the live entries. What a
//! connection has heard live already it does not hear again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Deliveries;
use super::journal::{Mark, Since};
use super::watched::{Holding, Watched};
use crate::domain::entry::Seq;
use crate::error::Error;
use crate::hub::{Channel, Link};
use crate::ids::{ConversationId, UserId};

/// Entries replayed of one conversation, and of all in one resume; what is more is reloaded by REST (S-109).
pub(super) const REPLAYED_MAX: u32 = 1_000;
const REPLAYED_IN_ALL_MAX: u32 = 10_000;
/// Entries read at a time.
const PAGE: u32 = 200;
/// The next page is read when less than this is queued, and looked for so often.
const QUEUED_MAX: usize = 256 << 10;
const PACE: Duration = Duration::from_millis(10);
/// How often a hold that overflows is begun anew.
const ROUNDS: u32 = 4;

/// Where a member stands in a conversation, as far as a resume has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub conversation: ConversationId,
    /// The end of its log.
    pub head: Seq,
    /// The entry that made them a member.
    pub joined: Seq,
    /// They may see what is above this entry.
    pub sees_above: Seq,
    /// Whether it is heard from the login on; rooms are only if they are named.
    pub unasked: bool,
}

/// What a resume will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    steps: Vec<Replay>,
    /// Conversations of which too much is missing.
    pub gaps: Vec<ConversationId>,
}

/// One conversation's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Replay {
    conversation: ConversationId,
    /// The end of the log.
    head: Seq,
    /// The connection has everything up to here.
    after: Seq,
    /// From here on it hears the conversation live already.
    live_from: Option<Seq>,
}

impl Plan {
    /// For a member of `places` who has what `cursors` say and hears live what is above `live`.
    pub fn new(
        places: &[Place],
        cursors: &HashMap<ConversationId, Seq>,
        live: &HashMap<ConversationId, Seq>,
    ) -> Plan {
        let mut plan = Plan::default();
        let mut left = REPLAYED_IN_ALL_MAX;
        for place in places {
            let cursor = cursors.get(&place.conversation).copied();
            let live_from = live.get(&place.conversation).copied();
            if cursor.is_none() && !place.unasked {
                continue;
            }
            // Without a cursor the client loads it by REST, behind the digest.
            let wanted = cursor.map_or(Some(place.head), |cursor| place.start(cursor));
            let until = live_from.unwrap_or(place.head);
            let missing = wanted.map(|start| until.0.saturating_sub(start.0));
            let after = match (wanted, missing) {
                (Some(start), Some(missing)) if missing <= REPLAYED_MAX.min(left) => {
                    left -= missing;
                    start
                }
                _ => {
                    plan.gaps.push(place.conversation);
                    until
                }
            };
            plan.steps.push(Replay {
                conversation: place.conversation,
                head: place.head,
                after,
                live_from,
            });
        }
        plan
    }
}

impl Place {
    /// Where the replay begins for a client that has everything up to `cursor`; `None` if it must begin anew.
    fn start(&self, cursor: Seq) -> Option<Seq> {
        if cursor == Seq::ZERO {
            Some(self.sees_above)
        } else {
            // Above the head it is of another log; below, the client still shows what its user may not see any more.
            Some(cursor).filter(|cursor| (self.sees_above..=self.head).contains(cursor))
        }
    }
}

/// Until the connection has taken most of what was sent, or is over.
pub async fn room_in_queue(link: &Link) {
    while link.queued_bytes() >= QUEUED_MAX && !link.is_closed() {
        tokio::time::sleep(PACE).await;
    }
}

impl Deliveries {
    /// Carries out a plan made of rows that were read after `mark`. Returns from which entry on the connection has now
    /// had everything, for each conversation that it hears, and where that failed.
    pub async fn resume(
        self: &Arc<Self>,
        link: &Link,
        user: UserId,
        plan: &Plan,
        mark: Mark,
    ) -> (Vec<(ConversationId, Seq)>, Vec<ConversationId>) {
        let (mut heard, mut failed) = (Vec::new(), Vec::new());
        for step in &plan.steps {
            if link.is_closed() {
                break;
            }
            match self.replay_one(link, user, *step, mark).await {
                Ok(true) => heard.push((
                    step.conversation,
                    step.after.min(step.live_from.unwrap_or(step.after)),
                )),
                // They are no member any more, and have heard so.
                Ok(false) => {}
                Err(error) => {
                    let id = step.conversation;
                    tracing::warn!(conversation.id = %id, error = &error as &dyn std::error::Error,
                        "conversation {id} could not be replayed; its client is told to load it anew");
                    failed.push(id);
                }
            }
        }
        (heard, failed)
    }

    /// One conversation. False if the user is no member any more.
    async fn replay_one(
        self: &Arc<Self>,
        link: &Link,
        user: UserId,
        step: Replay,
        mark: Mark,
    ) -> Result<bool, Error> {
        let watched = self.begun(step.conversation, None).await?;
        let last = watched.lock().last.unwrap_or(Seq::ZERO);
        if last < step.head {
            // The bus has lost something, or this node is slower than the one that the client comes from.
            self.heal(&watched).await?;
        }
        if step.live_from.is_some_and(|from| step.after >= from) {
            return Ok(true);
        }
        self.catch_up(link, user, step.conversation, step.after, step.live_from, mark)
            .await
    }

    /// Replays what is above `after`, and lets the connection hear the rest live; what is above `live_from` it has had
    /// or is about to. False if the user is no member any more.
    pub(super) async fn catch_up(
        self: &Arc<Self>,
        link: &Link,
        user: UserId,
        conversation: ConversationId,
        after: Seq,
        live_from: Option<Seq>,
        mark: Mark,
    ) -> Result<bool, Error> {
        let topic = Channel::Conversation(conversation);
        let (mut after, mut live_from) = (after, live_from);
        for _ in 0..ROUNDS {
            let watched = self.begun(conversation, None).await?;
            let (until, last) = {
                let mut progress = watched.lock();
                if progress.over {
                    continue;
                }
                match self.journal.is_out(mark, conversation, user) {
                    Since::Yes => return Ok(false),
                    Since::Unknown => return Err(Error::Unavailable(None)),
                    Since::No => {}
                }
                let Some(last) = progress.last else { continue };
                let until = live_from.unwrap_or(last);
                if after >= until {
                    self.hub.subscribe(link, &topic);
                    return Ok(true);
                }
                self.hub.unsubscribe(link, &topic);
                progress.hold(link, user);
                (until, last)
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
                    return replayed.map(|()| true);
                }
                Some((Holding::Ended, packets)) => {
                    for packet in packets {
                        link.send(packet);
                    }
                    return replayed.map(|()| false);
                }
                // Too much has come meanwhile: it is read as well.
                Some((Holding::Overflown, _)) | None => (after, live_from) = (last, None),
            }
            drop(progress);
            drop(hold);
            replayed?;
        }
        self.watch_as(link, user, conversation, mark).await?;
        Err(Error::Unavailable(None))
    }

    /// Sends the entries above `after` up to `until`.
    async fn replay(
        &self,
        link: &Link,
        conversation: ConversationId,
        after: Seq,
        until: Seq,
    ) -> Result<(), Error> {
        let row = self
            .stores
            .conversations
            .get(conversation)
            .await?
            .ok_or(Error::NotFound("conversation"))?;
        let mut sent = after;
        while sent < until && !link.is_closed() {
            room_in_queue(link).await;
            let limit = (until.0 - sent.0).min(PAGE);
            let limit = usize::try_from(limit).unwrap_or(1);
            let entries = self.stores.log.read_after(conversation, sent, limit).await?;
            let Some(last) = entries.last() else {
                return Err(Error::Unavailable(None));
            };
            sent = last.seq;
            let announcement = self.encoder.encode(&row, &entries).await?;
            for entry in announcement.entries {
                link.send(entry.packet);
            }
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::SeededIds;

    /// S-109: what is replayed, and what is too much.
    #[test]
    fn s_109_a_plan_replays_what_is_missing_within_bounds() {
        let conversation = ConversationId::new(&SeededIds::new(1));
        let place = Place {
            conversation,
            head: Seq(5_000),
            joined: Seq::ZERO,
            sees_above: Seq::ZERO,
            unasked: true,
        };
        let of_a_newcomer = Place {
            joined: Seq(4_900),
            sees_above: Seq(4_899),
            ..place
        };
        for (place, cursor, live, after, is_gap) in [
            (place, Some(4_990), None, 4_990, false),
            (place, Some(5_000), None, 5_000, false),
            (place, Some(4_000), None, 4_000, false),
            (place, Some(3_999), None, 5_000, true),
            (place, Some(0), None, 5_000, true),
            (place, Some(5_001), None, 5_000, true),
            (place, None, None, 5_000, false),
            (place, Some(4_000), Some(4_500), 4_000, false),
            (place, Some(3_000), Some(3_900), 3_000, false),
            (place, Some(4_600), Some(4_500), 4_600, false),
            (of_a_newcomer, Some(0), None, 4_899, false),
            (of_a_newcomer, Some(4_950), None, 4_950, false),
            (of_a_newcomer, Some(4_800), None, 5_000, true),
        ] {
            let map = |seq: Option<u32>| seq.map(|seq| (conversation, Seq(seq))).into_iter().collect();
            let plan = Plan::new(&[place], &map(cursor), &map(live));
            let picture = (plan.steps[0].after, !plan.gaps.is_empty());
            assert_eq!(picture, (Seq(after), is_gap), "cursor {cursor:?}, live {live:?}");
        }
    }

    #[test]
    fn s_109_a_resume_replays_ten_thousand_entries_in_all() {
        let ids = SeededIds::new(1);
        let places: Vec<Place> = (0..12)
            .map(|_| Place {
                conversation: ConversationId::new(&ids),
                head: Seq(1_000),
                joined: Seq::ZERO,
                sees_above: Seq::ZERO,
                unasked: true,
            })
            .collect();
        let cursors = places
            .iter()
            .map(|place| (place.conversation, Seq::ZERO))
            .collect();
        let plan = Plan::new(&places, &cursors, &HashMap::new());
        assert_eq!(plan.gaps, [places[10].conversation, places[11].conversation]);
        assert_eq!(plan.steps.len(), 12, "they are heard live all the same");
    }

    #[test]
    fn rooms_are_resumed_only_if_named() {
        let conversation = ConversationId::new(&SeededIds::new(1));
        let place = Place {
            conversation,
            head: Seq(3),
            joined: Seq::ZERO,
            sees_above: Seq::ZERO,
            unasked: false,
        };
        assert_eq!(
            Plan::new(&[place], &HashMap::new(), &HashMap::new()),
            Plan::default()
        );
        let cursors = HashMap::from([(conversation, Seq(1))]);
        assert_eq!(Plan::new(&[place], &cursors, &HashMap::new()).steps.len(), 1);
    }
}
