//! What a resume will do: decided from where the member stands, what the client has, and what the connection hears already.

use std::collections::{HashMap, HashSet};

use super::subscribe::WATCHED_AT_LOGIN_MAX;
use crate::clock::Timestamp;
use crate::domain::entry::Seq;
use crate::ids::ConversationId;

/// Entries replayed of one conversation, and of all in one resume; what is more is reloaded by REST (S-109).
pub(super) const REPLAYED_MAX: u32 = 1_000;
const REPLAYED_IN_ALL_MAX: u32 = 10_000;

/// Where a member stands in a conversation, as far as a resume has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub conversation: ConversationId,
    /// The end of its log.
    pub head: Seq,
    /// When that was written.
    pub moved_at: Timestamp,
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
    pub(super) steps: Vec<Replay>,
    /// Conversations of which too much is missing, or that are not heard by this and miss something.
    pub gaps: Vec<ConversationId>,
}

/// One conversation's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replay {
    pub(super) conversation: ConversationId,
    /// The end of the log.
    pub(super) head: Seq,
    /// The connection has everything up to here.
    pub(super) after: Seq,
    /// From here on it hears the conversation live already.
    pub(super) live_from: Option<Seq>,
    /// There are entries from before the membership: a change of history hides or shows them.
    pub(super) joined_later: bool,
}

impl Replay {
    pub(super) fn misses_something(&self) -> bool {
        self.after < self.live_from.unwrap_or(self.head)
    }
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
        let too_many = beyond_the_cap(places, live);
        for place in places {
            let cursor = cursors.get(&place.conversation).copied();
            let live_from = live.get(&place.conversation).copied();
            if cursor.is_none() && !place.unasked {
                continue;
            }
            if too_many.contains(&place.conversation) {
                if cursor.is_some_and(|cursor| place.start(cursor) != Some(place.head)) {
                    plan.gaps.push(place.conversation);
                }
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
                joined_later: place.joined.0 > 1,
            });
        }
        plan
    }
}

/// Conversations that a connection doesn't hear unless it opens them: as many are heard as at a login without cursors,
/// the newest ones and those that it hears already.
fn beyond_the_cap(places: &[Place], live: &HashMap<ConversationId, Seq>) -> HashSet<ConversationId> {
    let mut unasked: Vec<&Place> = places.iter().filter(|place| place.unasked).collect();
    if unasked.len() <= WATCHED_AT_LOGIN_MAX {
        return HashSet::new();
    }
    unasked.sort_unstable_by_key(|place| {
        let is_heard = live.contains_key(&place.conversation);
        std::cmp::Reverse((is_heard, place.moved_at))
    });
    let beyond = unasked.split_off(WATCHED_AT_LOGIN_MAX).into_iter();
    let unheard = beyond.filter(|place| !live.contains_key(&place.conversation));
    unheard.map(|place| place.conversation).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{SeededIds, samples};

    /// S-109: what is replayed, and what is too much.
    #[test]
    fn s_109_a_plan_replays_what_is_missing_within_bounds() {
        let conversation = ConversationId::new(&SeededIds::new(1));
        let place = Place {
            conversation,
            head: Seq(5_000),
            moved_at: samples::now(),
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
                moved_at: samples::now(),
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

    /// SPEC.md section 1, Who receives: a resume lets no more be heard than a login.
    #[test]
    fn s_109_a_resume_hears_the_two_thousand_newest_and_what_the_socket_hears_already() {
        let ids = SeededIds::new(1);
        let place = |age: usize, unasked: bool| Place {
            conversation: ConversationId::new(&ids),
            head: Seq(3),
            moved_at: samples::in_secs(10_000 - age as u64),
            joined: Seq::ZERO,
            sees_above: Seq::ZERO,
            unasked,
        };
        let mut places: Vec<Place> = (0..WATCHED_AT_LOGIN_MAX + 3)
            .map(|age| place(age, true))
            .collect();
        places.push(place(9_000, false));
        let of = |age: usize| places[age].conversation;
        let (complete, missing, heard, room) = (of(2_000), of(2_001), of(2_002), of(2_003));
        let cursors = HashMap::from([
            (complete, Seq(3)),
            (missing, Seq(2)),
            (heard, Seq(2)),
            (room, Seq(2)),
            (of(0), Seq(3)),
        ]);
        let plan = Plan::new(&places, &cursors, &HashMap::from([(heard, Seq(3))]));
        // The one that is heard already takes the place of the oldest one besides.
        let unnamed = of(1_999);
        let steps: HashSet<ConversationId> = plan.steps.iter().map(|step| step.conversation).collect();
        assert_eq!(steps.len(), 2_001, "with the room");
        for (conversation, is_heard) in [
            (of(0), true),
            (of(1_998), true),
            (heard, true),
            (room, true),
            (unnamed, false),
            (complete, false),
        ] {
            assert_eq!(steps.contains(&conversation), is_heard);
        }
        assert_eq!(plan.gaps, [missing], "who has everything of it has no gap");
    }

    #[test]
    fn rooms_are_resumed_only_if_named() {
        let conversation = ConversationId::new(&SeededIds::new(1));
        let place = Place {
            conversation,
            head: Seq(3),
            moved_at: samples::now(),
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
