//! Random concurrent appends, checked against what a log must look like whatever the order was.
//!
//! A plan gives every sender a list of batches. Senders run at once; each appends its batches one after another, decides
//! again on `Moved`, goes on with the rest on a prefix or a duplicate, and now and then sends a batch a second time as
//! if the answer had been lost. At the end each conversation must be dense, numbered as [`Head::place`] numbers,
//! hold every acknowledged entry where it was acknowledged, and hold one entry per (sender, key).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::{Port, at_once};
use crate::domain::entry::{Entry, Seq};
use crate::ids::{ConversationId, EntryId, UserId};
use crate::ports::storage::{Appended, ConversationLog, Head, NewEntry, READ_MAX};
use crate::testkit::SeededIds;
use crate::testkit::samples::{in_secs, keyed_message, message, settings};

const PLANS: u32 = 16;
const CONVERSATIONS: usize = 2;

/// One append as a plan has it.
#[derive(Debug, Clone)]
struct Batch {
    conversation: usize,
    entries: Vec<Planned>,
    /// Sent a second time after it was answered.
    repeated: bool,
    /// Decided on the empty log instead of the last known head.
    stale: bool,
}

#[derive(Debug, Clone, Copy)]
enum Planned {
    Message,
    /// A message under one of a few keys, so that they clash.
    Keyed(u8),
    Settings,
}

type Plan = Vec<Vec<Batch>>;

fn plans() -> impl Strategy<Value = Plan> {
    let entry = (0_u8..8).prop_map(|choice| match choice {
        0..3 => Planned::Message,
        3 => Planned::Settings,
        key => Planned::Keyed(key),
    });
    let batch = (0..CONVERSATIONS, vec(entry, 1..6), any::<bool>(), any::<bool>()).prop_map(
        |(conversation, entries, repeated, stale)| Batch {
            conversation,
            entries,
            repeated,
            stale,
        },
    );
    vec(vec(batch, 1..6), 1..6)
}

/// Runs some plans, each on a store of its own, and panics with the plan that broke the model.
pub(super) async fn check<P: Port<Target: ConversationLog>>(make: impl AsyncFn() -> P) {
    // The same plans in every run; what differs is how the senders meet.
    let mut runner = TestRunner::deterministic();
    for _ in 0..PLANS {
        let plan = plans().new_tree(&mut runner).unwrap().current();
        run(Arc::new(make().await), plan).await;
    }
}

async fn run<P: Port<Target: ConversationLog>>(log: Arc<P>, plan: Plan) {
    let ids = Arc::new(SeededIds::new(1));
    let conversations: [ConversationId; CONVERSATIONS] = std::array::from_fn(|_| ConversationId::new(&*ids));
    let plan = Arc::new(plan);
    let acknowledged = at_once(&log, plan.len(), |log, sender| {
        let (ids, plan) = (Arc::clone(&ids), Arc::clone(&plan));
        async move { send_all(&*log, &ids, conversations, &plan[sender]).await }
    })
    .await;
    for conversation in conversations {
        let stored = log.read_after(conversation, Seq::ZERO, READ_MAX).await.unwrap();
        assert_eq!(
            log.head(conversation).await.unwrap(),
            stored.last().map_or(Head::EMPTY, Head::of),
            "{plan:#?}"
        );
        assert_well_formed(conversation, &stored, &plan);
        let by_id: HashMap<EntryId, &Entry> = stored.iter().map(|entry| (entry.id, entry)).collect();
        let here = acknowledged
            .iter()
            .flatten()
            .filter(|entry| entry.conversation == conversation);
        for entry in here {
            assert_eq!(by_id.get(&entry.id), Some(&entry), "{plan:#?}");
        }
    }
}

/// Dense, numbered by the rule, one entry per id and per (sender, key).
fn assert_well_formed(conversation: ConversationId, stored: &[Entry], plan: &Plan) {
    let mut head = Head::EMPTY;
    let mut keys = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for entry in stored {
        let new = NewEntry {
            id: entry.id,
            sender: entry.sender,
            client_message_id: entry.client_message_id.clone(),
            created_at: entry.created_at,
            kind: entry.kind.clone(),
        };
        assert_eq!(head.place(conversation, new).as_ref(), Some(entry), "{plan:#?}");
        assert_eq!(ids.insert(entry.id, entry.seq), None, "{plan:#?}");
        if let Some(key) = &entry.client_message_id {
            assert_eq!(
                keys.insert((entry.sender, key.as_str()), entry.seq),
                None,
                "{plan:#?}"
            );
        }
    }
}

/// Sends a sender's batches one after another; gives every entry it got an answer for.
async fn send_all(
    log: &impl Port<Target: ConversationLog>,
    ids: &SeededIds,
    conversations: [ConversationId; CONVERSATIONS],
    batches: &[Batch],
) -> Vec<Entry> {
    let sender = UserId::new(ids);
    let mut known = [Seq::ZERO; CONVERSATIONS];
    let mut acknowledged = Vec::new();
    for (index, batch) in (0_u64..).zip(batches) {
        let entries: Vec<NewEntry> = batch
            .entries
            .iter()
            .map(|planned| NewEntry {
                // Stamps that go back and forth.
                created_at: in_secs(index * 7 % 5),
                ..match planned {
                    Planned::Message => message(ids, sender, "hi"),
                    Planned::Keyed(key) => keyed_message(ids, sender, &key.to_string(), "hi"),
                    Planned::Settings => settings(ids, sender, "about"),
                }
            })
            .collect();
        let known = &mut known[batch.conversation];
        for _ in 0..=usize::from(batch.repeated) {
            if batch.stale {
                *known = Seq::ZERO;
            }
            acknowledged.extend(send(log, conversations[batch.conversation], known, &entries).await);
        }
    }
    acknowledged
}

async fn send(
    log: &impl Port<Target: ConversationLog>,
    conversation: ConversationId,
    known: &mut Seq,
    entries: &[NewEntry],
) -> Vec<Entry> {
    let mut rest = entries.to_vec();
    let mut acknowledged = Vec::new();
    while let Some(first) = rest.first() {
        match log.append(conversation, *known, rest.clone()).await.unwrap() {
            Appended::At(added) => {
                assert!(!added.is_empty(), "a first entry that is new is added");
                assert!(added.len() <= rest.len());
                assert!(added.iter().zip(&rest).all(|(entry, new)| entry.id == new.id));
                assert_eq!(added[0].seq, known.next());
                rest.drain(..added.len());
                *known = added[added.len() - 1].seq;
                acknowledged.extend(added);
            }
            Appended::Duplicate(entry) => {
                let by_key = entry.client_message_id.is_some()
                    && entry.client_message_id == first.client_message_id
                    && entry.sender == first.sender;
                assert!(entry.id == first.id || by_key);
                acknowledged.push(entry);
                rest.remove(0);
            }
            Appended::Moved { entries_since, head } => {
                assert!(head.seq > *known);
                assert_eq!(entries_since.first().map(|entry| entry.seq), Some(known.next()));
                *known = head.seq;
            }
        }
    }
    acknowledged
}
