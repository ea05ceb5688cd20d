//! What the conformance suite can't ask of every adapter: restarts, failures, and how much is done at a time.

use std::time::Duration;

use chatterbox_core::domain::change::Edit;
use chatterbox_core::domain::entry::{EntryKind, Seq};
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::ports::storage::{
    Appended, MessageChange, MessageStep, NewEntry, SearchQuery, StoreError, Stores,
};
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::testkit::samples::{message, now};
use rusqlite::Connection;

use super::feed;
use crate::adapters::embedded::schema::MIGRATIONS;
use crate::adapters::embedded::writer::{SETTLE_AFTER, Writing};
use crate::adapters::embedded::{EmbeddedStore, FILE_NAME, messages};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn open_unfed(dir: &tempfile::TempDir) -> EmbeddedStore {
    let (store, _) =
        EmbeddedStore::open_unfed(&dir.path().join(FILE_NAME), MIGRATIONS, SETTLE_AFTER).unwrap();
    store
}

async fn say(stores: &Stores, here: ConversationId, said: Vec<NewEntry>) {
    let head = stores.log.head(here).await.unwrap();
    let answer = stores.log.append(here, head.seq, said).await.unwrap();
    assert!(matches!(answer, Appended::At(_)), "{answer:?}");
}

async fn found(stores: &Stores, here: ConversationId, term: &str) -> Vec<EntryId> {
    let query = SearchQuery {
        within: vec![(here, Seq::ZERO)],
        terms: vec![term.to_owned()],
        from: None,
        has_link: false,
        before: None,
        limit: 101,
    };
    let found = stores.messages.search(query).await.unwrap();
    found.iter().map(|entry| entry.id).collect()
}

/// Feeds slices until nothing is left; how many there were.
async fn feed_all(store: &EmbeddedStore) -> usize {
    let mut slices = 1;
    while !store.writer.write(feed::feed).await.unwrap().unwrap() {
        slices += 1;
    }
    slices
}

#[tokio::test]
async fn what_an_earlier_process_left_is_found_after_opening() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let said = message(&ids, ann, "left behind");
    let store = open_unfed(&dir);
    say(&store.stores(), here, vec![said.clone()]).await;
    store.close().await;
    drop(store);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    // Nothing tells when it is done.
    for _ in 0..400 {
        if found(&store.stores(), here, "behind").await == [said.id] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it is never found");
}

#[tokio::test]
async fn messages_are_fed_in_slices_each_once() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let conversations = [ConversationId::new(&ids), ConversationId::new(&ids)];
    let store = open_unfed(&dir);
    let stores = store.stores();
    for _ in 0..2 {
        for here in conversations {
            let said = (0..100).map(|_| message(&ids, ann, "tea")).collect();
            say(&stores, here, said).await;
        }
        assert!((2..9).contains(&feed_all(&store).await));
        assert_eq!(feed_all(&store).await, 1, "nothing is left");
    }
    // Long ones count for more.
    let long = "tea ".repeat(1_000);
    let said = (0..100).map(|_| message(&ids, ann, &long)).collect();
    say(&stores, conversations[0], said).await;
    assert!(feed_all(&store).await > 4);
    let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    let rows: u32 = connection
        .query_row("SELECT count(*) FROM search_docsize", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 500);
}

#[tokio::test]
async fn what_a_failed_transaction_took_back_is_fed_again() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let (store, news) =
        EmbeddedStore::open_unfed(&dir.path().join(FILE_NAME), MIGRATIONS, SETTLE_AFTER).unwrap();
    let stores = store.stores();
    let said = message(&ids, ann, "tea");
    say(&stores, here, vec![said.clone()]).await;
    assert!(
        news.take_incomplete(),
        "an earlier process may have left something"
    );
    let failed: Result<(), StoreError> = store
        .writer
        .write(|writing| {
            assert!(feed::feed(writing)??);
            Err(StoreError::Full)
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(found(&stores, here, "tea").await, []);
    assert!(news.take_incomplete());
    assert!(!news.take_incomplete());
    // Which a look at all logs finds out, once it has settled.
    feed_all(&store).await;
    store.close().await;
    drop((stores, store));
    let store = open_unfed(&dir);
    let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    let logs = feed::logs_above(&connection, 0).unwrap();
    let is_behind: Vec<bool> = logs.iter().map(|log| log.is_behind).collect();
    let is_found = found(&store.stores(), here, "tea").await == [said.id];
    assert_eq!(is_behind, [!is_found]);
}

/// Newer ids may stand before older ones in a log, by as much as is sent at once.
#[tokio::test]
async fn pages_miss_nothing_where_ids_are_out_of_order() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let store = open_unfed(&dir);
    let stores = store.stores();
    let mut said: Vec<NewEntry> = (0..200).map(|_| message(&ids, ann, "tea")).collect();
    let mut expected: Vec<EntryId> = said.iter().map(|new| new.id).rev().collect();
    for batch in said.chunks_mut(30) {
        batch.reverse();
        say(&stores, here, batch.to_vec()).await;
    }
    feed_all(&store).await;
    let mut all: Vec<EntryId> = Vec::new();
    loop {
        let query = SearchQuery {
            within: vec![(here, Seq::ZERO)],
            terms: vec!["tea".to_owned()],
            from: None,
            has_link: false,
            before: all.last().copied(),
            limit: 7,
        };
        let page = stores.messages.search(query).await.unwrap();
        if page.is_empty() {
            break;
        }
        all.extend(page.iter().map(|entry| entry.id));
    }
    expected.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(all, expected);
}

/// S-131: in place and everywhere, the search index included.
#[tokio::test]
async fn s_131_no_word_of_a_deleted_message_is_left_in_the_file() {
    const WORDS: [&str; 3] = ["mnemosyne4711", "kalliope0815", "terpsichore42"];
    let dir = dir();
    let path = dir.path().join(FILE_NAME);
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let store = open_unfed(&dir);
    let stores = store.stores();
    // Enough for some pages, and longer than one.
    let first = message(&ids, ann, &format!("{} {}", WORDS[0], "stays ".repeat(2_000)));
    let edit = |content: &str| Edit {
        message: first.id,
        message_seq: Seq(1),
        sent_at: now(),
        reply_to: None,
        content: content.to_owned(),
        mentions: Vec::new(),
        redacted_at: None,
    };
    let about = |kind: EntryKind| NewEntry {
        kind,
        ..message(&ids, ann, "")
    };
    say(&stores, here, vec![first.clone()]).await;
    for some in 0..20 {
        let said = (0..100).map(|one| message(&ids, ann, &format!("some{some} one{one}")));
        say(&stores, here, said.collect()).await;
    }
    feed_all(&store).await;
    let mut seq = 2_001;
    for word in &WORDS[1..] {
        seq += 1;
        let edit = edit(word);
        say(&stores, here, vec![about(EntryKind::Edit(edit.clone()))]).await;
        became(&store, here, (ann, first.id), (seq, MessageChange::Edited(edit))).await;
        assert_eq!(found(&stores, here, WORDS[0]).await, [], "at once");
        feed_all(&store).await;
        assert_eq!(found(&stores, here, word).await, [first.id]);
    }
    assert_eq!(found(&stores, here, WORDS[1]).await, []);
    let has = |word: &str| {
        let connection = Connection::open(&path).unwrap();
        let busy: bool = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .unwrap();
        assert!(!busy);
        let bytes = std::fs::read(&path).unwrap();
        bytes.windows(word.len()).any(|at| at == word.as_bytes())
    };
    assert!(WORDS.iter().all(|word| has(word)));
    became(&store, here, (ann, first.id), (seq + 1, MessageChange::Deleted)).await;
    assert_eq!(found(&stores, here, WORDS[2]).await, [], "at once");
    feed_all(&store).await;
    assert_eq!(found(&stores, here, "stays").await, []);
    assert_eq!(found(&stores, here, "some7").await.len(), 100);
    store.close().await;
    drop((stores, store));
    for word in WORDS {
        assert!(!has(word), "{word}");
    }
    let connection = Connection::open(&path).unwrap();
    connection
        .execute("INSERT INTO search (search) VALUES ('integrity-check')", [])
        .unwrap();
}

/// What is stale is refreshed after a restart, and not before in the feeder's own time.
#[tokio::test]
async fn what_became_stale_before_a_restart_is_refreshed_after_it() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    let store = open_unfed(&dir);
    let stores = store.stores();
    let said = message(&ids, ann, "tea");
    say(&stores, here, vec![said.clone()]).await;
    feed_all(&store).await;
    became(&store, here, (ann, said.id), (2, MessageChange::Deleted)).await;
    store.close().await;
    drop((stores, store));
    let stale = || {
        let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
        connection
            .query_row("SELECT count(*) FROM search_stale", [], |row| {
                row.get::<_, u32>(0)
            })
            .unwrap()
    };
    assert_eq!(stale(), 1);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    // Nothing tells when it is done.
    for _ in 0..400 {
        if stale() == 0 {
            store.close().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it stays stale");
}

/// The first message of a log changes, as its projection says.
async fn became(
    store: &EmbeddedStore,
    here: ConversationId,
    (by, message): (UserId, EntryId),
    (seq, change): (u32, MessageChange),
) {
    let step = MessageStep {
        seq: Seq(seq),
        by,
        at: now(),
        message,
        message_seq: Seq(1),
        change,
    };
    let project = move |writing: &mut Writing| {
        writing.settle(here)?;
        messages::project(&writing.connection, here, &[step], &[])
    };
    store.writer.write(project).await.unwrap();
}
