//! Logs: dense, ordered, without doubles, under any race (I1, I2, I3).

use std::sync::Arc;

use super::chat::{delete_of, edit_of, reaction_to};
use super::{Port, at_once, count, log_model};
use crate::domain::change::{Change, Join, RoleChange, SettingsChange};
use crate::domain::conversation::Role;
use crate::domain::entry::{Entry, EntryKind, MessageBody, Seq};
use crate::ids::{ConversationId, EntryId, UserId};
use crate::ports::storage::{Appended, ConversationLog, Head, NewEntry, READ_MAX};
use crate::testkit::SeededIds;
use crate::testkit::samples::{client_message_id, in_secs, keyed_message, message, now, settings};

/// One test per behaviour of a [`ConversationLog`]; the argument makes an empty one.
#[macro_export]
macro_rules! conversation_log_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            conversation_log,
            real_time,
            $make,
            [
                a_conversation_without_entries_is_empty,
                entries_are_numbered_behind_one_another,
                contents_come_back_as_they_were_given,
                stamps_never_go_back,
                whoever_decided_earlier_is_told_what_came_between,
                what_came_between_is_told_in_part_when_it_is_much,
                whoever_remembers_another_log_is_told_the_head,
                a_batch_is_appended_in_order,
                of_twenty_racing_appends_one_wins_and_the_others_are_told,
                senders_who_race_and_decide_again_leave_a_dense_log,
                the_same_entry_again_is_its_own_duplicate,
                the_same_key_again_is_a_duplicate,
                a_key_is_the_senders_own_in_one_conversation,
                the_id_is_looked_up_before_the_key,
                a_duplicate_is_found_before_the_head_is_compared,
                a_batch_ends_before_a_duplicate,
                a_batch_with_one_key_twice_ends_before_the_second,
                of_twenty_racing_sends_with_one_key_one_is_stored,
                racing_attempts_of_one_entry_store_it_once,
                pages_are_read_in_both_directions,
                history_has_messages_and_what_governs,
                entries_are_read_by_their_numbers,
                conversations_are_apart,
                several_are_found_by_id,
                heads_come_in_the_order_they_were_asked_for,
                random_concurrent_appends_match_the_model,
            ]
        );
    };
}

/// Appends at the head, whatever it is, and gives what was added.
async fn add(
    log: &impl Port<Target: ConversationLog>,
    conversation: ConversationId,
    entries: Vec<NewEntry>,
) -> Vec<Entry> {
    let head = log.head(conversation).await.unwrap();
    match log.append(conversation, head.seq, entries).await.unwrap() {
        Appended::At(added) => added,
        other => panic!("{other:?}"),
    }
}

fn ids_of(entries: &[Entry]) -> Vec<EntryId> {
    entries.iter().map(|entry| entry.id).collect()
}

async fn whole(log: &impl Port<Target: ConversationLog>, conversation: ConversationId) -> Vec<Entry> {
    log.read_after(conversation, Seq::ZERO, READ_MAX).await.unwrap()
}

/// Unknown conversations too.
pub async fn a_conversation_without_entries_is_empty<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    assert_eq!(log.head(here).await.unwrap(), Head::EMPTY);
    assert_eq!(log.read_after(here, Seq::ZERO, 10).await.unwrap(), []);
    assert_eq!(log.read_after(here, Seq(7), 10).await.unwrap(), []);
    assert_eq!(log.read_before(here, None, 10).await.unwrap(), []);
    assert_eq!(log.get(here, EntryId::new(&ids)).await.unwrap(), None);
    let key = client_message_id("k");
    assert_eq!(log.by_client_message_id(here, ann, &key).await.unwrap(), None);
}

/// I3: `seq` is dense from 1, ordinals count messages, `gov` names the last governing entry.
pub async fn entries_are_numbered_behind_one_another<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let mut expected = Vec::new();
    for (new, (seq, ordinal, gov)) in [
        (keyed_message(&ids, ann, "k1", "one"), (1, 1, 0)),
        (settings(&ids, ann, "about"), (2, 1, 2)),
        (message(&ids, ann, "two"), (3, 2, 2)),
        (settings(&ids, ann, "else"), (4, 2, 4)),
        (message(&ids, ann, "three"), (5, 3, 4)),
    ] {
        let entry = Entry {
            id: new.id,
            conversation: here,
            seq: Seq(seq),
            ordinal,
            gov: Seq(gov),
            sender: ann,
            client_message_id: new.client_message_id.clone(),
            created_at: new.created_at,
            kind: new.kind.clone(),
        };
        assert_eq!(add(&log, here, vec![new]).await, std::slice::from_ref(&entry));
        assert_eq!(log.head(here).await.unwrap(), Head::of(&entry));
        assert_eq!(log.get(here, entry.id).await.unwrap().as_ref(), Some(&entry));
        expected.push(entry);
    }
    assert_eq!(whole(&log, here).await, expected);
}

/// Every field of every kind, the longest texts, and texts that look like commands.
pub async fn contents_come_back_as_they_were_given<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let bodies = [
        "'); DROP TABLE entries; -- \\ \" $ne",
        "\u{0}\u{202e}👩‍👩‍👧‍👦 ß İ \r\n\t",
        &"🐈".repeat(4_000),
    ]
    .map(|content| {
        EntryKind::Message(MessageBody {
            content: content.to_owned(),
            reply_to: Some(EntryId::new(&ids)),
            mentions: (0..20).map(|_| UserId::new(&ids)).collect(),
            redacted_at: None,
        })
    });
    let changes = [
        SettingsChange {
            description: Some(String::new()),
            archived: Some(true),
            ..SettingsChange::default()
        },
        SettingsChange::default(),
    ]
    .map(EntryKind::Settings);
    for (index, kind) in bodies.into_iter().chain(changes).enumerate() {
        let key = format!("{index} ' \" ß🐈");
        let new = NewEntry {
            kind,
            ..keyed_message(&ids, ann, &key, "")
        };
        add(&log, here, vec![new.clone()]).await;
        let stored = log.get(here, new.id).await.unwrap().unwrap();
        assert_eq!(stored.kind, new.kind);
        assert_eq!(stored.client_message_id, new.client_message_id);
        let by_key = log
            .by_client_message_id(here, ann, &client_message_id(&key))
            .await
            .unwrap();
        assert_eq!(by_key, Some(stored));
    }
}

/// Edge case 23: a node whose clock is behind.
pub async fn stamps_never_go_back<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let at = |secs| NewEntry {
        created_at: in_secs(secs),
        ..message(&ids, ann, "hi")
    };
    let batch = add(&log, here, vec![at(5), at(3), at(8)]).await;
    let stamps: Vec<_> = batch.iter().map(|entry| entry.created_at).collect();
    assert_eq!(stamps, [in_secs(5), in_secs(5), in_secs(8)]);
    let late = add(&log, here, vec![at(1)]).await;
    assert_eq!(late[0].created_at, in_secs(8));
}

/// Nothing is added.
pub async fn whoever_decided_earlier_is_told_what_came_between<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let mut stored = Vec::new();
    for content in ["one", "two", "three"] {
        stored.extend(add(&log, here, vec![message(&ids, ann, content)]).await);
    }
    for decided_at in [0, 1, 2] {
        let new = message(&ids, ann, "late");
        let answer = log
            .append(here, Seq(decided_at), vec![new.clone()])
            .await
            .unwrap();
        let expected = Appended::Moved {
            entries_since: stored[usize::try_from(decided_at).unwrap()..].to_vec(),
            head: Head::of(&stored[2]),
        };
        assert_eq!(answer, expected);
        assert_eq!(log.get(here, new.id).await.unwrap(), None);
    }
    assert_eq!(whole(&log, here).await, stored);
}

/// The first [`READ_MAX`] entries; the head says that there are more.
pub async fn what_came_between_is_told_in_part_when_it_is_much<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    for _ in 0..5 {
        let batch = (0..250).map(|_| message(&ids, ann, "hi")).collect();
        add(&log, here, batch).await;
    }
    let answer = log
        .append(here, Seq(2), vec![message(&ids, ann, "late")])
        .await
        .unwrap();
    let Appended::Moved { entries_since, head } = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(head.seq, Seq(1_250));
    assert_eq!(entries_since.len(), READ_MAX);
    assert_eq!(entries_since[0].seq, Seq(3));
    assert_eq!(entries_since[READ_MAX - 1].seq, Seq(1_002));
}

/// A store that was set back, for example.
pub async fn whoever_remembers_another_log_is_told_the_head<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    for head in [
        Head::EMPTY,
        Head::of(&add(&log, here, vec![message(&ids, ann, "hi")]).await[0]),
    ] {
        let conversation = if head == Head::EMPTY {
            ConversationId::new(&ids)
        } else {
            here
        };
        let answer = log
            .append(conversation, Seq(5), vec![message(&ids, ann, "late")])
            .await
            .unwrap();
        let expected = Appended::Moved {
            entries_since: Vec::new(),
            head,
        };
        assert_eq!(answer, expected);
    }
}

/// The largest one.
pub async fn a_batch_is_appended_in_order<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    for round in 0..2 {
        let batch: Vec<NewEntry> = (0..256).map(|_| message(&ids, ann, "hi")).collect();
        let expected: Vec<EntryId> = batch.iter().map(|new| new.id).collect();
        let added = add(&log, here, batch).await;
        assert_eq!(ids_of(&added), expected);
        assert_eq!(added[0].seq, Seq(round * 256 + 1));
    }
    let stored = whole(&log, here).await;
    assert!(
        stored
            .iter()
            .zip(1..)
            .all(|(entry, seq)| entry.seq == Seq(seq) && entry.ordinal == seq)
    );
    assert_eq!(stored.len(), 512);
}

/// DESIGN: the rules hold under any race, since of two decisions on one state one wins.
pub async fn of_twenty_racing_appends_one_wins_and_the_others_are_told<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = Arc::new(make().await);
    let ids = Arc::new(SeededIds::new(1));
    let here = ConversationId::new(&*ids);
    for decided_at in 0..3 {
        let answers = at_once(&log, 20, |log, _| {
            let new = message(&*ids, UserId::new(&*ids), "me first");
            async move { log.append(here, Seq(decided_at), vec![new]).await.unwrap() }
        })
        .await;
        assert_eq!(count(&answers, |answer| matches!(answer, Appended::At(_))), 1);
        let winner = log.read_before(here, None, 1).await.unwrap();
        for answer in answers {
            let told = match answer {
                Appended::At(added) => added,
                Appended::Moved { entries_since, head } => {
                    assert_eq!(head, Head::of(&winner[0]));
                    entries_since
                }
                Appended::Duplicate(entry) => panic!("{entry:?}"),
            };
            assert_eq!(told, winner);
        }
    }
}

/// I1, I3: the way of every send.
pub async fn senders_who_race_and_decide_again_leave_a_dense_log<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    const SENDERS: usize = 10;
    const MESSAGES: usize = 10;
    let log = Arc::new(make().await);
    let ids = Arc::new(SeededIds::new(1));
    let here = ConversationId::new(&*ids);
    let acknowledged = at_once(&log, SENDERS, |log, _| {
        let ids = Arc::clone(&ids);
        async move {
            let sender = UserId::new(&*ids);
            let mut decided_at = Seq::ZERO;
            let mut stored = Vec::new();
            while stored.len() < MESSAGES {
                let new = message(&*ids, sender, "hi");
                loop {
                    match log.append(here, decided_at, vec![new.clone()]).await.unwrap() {
                        Appended::At(added) => {
                            decided_at = added[0].seq;
                            stored.extend(added);
                            break;
                        }
                        Appended::Moved { head, .. } => decided_at = head.seq,
                        Appended::Duplicate(entry) => panic!("{entry:?}"),
                    }
                }
            }
            stored
        }
    })
    .await;
    let mut acknowledged = acknowledged.concat();
    acknowledged.sort_by_key(|entry| entry.seq);
    let stored = whole(&*log, here).await;
    assert_eq!(acknowledged, stored);
    assert_eq!(stored.len(), SENDERS * MESSAGES);
    assert!(stored.iter().zip(1..).all(|(entry, seq)| entry.seq == Seq(seq)));
}

/// The answer to the first attempt was lost.
pub async fn the_same_entry_again_is_its_own_duplicate<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let new = message(&ids, ann, "hi");
    let added = add(&log, here, vec![new.clone()]).await;
    for decided_at in [0, 1] {
        let answer = log
            .append(here, Seq(decided_at), vec![new.clone()])
            .await
            .unwrap();
        assert_eq!(answer, Appended::Duplicate(added[0].clone()));
    }
    assert_eq!(whole(&log, here).await, added);
}

/// I2, S-088: the first answer, whatever the content is this time.
pub async fn the_same_key_again_is_a_duplicate<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let first = add(&log, here, vec![keyed_message(&ids, ann, "k", "one")]).await;
    for decided_at in [0, 1] {
        let again = keyed_message(&ids, ann, "k", "two");
        let answer = log
            .append(here, Seq(decided_at), vec![again.clone()])
            .await
            .unwrap();
        assert_eq!(answer, Appended::Duplicate(first[0].clone()));
        assert_eq!(log.get(here, again.id).await.unwrap(), None);
    }
    assert_eq!(whole(&log, here).await, first);
}

/// Edge case 8: another sender's, or another conversation's, is another key; and keys differ by every byte.
pub async fn a_key_is_the_senders_own_in_one_conversation<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, there) = (ConversationId::new(&ids), ConversationId::new(&ids));
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    for (conversation, sender, key) in [
        (here, ann, "k"),
        (here, bob, "k"),
        (there, ann, "k"),
        (here, ann, "K"),
        (here, ann, "k "),
        (here, ann, "ｋ"),
    ] {
        let new = keyed_message(&ids, sender, key, "hi");
        let added = add(&log, conversation, vec![new.clone()]).await;
        assert_eq!(added.len(), 1);
        let found = log
            .by_client_message_id(conversation, sender, &client_message_id(key))
            .await
            .unwrap();
        assert_eq!(found.unwrap().id, new.id);
    }
    let found = log
        .by_client_message_id(there, bob, &client_message_id("k"))
        .await
        .unwrap();
    assert_eq!(found, None);
}

/// Mine, before somebody's like it.
pub async fn the_id_is_looked_up_before_the_key<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let one = add(&log, here, vec![keyed_message(&ids, ann, "k1", "one")]).await;
    let two = add(&log, here, vec![keyed_message(&ids, ann, "k2", "two")]).await;
    let both = NewEntry {
        id: two[0].id,
        ..keyed_message(&ids, ann, "k1", "both")
    };
    let answer = log.append(here, Seq(2), vec![both]).await.unwrap();
    assert_eq!(answer, Appended::Duplicate(two[0].clone()));
    assert_eq!(whole(&log, here).await, [one, two].concat());
}

/// A retry that arrives after others' messages.
pub async fn a_duplicate_is_found_before_the_head_is_compared<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let first = keyed_message(&ids, ann, "k", "one");
    let added = add(&log, here, vec![first.clone()]).await;
    add(&log, here, vec![message(&ids, ann, "two")]).await;
    for again in [first, keyed_message(&ids, ann, "k", "again")] {
        let answer = log.append(here, Seq::ZERO, vec![again]).await.unwrap();
        assert_eq!(answer, Appended::Duplicate(added[0].clone()));
    }
}

/// The caller asks again with the rest.
pub async fn a_batch_ends_before_a_duplicate<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let old = message(&ids, ann, "old");
    let stored = add(
        &log,
        here,
        vec![old.clone(), keyed_message(&ids, ann, "k", "old")],
    )
    .await;
    let by_id = old;
    let by_key = keyed_message(&ids, ann, "k", "new");
    for (duplicate, original) in [(by_id, &stored[0]), (by_key, &stored[1])] {
        let batch = vec![
            message(&ids, ann, "a"),
            message(&ids, ann, "b"),
            duplicate,
            message(&ids, ann, "c"),
        ];
        let added = add(&log, here, batch.clone()).await;
        assert_eq!(ids_of(&added), [batch[0].id, batch[1].id]);
        let rest = &batch[2..];
        let answer = log.append(here, added[1].seq, rest.to_vec()).await.unwrap();
        assert_eq!(answer, Appended::Duplicate(original.clone()));
        let last = add(&log, here, rest[1..].to_vec()).await;
        assert_eq!(last[0].seq, added[1].seq.next());
    }
}

/// So does one that stands in the batch itself.
pub async fn a_batch_with_one_key_twice_ends_before_the_second<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann, bob) = (ConversationId::new(&ids), UserId::new(&ids), UserId::new(&ids));
    let batch = vec![
        keyed_message(&ids, ann, "k", "one"),
        keyed_message(&ids, bob, "k", "bob's own"),
        keyed_message(&ids, ann, "k", "one again"),
    ];
    let added = add(&log, here, batch.clone()).await;
    assert_eq!(ids_of(&added), [batch[0].id, batch[1].id]);
    let answer = log.append(here, Seq(2), vec![batch[2].clone()]).await.unwrap();
    assert_eq!(answer, Appended::Duplicate(added[0].clone()));
}

/// I2: a client that sends again on several connections at once.
pub async fn of_twenty_racing_sends_with_one_key_one_is_stored<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = Arc::new(make().await);
    let ids = Arc::new(SeededIds::new(1));
    let (here, ann) = (ConversationId::new(&*ids), UserId::new(&*ids));
    let answers = at_once(&log, 20, |log, index| {
        let new = keyed_message(&*ids, ann, "k", &format!("attempt {index}"));
        async move { log.append(here, Seq::ZERO, vec![new]).await.unwrap() }
    })
    .await;
    let stored = whole(&*log, here).await;
    assert_eq!(stored.len(), 1);
    assert_eq!(count(&answers, |answer| matches!(answer, Appended::At(_))), 1);
    for answer in answers {
        let expected = match answer {
            Appended::At(_) => Appended::At(stored.clone()),
            Appended::Duplicate(_) | Appended::Moved { .. } => Appended::Duplicate(stored[0].clone()),
        };
        assert_eq!(answer, expected);
    }
}

/// An attempt that timed out and its retry.
pub async fn racing_attempts_of_one_entry_store_it_once<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = Arc::new(make().await);
    let ids = SeededIds::new(1);
    let here = ConversationId::new(&ids);
    let new = message(&ids, UserId::new(&ids), "hi");
    let answers = at_once(&log, 10, |log, _| {
        let new = new.clone();
        async move { log.append(here, Seq::ZERO, vec![new]).await.unwrap() }
    })
    .await;
    assert_eq!(count(&answers, |answer| matches!(answer, Appended::At(_))), 1);
    let is_duplicate = |answer: &Appended| matches!(answer, Appended::Duplicate(entry) if entry.id == new.id);
    assert_eq!(count(&answers, is_duplicate), 9);
    assert_eq!(ids_of(&whole(&*log, here).await), [new.id]);
}

/// Both ends included, always in order of seq.
pub async fn pages_are_read_in_both_directions<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    add(&log, here, (0..10).map(|_| message(&ids, ann, "hi")).collect()).await;
    let seqs = |entries: Vec<Entry>| entries.iter().map(|entry| entry.seq.0).collect::<Vec<_>>();
    for (after, limit, expected) in [
        (0, 3, vec![1, 2, 3]),
        (3, 3, vec![4, 5, 6]),
        (8, 3, vec![9, 10]),
        (10, 3, vec![]),
        (u32::MAX, 3, vec![]),
        (0, 1_000, (1..=10).collect()),
    ] {
        let page = log.read_after(here, Seq(after), limit).await.unwrap();
        assert_eq!(seqs(page), expected, "{limit} after {after}");
    }
    for (before, limit, expected) in [
        (None, 3, vec![8, 9, 10]),
        (Some(8), 3, vec![5, 6, 7]),
        (Some(3), 3, vec![1, 2]),
        (Some(1), 3, vec![]),
        (Some(0), 3, vec![]),
        (Some(11), 1, vec![10]),
        (Some(u32::MAX), 2, vec![9, 10]),
    ] {
        let page = log.read_before(here, before.map(Seq), limit).await.unwrap();
        assert_eq!(seqs(page), expected, "{limit} before {before:?}");
    }
}

/// S-070: edits, deletions and reactions are no items of their own, and pages are full all the same.
pub async fn history_has_messages_and_what_governs<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let said = add(&log, here, vec![message(&ids, ann, "{\"kind\":\"edit\"}")])
        .await
        .remove(0);
    let react = |change| reaction_to(&said, "👍", change);
    // Of these, 1, 4, 6, 9 and 12 are shown.
    for kind in [
        edit_of(&said, "two"),
        react(Change::Added),
        settings(&ids, ann, "four").kind,
        react(Change::Removed),
        message(&ids, ann, "six").kind,
        edit_of(&said, "seven"),
        react(Change::Added),
        EntryKind::Role(RoleChange {
            user: ann,
            role: Role::Admin,
            previous: Role::Member,
        }),
        delete_of(&said),
        react(Change::Removed),
        EntryKind::Join(Join {
            user: ann,
            role: Role::Member,
        }),
        edit_of(&said, "thirteen"),
    ] {
        let new = NewEntry {
            kind,
            ..message(&ids, ann, "")
        };
        add(&log, here, vec![new]).await;
    }
    for (after, limit, expected) in [
        (0, 100, &[1, 4, 6, 9, 12][..]),
        (0, 2, &[1, 4]),
        (1, 2, &[4, 6]),
        (4, 2, &[6, 9]),
        (5, 1, &[6]),
        (9, 9, &[12]),
        (12, 9, &[]),
        (u32::MAX, 9, &[]),
    ] {
        let page = log.history_after(here, Seq(after), limit).await.unwrap();
        let found: Vec<u32> = page.iter().map(|entry| entry.seq.0).collect();
        assert_eq!(found, expected, "{limit} after {after}");
    }
    for (before, limit, expected) in [
        (None, 100, &[1, 4, 6, 9, 12][..]),
        (None, 1, &[12]),
        (Some(12), 2, &[6, 9]),
        (Some(9), 2, &[4, 6]),
        (Some(4), 2, &[1]),
        (Some(1), 2, &[]),
        (Some(u32::MAX), 3, &[6, 9, 12]),
    ] {
        let page = log.history_before(here, before.map(Seq), limit).await.unwrap();
        let found: Vec<u32> = page.iter().map(|entry| entry.seq.0).collect();
        assert_eq!(found, expected, "{limit} before {before:?}");
    }
    let nowhere = ConversationId::new(&ids);
    assert_eq!(log.history_after(nowhere, Seq::ZERO, 9).await.unwrap(), []);
    assert_eq!(log.history_before(nowhere, None, 9).await.unwrap(), []);
}

/// In order of seq, each once, those that exist.
pub async fn entries_are_read_by_their_numbers<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    for conversation in [ConversationId::new(&ids), here, ConversationId::new(&ids)] {
        let batch = (0..100).map(|_| message(&ids, ann, "hi")).collect();
        add(&log, conversation, batch).await;
    }
    let stored = whole(&log, here).await;
    for (asked, expected) in [
        (vec![7], vec![7]),
        (vec![9, 3, 100, 3], vec![3, 9, 100]),
        (vec![0, 1, 101, u32::MAX], vec![1]),
        (vec![], vec![]),
        ((1..=1_000).rev().collect(), (1..=100).collect::<Vec<usize>>()),
    ] {
        let asked: Vec<Seq> = asked.into_iter().map(Seq).collect();
        let found = log.read_at(here, &asked).await.unwrap();
        let expected: Vec<Entry> = expected.iter().map(|seq| stored[seq - 1].clone()).collect();
        assert_eq!(found, expected, "{asked:?}");
    }
    let nowhere = ConversationId::new(&ids);
    assert_eq!(log.read_at(nowhere, &[Seq(1)]).await.unwrap(), []);
}

/// Entries of one are not seen from another, and neighbours don't leak into pages.
pub async fn conversations_are_apart<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let all: Vec<ConversationId> = (0..3).map(|_| ConversationId::new(&ids)).collect();
    for round in 0..3 {
        for conversation in &all {
            let added = add(&log, *conversation, vec![message(&ids, ann, "hi")]).await;
            assert_eq!(added[0].seq, Seq(round + 1));
        }
    }
    let middle = whole(&log, all[1]).await;
    assert_eq!(middle.len(), 3);
    assert!(middle.iter().all(|entry| entry.conversation == all[1]));
    assert_eq!(log.read_before(all[1], None, 100).await.unwrap(), middle);
    assert_eq!(log.get(all[0], middle[0].id).await.unwrap(), None);
    assert_eq!(
        log.get(ConversationId::new(&ids), middle[0].id).await.unwrap(),
        None
    );
}

/// Those of this conversation, whatever else is asked for.
pub async fn several_are_found_by_id<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let [here, there] = [(); 2].map(|()| ConversationId::new(&ids));
    let mut mine = Vec::new();
    for _ in 0..3 {
        mine.extend(add(&log, here, vec![message(&ids, ann, "hi")]).await);
        add(&log, there, vec![message(&ids, ann, "hi")]).await;
    }
    let foreign = whole(&log, there).await[1].id;
    let asked = [mine[2].id, foreign, EntryId::new(&ids), mine[0].id];
    let mut found = log.get_many(here, &asked).await.unwrap();
    found.sort_by_key(|entry| entry.seq);
    assert_eq!(found, [mine[0].clone(), mine[2].clone()]);
    assert_eq!(log.get_many(here, &[]).await.unwrap(), []);
    let nowhere = ConversationId::new(&ids);
    assert_eq!(log.get_many(nowhere, &asked).await.unwrap(), []);
}

/// The longest list.
pub async fn heads_come_in_the_order_they_were_asked_for<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    let log = make().await;
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let asked: Vec<ConversationId> = (0..500).map(|_| ConversationId::new(&ids)).collect();
    let mut expected = vec![Head::EMPTY; 500];
    for index in [3, 77, 499] {
        for _ in 0..2 {
            let added = add(&log, asked[index], vec![message(&ids, ann, "hi")]).await;
            expected[index] = Head::of(&added[0]);
        }
    }
    assert_eq!(log.heads(&asked).await.unwrap(), expected);
    assert_eq!(log.heads(&[]).await.unwrap(), []);
    let twice = log.heads(&[asked[3], asked[0], asked[3]]).await.unwrap();
    assert_eq!(twice, [expected[3], Head::EMPTY, expected[3]]);
    assert_eq!(expected[3].created_at, now());
}

/// See [`log_model`].
pub async fn random_concurrent_appends_match_the_model<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationLog>,
{
    log_model::check(make).await;
}
