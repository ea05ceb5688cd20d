//! What only the journal can do wrong: reads across its border, crashes on both sides of settling, rollbacks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chatterbox_core::domain::entry::{ClientMessageId, Entry, Seq};
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::memory::MemoryStores;
use chatterbox_core::ports::storage::{Appended, ConversationLog, NewEntry, StoreError};
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::testkit::samples::keyed_message;
use rusqlite::Connection;
use tempfile::TempDir;

use super::super::schema::MIGRATIONS;
use super::super::tests::copy_files;
use super::super::writer::{SETTLE_AFTER, Writing};
use super::super::{EmbeddedStore, FILE_NAME};
use super::journal::ENTRIES_MAX;
use super::rows;

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A store in which nobody settles entries but those of this file.
fn open(dir: &Path) -> EmbeddedStore {
    // Nothing settles by itself, however slow the machine is.
    open_settling(dir, Duration::from_hours(1))
}

fn open_settling(dir: &Path, after: Duration) -> EmbeddedStore {
    let (store, _) = EmbeddedStore::open_unfed(&dir.join(FILE_NAME), MIGRATIONS, after).unwrap();
    store
}

fn rows_of(dir: &TempDir, table: &str) -> usize {
    let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    let count = format!("SELECT count(*) FROM {table}");
    let rows: u32 = connection.query_row(&count, [], |row| row.get(0)).unwrap();
    rows as usize
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    /// From 0 and below `sides`.
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from(((mixed >> 32) * u64::from(sides)) >> 32).unwrap()
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.roll(u32::try_from(among.len()).unwrap()) as usize]
    }
}

/// Runs something within a transaction of the writer.
async fn write<T: Send + 'static>(
    store: &EmbeddedStore,
    act: impl FnOnce(&mut Writing) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.writer.write(act).await.unwrap()
}

async fn settle_some(store: &EmbeddedStore) {
    write(store, |writing| {
        writing.journal.settle_some(&writing.connection).unwrap();
        Ok(())
    })
    .await;
}

async fn settle_all(store: &EmbeddedStore) {
    write(store, |writing| {
        writing.settle_all().unwrap();
        Ok(())
    })
    .await;
}

fn unsettled(store: &EmbeddedStore) -> usize {
    store.unsettled.change(|memory| memory.len())
}

/// Conversations whose senders say "0", "1", … under keys of the same name.
struct Talk {
    ids: SeededIds,
    conversations: Vec<ConversationId>,
    ann: UserId,
    said: Vec<Vec<NewEntry>>,
}

impl Talk {
    fn new(conversations: usize) -> Talk {
        let ids = SeededIds::new(1);
        Talk {
            conversations: (0..conversations).map(|_| ConversationId::new(&ids)).collect(),
            ann: UserId::new(&ids),
            said: vec![Vec::new(); conversations],
            ids,
        }
    }

    fn next(&self, at: usize, count: usize) -> Vec<NewEntry> {
        let key = |nth| format!("{}", self.said[at].len() + nth);
        (0..count)
            .map(|nth| keyed_message(&self.ids, self.ann, &key(nth), &key(nth)))
            .collect()
    }

    async fn append(&mut self, store: &EmbeddedStore, at: usize, count: usize) {
        let new = self.next(at, count);
        let head = Seq(u32::try_from(self.said[at].len()).unwrap());
        let log = store.stores().log;
        let answer = log
            .append(self.conversations[at], head, new.clone())
            .await
            .unwrap();
        assert!(
            matches!(&answer, Appended::At(added) if added.len() == count),
            "{answer:?}"
        );
        self.said[at].extend(new);
    }

    /// I1, I2, I3: all that was acknowledged is there, dense and in order, and known by its id and its key.
    async fn check(&self, store: &EmbeddedStore) {
        let log = store.stores().log;
        for (here, said) in self.conversations.iter().zip(&self.said) {
            let all = log.read_after(*here, Seq::ZERO, 1_000).await.unwrap();
            let numbers: Vec<u32> = all.iter().map(|entry| entry.seq.0).collect();
            let expected: Vec<u32> = (1..).take(said.len()).collect();
            assert_eq!(numbers, expected);
            for (entry, new) in all.iter().zip(said) {
                assert_eq!((entry.id, &entry.kind), (new.id, &new.kind));
            }
            assert_eq!(log.read_before(*here, None, 1_000).await.unwrap(), all);
            assert_eq!(log.head(*here).await.unwrap().seq.0 as usize, said.len());
            for (new, entry) in said.iter().zip(&all) {
                let known = Appended::Duplicate(entry.clone());
                let again = log.append(*here, Seq::ZERO, vec![new.clone()]).await.unwrap();
                assert_eq!(again, known, "by its id");
                let mut other_id = new.clone();
                other_id.id = chatterbox_core::ids::EntryId::new(&self.ids);
                let again = log.append(*here, Seq::ZERO, vec![other_id]).await.unwrap();
                assert_eq!(again, known, "by its key");
            }
        }
    }
}

/// DESIGN.md section 4: an ack means durable. The copies are what a kill leaves at each stage.
#[tokio::test]
async fn a_crash_loses_nothing_wherever_entries_are() {
    let running = dir();
    let store = open(running.path());
    let mut talk = Talk::new(3);
    talk.append(&store, 0, 200).await;
    talk.append(&store, 1, 200).await;
    talk.append(&store, 2, 5).await;
    for stage in ["journal", "entries, and left in the journal", "both"] {
        let killed = dir();
        match stage {
            "journal" => {}
            "both" => {
                talk.append(&store, 2, 7).await;
                talk.append(&store, 0, 2).await;
            }
            _ => {
                settle_some(&store).await;
                assert_eq!((unsettled(&store), rows_of(&running, "journal")), (5, 405));
            }
        }
        copy_files(&running, &killed);
        let reopened = open(killed.path());
        talk.check(&reopened).await;
        assert_eq!(rows_of(&killed, "journal"), 0, "{stage}");
        let entries: usize = talk.said.iter().map(Vec::len).sum();
        assert_eq!(rows_of(&killed, "entries"), entries, "{stage}");
        let mut later = Talk {
            said: talk.said.clone(),
            conversations: talk.conversations.clone(),
            ids: SeededIds::new(2),
            ann: talk.ann,
        };
        later.append(&reopened, 0, 3).await;
        later.append(&reopened, 2, 1).await;
        later.check(&reopened).await;
    }
    talk.check(&store).await;
}

#[tokio::test]
async fn closing_leaves_nothing_in_the_journal() {
    let dir = dir();
    let store = open(dir.path());
    let mut talk = Talk::new(2);
    talk.append(&store, 0, 9).await;
    talk.append(&store, 1, 9).await;
    assert_eq!(unsettled(&store), 18);
    store.close().await;
    assert_eq!((rows_of(&dir, "journal"), rows_of(&dir, "entries")), (0, 18));
    let reopened = open(dir.path());
    talk.check(&reopened).await;
}

/// What waits in memory is bounded however many conversations there are; what is beyond is settled, oldest first.
#[tokio::test]
async fn the_journal_is_settled_when_it_is_full() {
    let dir = dir();
    let store = open(dir.path());
    let mut talk = Talk::new(24);
    let (mut most, mut most_rows) = (0, 0);
    for round in 0..120 {
        talk.append(&store, round % 24, 150).await;
        most = most.max(unsettled(&store));
        most_rows = most_rows.max(rows_of(&dir, "journal"));
    }
    assert!(most <= ENTRIES_MAX && most > ENTRIES_MAX / 2, "{most}");
    assert!(rows_of(&dir, "entries") >= 120 * 150 - ENTRIES_MAX);
    assert!(
        most_rows < 3 * ENTRIES_MAX,
        "settled rows are deleted: {most_rows}"
    );
    talk.check(&store).await;
}

/// The bytes count as well.
#[tokio::test]
async fn the_journal_is_settled_when_its_entries_are_long() {
    let dir = dir();
    let store = open(dir.path());
    let mut talk = Talk::new(2);
    let long = "x".repeat(60_000);
    for round in 0..300_u32 {
        let new = keyed_message(&talk.ids, talk.ann, &round.to_string(), &long);
        let at = usize::from(round % 2 == 1);
        let head = Seq(round / 2);
        let log = store.stores().log;
        log.append(talk.conversations[at], head, vec![new.clone()])
            .await
            .unwrap();
        talk.said[at].push(new);
        assert!(store.unsettled.change(|memory| memory.bytes()) <= 8 << 20);
    }
    assert!(rows_of(&dir, "entries") > 0);
    talk.check(&store).await;
}

/// A write that settles and fails behind that takes its group back; nobody sees a difference.
#[tokio::test]
async fn a_rollback_leaves_entries_as_they_were() {
    let dir = dir();
    let store = open(dir.path());
    let mut talk = Talk::new(3);
    talk.append(&store, 0, 4).await;
    talk.append(&store, 1, 4).await;
    settle_all(&store).await;
    talk.append(&store, 0, 2).await;
    talk.append(&store, 2, 2).await;
    let (first, last) = (talk.conversations[0], talk.conversations[2]);
    let lost: Vec<_> = (0..3).map(|at| talk.next(at, 2)).collect();
    for settle_first in [true, false] {
        let lost = lost.clone();
        let answer = store
            .writer
            .write(move |writing| -> Result<(), StoreError> {
                if settle_first {
                    writing.settle(first)?;
                }
                let added = super::append(writing, first, Seq(6), lost[0].clone())?;
                assert!(matches!(added, Appended::At(_)), "{added:?}");
                let again = super::append(writing, first, Seq(8), lost[0].clone())?;
                assert!(
                    matches!(again, Appended::Duplicate(_)),
                    "seen within the transaction"
                );
                let added = super::append(writing, last, Seq(2), lost[2].clone())?;
                assert!(matches!(added, Appended::At(_)), "{added:?}");
                writing.settle_all().unwrap();
                Err(StoreError::Corrupt("on purpose".to_owned()))
            })
            .await;
        assert!(matches!(answer, Err(StoreError::Corrupt(_))), "{answer:?}");
        assert_eq!(unsettled(&store), 4);
        talk.check(&store).await;
    }
    // The same attempts go through now, and settling starts over.
    talk.append(&store, 0, 2).await;
    settle_all(&store).await;
    assert_eq!(unsettled(&store), 0);
    assert_eq!(rows_of(&dir, "journal"), 0);
    talk.check(&store).await;
}

/// What redaction builds on: afterwards `entries` is the whole truth about a conversation, in the same transaction too,
/// and no copy is left that could come back after a crash.
#[tokio::test]
async fn a_settled_conversation_can_be_changed_in_place() {
    let running = dir();
    let store = open(running.path());
    let mut talk = Talk::new(2);
    talk.append(&store, 0, 3).await;
    talk.append(&store, 1, 3).await;
    // Some settled long ago, their rows left in the journal.
    settle_some(&store).await;
    talk.append(&store, 0, 3).await;
    talk.append(&store, 1, 1).await;
    let (here, said) = (talk.conversations[0], talk.said[0].clone());
    let key = said[4].client_message_id.clone();
    write(&store, move |writing| {
        writing.settle(here)?;
        let number = rows::number(&writing.connection, here).unwrap().unwrap();
        let changed = writing
            .connection
            .execute(
                "UPDATE entries SET kind = json_set(kind, '$.content', '') WHERE log = ?1",
                [number],
            )
            .unwrap();
        assert_eq!(changed, 6);
        // A duplicate within the same transaction is answered with what it is now.
        let again = super::append(writing, here, Seq::ZERO, vec![said[4].clone()])?;
        assert!(
            matches!(&again, Appended::Duplicate(entry) if is_redacted(entry)),
            "{again:?}"
        );
        let moved = super::append(writing, here, Seq(2), vec![])?;
        assert!(
            matches!(&moved, Appended::Moved { entries_since, .. } if entries_since.iter().all(is_redacted)),
            "{moved:?}"
        );
        Ok(())
    })
    .await;
    assert_eq!(unsettled(&store), 1, "the other conversation is left alone");
    let killed = dir();
    copy_files(&running, &killed);
    for store in [store, open(killed.path())] {
        let log = store.stores().log;
        let all = log.read_after(here, Seq::ZERO, 1_000).await.unwrap();
        assert!(all.len() == 6 && all.iter().all(is_redacted), "{all:?}");
        let by_key = log
            .by_client_message_id(here, talk.ann, key.as_ref().unwrap())
            .await
            .unwrap();
        assert!(by_key.is_some_and(|entry| is_redacted(&entry)));
    }
}

fn is_redacted(entry: &Entry) -> bool {
    matches!(&entry.kind, chatterbox_core::domain::entry::EntryKind::Message(body) if body.content.is_empty())
}

/// Nobody writes for a while: everything gets where it is read from, without being asked.
#[tokio::test]
async fn entries_settle_when_nobody_writes() {
    let dir = dir();
    let store = open_settling(dir.path(), SETTLE_AFTER);
    let mut talk = Talk::new(3);
    for at in 0..3 {
        talk.append(&store, at, 200).await;
    }
    // Less than half a second of real time: the writer is a thread of its own.
    while rows_of(&dir, "journal") > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rows_of(&dir, "entries"), 600);
    talk.check(&store).await;
}

/// I3: a reader finds every entry once, in order, and never fewer than before, however they move meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_miss_nothing_while_entries_settle() {
    const LAST: u32 = 600;
    let dir = dir();
    let store = open(dir.path());
    let ids = Arc::new(SeededIds::new(1));
    let (here, ann) = (ConversationId::new(&*ids), UserId::new(&*ids));
    let tasks = Tasks::new();
    let writing = tasks.spawn({
        let (store, ids) = (store.clone(), ids.clone());
        async move {
            let log = store.stores().log;
            for head in 0..LAST {
                let new = keyed_message(&*ids, ann, &(head + 1).to_string(), "hi");
                log.append(here, Seq(head), vec![new]).await.unwrap();
                if head % 3 == 0 {
                    settle_some(&store).await;
                }
            }
        }
    });
    let mut readers = Vec::new();
    for _ in 0..3 {
        let log = store.stores().log;
        readers.push(tasks.spawn(async move {
            let mut seen = 0;
            while seen < LAST {
                let head = log.head(here).await.unwrap().seq.0;
                assert!(head >= seen);
                let after = log.read_after(here, Seq(head / 2), 1_000).await.unwrap();
                let numbers: Vec<u32> = after.iter().map(|entry| entry.seq.0).collect();
                let expected: Vec<u32> = (head / 2 + 1..).take(numbers.len()).collect();
                assert_eq!(numbers, expected);
                seen = numbers.last().copied().unwrap_or(head);
                assert!(seen >= head);
                let before = log.read_before(here, None, 10).await.unwrap();
                let numbers: Vec<u32> = before.iter().map(|entry| entry.seq.0).collect();
                let last = numbers.last().copied().unwrap_or(0);
                assert!(last >= seen);
                let expected: Vec<u32> = (1..=last).skip(last.saturating_sub(10) as usize).collect();
                assert_eq!(numbers, expected);
                if seen > 0 {
                    let key = ClientMessageId::parse(&seen.to_string()).unwrap();
                    let found = log.by_client_message_id(here, ann, &key).await.unwrap();
                    assert!(found.is_some_and(|entry| entry.seq.0 == seen));
                }
            }
        }));
    }
    writing.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
}

/// Whatever order appends, settling and reopening come in, every answer is the in-memory twin's.
#[tokio::test]
async fn every_answer_is_that_of_the_twin() {
    for seed in 0..12 {
        let mut dice = Dice(u64::from(seed));
        let directory = dir();
        let mut store = open(directory.path());
        let twin = MemoryStores::new(10_000).log;
        let ids = SeededIds::new(seed);
        let conversations: Vec<_> = (0..4).map(|_| ConversationId::new(&ids)).collect();
        let users: Vec<_> = (0..2).map(|_| UserId::new(&ids)).collect();
        let mut made: [Vec<NewEntry>; 4] = Default::default();
        for step in 0..120 {
            let label = format!("seed {seed}, step {step}");
            let at = dice.roll(4) as usize;
            let here = conversations[at];
            match dice.roll(20) {
                0 | 1 => settle_some(&store).await,
                2 => settle_all(&store).await,
                3 | 4 => write(&store, move |writing| writing.settle(here)).await,
                5 => {
                    store.close().await;
                    store = open(directory.path());
                }
                _ => {
                    let head = twin.head(here).await.unwrap().seq.0;
                    let decided_at = Seq(if dice.roll(4) == 0 {
                        dice.roll(head + 2)
                    } else {
                        head
                    });
                    let mut batch = Vec::new();
                    for _ in 0..=dice.roll(3) {
                        batch.push(if made[at].is_empty() || dice.roll(4) > 0 {
                            let key = dice.roll(60).to_string();
                            keyed_message(&ids, *dice.pick(&users), &key, "hi")
                        } else {
                            dice.pick(&made[at]).clone()
                        });
                    }
                    made[at].extend(batch.iter().cloned());
                    let expected = twin.append(here, decided_at, batch.clone()).await.unwrap();
                    let answer = store.stores().log.append(here, decided_at, batch).await.unwrap();
                    assert_eq!(answer, expected, "{label}");
                }
            }
            compare(&*store.stores().log, &*twin, here, &mut dice, &label).await;
        }
    }
}

async fn compare(
    log: &dyn ConversationLog,
    twin: &dyn ConversationLog,
    here: ConversationId,
    dice: &mut Dice,
    label: &str,
) {
    let head = twin.head(here).await.unwrap();
    assert_eq!(log.head(here).await.unwrap(), head, "{label}");
    assert_eq!(log.heads(&[here]).await.unwrap(), [head], "{label}");
    let (at, limit) = (Seq(dice.roll(head.seq.0 + 3)), 1 + dice.roll(8) as usize);
    assert_eq!(
        log.read_after(here, at, limit).await.unwrap(),
        twin.read_after(here, at, limit).await.unwrap(),
        "{label}: after {at}, {limit}"
    );
    let before = (dice.roll(2) == 0).then_some(at);
    let page = twin.read_before(here, before, limit).await.unwrap();
    assert_eq!(
        log.read_before(here, before, limit).await.unwrap(),
        page,
        "{label}: before {before:?}, {limit}"
    );
    for entry in page {
        assert_eq!(
            log.get(here, entry.id).await.unwrap().as_ref(),
            Some(&entry),
            "{label}"
        );
        let key = entry.client_message_id.as_ref().unwrap();
        let found = log.by_client_message_id(here, entry.sender, key).await.unwrap();
        assert_eq!(found.as_ref(), Some(&entry), "{label}");
    }
}
