//! What the conformance suites can't ask of every adapter: reopening, failing, migrating.

use std::path::Path;

use chatterbox_core::domain::entry::Seq;
use chatterbox_core::domain::user::UserSettings;
use chatterbox_core::domain::user_search::UserQuery;
use chatterbox_core::ids::{ConversationId, JobId, UserId};
use chatterbox_core::ports::storage::{Appended, StoreError, Stores};
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::testkit::samples::{
    ROOMS_MAX, in_secs, keyed_message, message, new_room, new_user, now, session,
};
use rusqlite::Connection;

use super::schema::{BEFORE_USER_KEYS, MIGRATIONS};
use super::writer::SETTLE_AFTER;
use super::{EmbeddedStore, FILE_NAME, OpenError};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Copies an open store as a kill would leave it now: nothing is flushed or closed.
pub(super) fn copy_files(from: &tempfile::TempDir, to: &tempfile::TempDir) {
    for name in [FILE_NAME.to_owned(), format!("{FILE_NAME}-wal")] {
        std::fs::copy(from.path().join(&name), to.path().join(&name)).unwrap();
    }
}

async fn append_one(stores: &Stores, ids: &SeededIds, conversation: ConversationId, decided_at: u32) {
    let new = message(ids, UserId::new(ids), "hi");
    let answer = stores
        .log
        .append(conversation, Seq(decided_at), vec![new])
        .await
        .unwrap();
    assert!(matches!(answer, Appended::At(_)), "{answer:?}");
}

#[tokio::test]
async fn reopening_keeps_everything_whether_closed_or_not() {
    for close in [true, false] {
        let (dir, killed) = (dir(), self::dir());
        let ids = SeededIds::new(1);
        let (ann, here) = (new_user(&ids, "ann"), ConversationId::new(&ids));
        let login = session(&ids, ann.id);
        let room = new_room(&ids, "general", Some(ann.id));
        let job = JobId::new(&ids);
        let said = keyed_message(&ids, ann.id, "k", "hi");
        {
            let store = EmbeddedStore::open(dir.path()).unwrap();
            let stores = store.stores();
            stores.users.insert(ann.clone()).await.unwrap();
            stores.sessions.insert(&login).await.unwrap();
            stores
                .conversations
                .create_room(room.clone(), ROOMS_MAX)
                .await
                .unwrap();
            stores
                .log
                .append(here, Seq::ZERO, vec![said.clone()])
                .await
                .unwrap();
            let sweep = chatterbox_core::app::jobs::Job::SweepSessions;
            store.queue().push(job, &sweep, now()).await.unwrap();
            if close {
                store.close().await;
            } else {
                copy_files(&dir, &killed);
            }
        }
        let store = EmbeddedStore::open(if close { dir.path() } else { killed.path() }).unwrap();
        let stores = store.stores();
        assert_eq!(stores.users.get(ann.id).await.unwrap().unwrap().username, "ann");
        assert_eq!(stores.sessions.get(login.id).await.unwrap(), Some(login));
        assert!(
            stores
                .conversations
                .member(room.id, ann.id)
                .await
                .unwrap()
                .is_some()
        );
        let claimed = store
            .queue()
            .claim(in_secs(1), std::time::Duration::ZERO, 9)
            .await
            .unwrap();
        assert_eq!(claimed[0].id, job);
        // A retry from before is known, and the log goes on behind it.
        let again = stores.log.append(here, Seq::ZERO, vec![said]).await.unwrap();
        assert!(matches!(again, Appended::Duplicate(entry) if entry.seq == Seq(1)));
        append_one(&stores, &ids, here, 1).await;
    }
}

#[tokio::test]
async fn a_closed_store_answers_unavailable() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let stores = store.stores();
    let here = ConversationId::new(&ids);
    append_one(&stores, &ids, here, 0).await;
    store.close().await;
    store.close().await;
    let new = message(&ids, UserId::new(&ids), "late");
    let answer = stores.log.append(here, Seq(1), vec![new]).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    assert_eq!(stores.log.head(here).await.unwrap().seq, Seq(1));
}

#[tokio::test]
async fn a_writer_that_panicked_answers_unavailable_and_keeps_nothing_half() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let ann = new_user(&ids, "ann");
    let id = *ann.id.as_bytes();
    let answer = store
        .writer
        .write(move |writing| -> Result<(), StoreError> {
            writing
                .connection
                .execute("INSERT INTO logs (conversation) VALUES (?1)", [id])
                .unwrap();
            panic!("on purpose");
        })
        .await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    let stores = store.stores();
    let answer = stores.users.set_admin(ann.id, true).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    drop((store, stores));
    let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    let rows: i64 = connection
        .query_row("SELECT count(*) FROM logs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 0);
}

/// A disk of so many pages more than are used now.
async fn leave_pages(store: &EmbeddedStore, pages: i64) {
    store
        .writer
        .write(move |writing| {
            let used: i64 = writing
                .connection
                .pragma_query_value(None, "page_count", |row| row.get(0))
                .unwrap();
            writing
                .connection
                .pragma_update_and_check(None, "max_page_count", used + pages, |_| Ok(()))
                .unwrap();
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing_that_was_answered() {
    let dir = dir();
    let ids = SeededIds::new(1);
    // Without the search's writes: one that finds the disk full takes appends of its transaction along.
    let path = dir.path().join(FILE_NAME);
    let (store, _) = EmbeddedStore::open_unfed(&path, MIGRATIONS, SETTLE_AFTER).unwrap();
    let stores = store.stores();
    let (here, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    leave_pages(&store, 20).await;
    let mut stored = 0;
    let batch = loop {
        let batch: Vec<_> = (0..8).map(|_| message(&ids, ann, &"x".repeat(1_000))).collect();
        match stores.log.append(here, Seq(stored), batch.clone()).await {
            Ok(answer) => {
                assert!(matches!(answer, Appended::At(_)), "{answer:?}");
                stored += 8;
            }
            Err(StoreError::Full) => break batch,
            Err(error) => panic!("{error:?}"),
        }
    };
    assert!(stored > 0);
    assert_eq!(stores.log.head(here).await.unwrap().seq, Seq(stored));
    assert_eq!(stores.log.get(here, batch[0].id).await.unwrap(), None);
    // Room again: the same attempt goes through, right behind what was there.
    leave_pages(&store, 1_000).await;
    let answer = stores.log.append(here, Seq(stored), batch.clone()).await.unwrap();
    assert!(
        matches!(&answer, Appended::At(added) if added.len() == 8),
        "{answer:?}"
    );
}

/// A prepared statement is prepared once, whatever values it gets.
#[test]
fn statements_keep_their_plan() {
    let dir = dir();
    let _store = EmbeddedStore::open(dir.path()).unwrap();
    let reader = super::schema::open_reader(&dir.path().join(FILE_NAME)).unwrap();
    let mut statement = reader
        .prepare("SELECT * FROM members WHERE user = ?1 AND read_seq > ?2 ORDER BY conversation LIMIT ?3")
        .unwrap();
    for value in 1..10_u8 {
        assert!(
            !statement
                .exists(rusqlite::params![[value; 12], value, value])
                .unwrap()
        );
    }
    let again = statement.get_status(rusqlite::StatementStatus::RePrepare);
    assert_eq!(again, 0);
}

/// Both are in one group, since they are queued while the writer is held back.
#[tokio::test]
async fn a_write_that_fails_half_way_takes_its_group_along_and_no_more() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let here = ConversationId::new(&ids);
    append_one(&store.stores(), &ids, here, 0).await;

    let tasks = Tasks::new();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let (reached, has_reached) = tokio::sync::oneshot::channel();
    let writer = store.writer.clone();
    let holding = tasks.spawn(async move {
        writer
            .write(move |_| {
                reached.send(()).unwrap();
                held.recv().unwrap();
                Ok(())
            })
            .await
    });
    has_reached.await.unwrap();
    let writer = store.writer.clone();
    let failing = tasks.spawn(async move {
        writer
            .write(|writing| -> Result<(), StoreError> {
                writing
                    .connection
                    .execute("INSERT INTO logs (conversation) VALUES (x'00')", [])
                    .unwrap();
                Err(StoreError::Corrupt("half-way".to_owned()))
            })
            .await
    });
    let stores = store.stores();
    let new = message(&ids, UserId::new(&ids), "in the same group");
    let appending = tasks.spawn({
        let (stores, new) = (stores.clone(), new.clone());
        async move { stores.log.append(here, Seq(1), vec![new]).await }
    });
    while store.writer.waiting() < 2 {
        tokio::task::yield_now().await;
    }
    hold.send(()).unwrap();
    holding.await.unwrap().unwrap();
    let failed = failing.await.unwrap();
    assert!(
        matches!(&failed, Err(StoreError::Corrupt(why)) if why == "half-way"),
        "{failed:?}"
    );
    let answer = appending.await.unwrap();
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    assert_eq!(stores.log.head(here).await.unwrap().seq, Seq(1));
    let answer = stores.log.append(here, Seq(1), vec![new]).await.unwrap();
    assert!(
        matches!(&answer, Appended::At(added) if added[0].seq == Seq(2)),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_whole_batches_while_the_writer_writes() {
    let dir = dir();
    let ids = std::sync::Arc::new(SeededIds::new(1));
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let stores = store.stores();
    let here = ConversationId::new(&*ids);
    let tasks = Tasks::new();
    let writing = tasks.spawn({
        let (stores, ids) = (stores.clone(), ids.clone());
        async move {
            let ann = UserId::new(&*ids);
            for round in 0..100 {
                let batch = (0..8).map(|_| message(&*ids, ann, "hi")).collect();
                stores.log.append(here, Seq(round * 8), batch).await.unwrap();
            }
        }
    });
    let mut readers = Vec::new();
    for _ in 0..4 {
        let stores = stores.clone();
        readers.push(tasks.spawn(async move {
            let mut seen = 0;
            while seen < 800 {
                let page = stores.log.read_after(here, Seq::ZERO, 1_000).await.unwrap();
                assert_eq!(page.len() % 8, 0);
                assert!(page.len() >= seen, "what was seen once is seen again");
                assert!(page.iter().zip(1..).all(|(entry, seq)| entry.seq == Seq(seq)));
                seen = page.len();
            }
        }));
    }
    writing.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
}

fn open_with(dir: &Path, migrations: &[&str]) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open_with(dir, migrations)
}

fn copies(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("schema") || name.contains("unfinished"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_migration_keeps_the_data_and_a_copy() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let here = ConversationId::new(&ids);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    append_one(&store.stores(), &ids, here, 0).await;
    store.close().await;
    drop(store);
    assert_eq!(copies(dir.path()), [""; 0], "a new store has nothing to keep");

    let newer = [MIGRATIONS, &["ALTER TABLE users ADD COLUMN motto TEXT"]].concat();
    let store = open_with(dir.path(), &newer).unwrap();
    append_one(&store.stores(), &ids, here, 1).await;
    store.close().await;
    drop(store);
    let known = MIGRATIONS.len();
    let copy = format!("chatterbox.db.schema-{known}");
    assert_eq!(copies(dir.path()), [copy.as_str()]);

    // The copy is a store of its own, as it was before.
    let old = self::dir();
    std::fs::copy(dir.path().join(copy), old.path().join(FILE_NAME)).unwrap();
    let store = EmbeddedStore::open(old.path()).unwrap();
    assert_eq!(store.stores().log.head(here).await.unwrap().seq, Seq(1));

    // Edge case 24: the version before refuses what the newer one has written, in one sentence.
    let Err(error) = EmbeddedStore::open(dir.path()) else {
        panic!("a newer schema was opened");
    };
    assert!(
        matches!(error, OpenError::Newer { found, known: newest, .. } if (found, newest) == (known + 1, known)),
        "{error}"
    );
    assert!(!error.to_string().contains('\n'));
}

#[tokio::test]
async fn users_of_an_older_schema_are_found() {
    let dir = dir();
    let ann = new_user(&SeededIds::new(1), "Ann.Lee");
    let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    for migration in &MIGRATIONS[..BEFORE_USER_KEYS] {
        connection.execute_batch(migration).unwrap();
    }
    connection
        .pragma_update(None, "application_id", 0x6368_6278)
        .unwrap();
    connection
        .pragma_update(None, "user_version", i32::try_from(BEFORE_USER_KEYS).unwrap())
        .unwrap();
    connection
        .execute(
            "INSERT INTO users (id, username, name_key, skeleton, email, email_key, display_name, password_hash, created_at)
             VALUES (?1, 'Ann.Lee', 'ann.lee', 'ann.lee', 'a@b.example', 'a@b.example', 'Äme', 'x', 0)",
            [ann.id.as_bytes()],
        )
        .unwrap();
    drop(connection);
    let users = EmbeddedStore::open(dir.path()).unwrap().stores().users;
    for query in ["ann", "LEE", "äm"] {
        let query = UserQuery::parse(query).unwrap();
        let found = users.search(&query, None, 9).await.unwrap();
        assert_eq!(found.len(), 1, "{query:?}");
        assert_eq!(found[0].user.settings, UserSettings::default());
    }
}

#[tokio::test]
async fn a_migration_that_fails_changes_nothing() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let here = ConversationId::new(&ids);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    append_one(&store.stores(), &ids, here, 0).await;
    store.close().await;
    drop(store);
    let broken = [
        MIGRATIONS,
        &[
            "ALTER TABLE users ADD COLUMN motto TEXT",
            "ALTER TABLE nobody ADD COLUMN x",
        ],
    ]
    .concat();
    for _ in 0..2 {
        assert!(matches!(
            open_with(dir.path(), &broken),
            Err(OpenError::Sqlite { .. })
        ));
    }
    let store = EmbeddedStore::open(dir.path()).unwrap();
    append_one(&store.stores(), &ids, here, 1).await;
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let dir = dir();
    let path = dir.path().join(FILE_NAME);
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        .unwrap();
    drop(other);
    assert!(matches!(
        EmbeddedStore::open(dir.path()),
        Err(OpenError::Foreign { .. })
    ));
    std::fs::write(
        &path,
        "this is no database, but long enough to be looked at as one".repeat(100),
    )
    .unwrap();
    assert!(matches!(
        EmbeddedStore::open(dir.path()),
        Err(OpenError::Sqlite { .. })
    ));
    let missing = dir.path().join("missing");
    assert!(matches!(EmbeddedStore::open(&missing), Err(OpenError::Io { .. })));
}

#[cfg(unix)]
#[test]
fn the_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = dir();
    let _store = EmbeddedStore::open(dir.path()).unwrap();
    let mut seen = 0;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
        seen += 1;
    }
    assert!(seen >= 2, "the database and its WAL");
}

#[test]
fn pages_and_duplicates_are_found_by_the_indexes() {
    let dir = dir();
    let _store = EmbeddedStore::open(dir.path()).unwrap();
    let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    for (query, index) in [
        (
            "SELECT * FROM entries WHERE key > ?1 AND key <= ?2 ORDER BY key DESC LIMIT 1",
            "SEARCH entries USING INTEGER PRIMARY KEY",
        ),
        (
            "SELECT * FROM entries WHERE id = ?2 AND log = ?1",
            "SEARCH entries USING INDEX entries_by_id",
        ),
        (
            "SELECT * FROM entries WHERE log = ?1 AND sender = ?2 AND client_message_id = ?3",
            "SEARCH entries USING INDEX entries_by_client_message_id (log=? AND sender=? AND client_message_id=?)",
        ),
        (
            "SELECT id FROM jobs WHERE burial IS NULL AND due <= ?1 ORDER BY due, arrival LIMIT ?2",
            "SEARCH jobs USING INDEX jobs_due",
        ),
        (
            "SELECT id FROM jobs WHERE burial IS NOT NULL ORDER BY burial DESC LIMIT ?1",
            "USING INDEX jobs_buried",
        ),
        (
            "SELECT count(*) FROM conversations WHERE creator = ?1 AND kind = 'room' AND archived = 0",
            "rooms_of_creator",
        ),
    ] {
        let mut explain = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {query}"))
            .unwrap();
        let plan: Vec<String> = explain
            .raw_query()
            .mapped(|row| row.get(3))
            .map(Result::unwrap)
            .collect();
        assert!(plan.iter().any(|step| step.contains(index)), "{query}: {plan:?}");
        assert!(
            !plan
                .iter()
                .any(|step| step.contains("SCAN") || step.contains("TEMP B-TREE")),
            "{query}: {plan:?}"
        );
    }
}
