//! What the conformance suites can't ask of every adapter: older databases, and what queries read.

use chatterbox_core::domain::conversation::{Kind, NewDirect, Role, Visibility};
use chatterbox_core::domain::entry::{EntryKind, MessageBody, Seq};
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::ports::storage::{Projected, Projection, Reply};
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::testkit::samples::{message, new_group, now, room_name};
use rusqlite::{Connection, StatementStatus, params};

use super::{lists, project};
use crate::adapters::embedded::schema::MIGRATIONS;
use crate::adapters::embedded::{EmbeddedStore, FILE_NAME, in_json};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A room with a moderator, a member and three entries, the second of which answers the first and the third of which
/// closed it; the row of the room had learnt of that already.
fn write_older(dir: &tempfile::TempDir, room: ConversationId, users: [UserId; 2], ids: [EntryId; 3]) {
    let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    for migration in &MIGRATIONS[..3] {
        connection.execute_batch(migration).unwrap();
    }
    connection
        .pragma_update(None, "application_id", 0x6368_6278)
        .unwrap();
    connection.pragma_update(None, "user_version", 3).unwrap();
    connection
        .execute(
            "INSERT INTO conversations (id, kind, name, creator, created_at, archived, settings_seq, members)
             VALUES (?1, 'room', 'general', ?2, 5, 1, 3, 2)",
            params![room.as_bytes(), users[0].as_bytes()],
        )
        .unwrap();
    for (user, role) in [(users[0], "moderator"), (users[1], "member")] {
        let values = params![user.as_bytes(), room.as_bytes(), role];
        let row = "INSERT INTO members (user, conversation, role, read_seq, read_ordinal) VALUES (?1, ?2, ?3, 1, 1)";
        connection.execute(row, values).unwrap();
    }
    connection
        .execute(
            "INSERT INTO logs (number, conversation) VALUES (7, ?1)",
            [room.as_bytes()],
        )
        .unwrap();
    let kinds = [
        r#"{"kind":"message","content":"hello old world"}"#.to_owned(),
        format!(
            r#"{{"kind":"message","content":"indeed","replyTo":"{}"}}"#,
            ids[0]
        ),
        r#"{"kind":"settings","archived":true}"#.to_owned(),
    ];
    for (kind, (seq, id)) in kinds.iter().zip((1..).zip(ids)) {
        // The last one has not settled.
        let table = if seq == 3 { "journal" } else { "entries" };
        connection
            .execute(
                &format!(
                    "INSERT INTO {table} (key, id, ordinal, gov, sender, created_at, kind)
                     VALUES (?1, ?2, ?3, ?4, ?5, 6, ?6)"
                ),
                params![
                    (7_i64 << 32) + seq,
                    id.as_bytes(),
                    seq.min(2),
                    if seq == 3 { 3 } else { 0 },
                    users[1].as_bytes(),
                    kind
                ],
            )
            .unwrap();
    }
}

#[tokio::test]
async fn an_older_store_is_brought_up_to_date_from_its_logs() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let room = ConversationId::new(&ids);
    let users = [UserId::new(&ids), UserId::new(&ids)];
    let entries = [EntryId::new(&ids), EntryId::new(&ids), EntryId::new(&ids)];
    write_older(&dir, room, users, entries);

    let store = EmbeddedStore::open(dir.path()).unwrap();
    let stores = store.stores();
    let conversations = &stores.conversations;
    let found = conversations
        .room_by_name(&room_name("general"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.id, &found.kind), (room, &Kind::Room(room_name("general"))));
    assert_eq!((found.visibility, found.archived), (Visibility::Public, true));
    assert_eq!(conversations.member_count(room).await.unwrap(), 2);
    let member = conversations.member(room, users[1]).await.unwrap().unwrap();
    assert_eq!(
        (member.role, member.read_seq, member.is_in()),
        (Role::Member, Seq(1), true)
    );

    // Nothing is known to have been brought up to date, so all of it is done again.
    let (mut standing, at) = conversations.standing(room).await.unwrap().unwrap();
    assert_eq!((at, standing.members.len()), (Seq::ZERO, 1));
    assert_eq!(conversations.lagging(9).await.unwrap(), [room]);
    let mut projection = Projection::at(at);
    for entry in stores.log.read_after(room, at, 9).await.unwrap() {
        let members = standing.apply(&entry);
        projection.add(&entry, &standing.conversation, members);
    }
    assert_eq!(
        projection.replies,
        [Reply {
            to: entries[0],
            seq: Seq(2)
        }]
    );
    let projected = conversations.project(room, projection).await.unwrap();
    assert_eq!(projected, Projected::Applied);
    assert_eq!(conversations.lagging(9).await.unwrap(), []);
    let replies = stores
        .messages
        .replies(room, entries[0], Seq::ZERO, 9)
        .await
        .unwrap();
    assert_eq!(replies, [Seq(2)]);
    let member = conversations.member(room, users[1]).await.unwrap().unwrap();
    assert_eq!((member.read_seq, member.read_ordinal), (Seq(2), 2));
}

/// One pair, one conversation: the database itself sees to it (S-063).
#[tokio::test]
async fn the_database_refuses_a_second_conversation_of_a_pair() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let direct = NewDirect {
        id: ConversationId::new(&ids),
        creator: UserId::new(&ids),
        peer: UserId::new(&ids),
        created_at: now(),
    };
    store.stores().conversations.open_direct(direct).await.unwrap();
    let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    let copied = connection.execute(
        "INSERT INTO conversations (id, kind, created_at, low, high)
         SELECT x'00', kind, created_at, low, high FROM conversations",
        [],
    );
    assert!(copied.unwrap_err().to_string().contains("UNIQUE"));
}

/// What is unreadable in one conversation doesn't take along those who share its transaction.
#[tokio::test]
async fn an_unreadable_entry_fails_its_projection_and_no_more() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let stores = store.stores();
    let group = new_group(&ids, UserId::new(&ids));
    let (here, ann) = (group.id, group.creator);
    stores.conversations.create_group(group).await.unwrap();
    let said = message(&ids, ann, "hi");
    stores
        .log
        .append(here, Seq::ZERO, vec![said.clone()])
        .await
        .unwrap();
    let (standing, at) = stores.conversations.standing(here).await.unwrap().unwrap();
    let mut projection = Projection::at(at);
    let mut delete = stores.log.get(here, said.id).await.unwrap().unwrap();
    delete.seq = Seq(2);
    delete.kind = EntryKind::Delete(chatterbox_core::domain::change::Delete {
        message: said.id,
        message_seq: Seq(1),
        author: ann,
    });
    projection.add(&delete, &standing.conversation, Vec::new());
    let (fails, sound) = store
        .writer
        .write(move |writing| {
            writing.settle(here)?;
            writing
                .connection
                .execute("UPDATE entries SET kind = '{\"kind\":\"unheard of\"}'", [])
                .unwrap();
            let fails = project::project(writing, here, &projection)?;
            let nothing = Projection {
                to: Seq(2),
                ..Projection::at(Seq::ZERO)
            };
            Ok((fails, project::project(writing, here, &nothing)?))
        })
        .await
        .unwrap();
    assert!(fails.is_err(), "{fails:?}");
    assert_eq!(sound.unwrap(), Projected::Applied);
    let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    let deleted: u32 = connection
        .query_row("SELECT count(*) FROM deleted", [], |row| row.get(0))
        .unwrap();
    assert_eq!(deleted, 0, "half of a projection was kept");
}

/// S-062: the steps that SQLite takes for a page of a list, by how many conversations there are besides.
#[tokio::test]
async fn lists_cost_the_same_however_many_conversations_there_are_besides() {
    let dir = dir();
    let ids = SeededIds::new(1);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let stores = store.stores();
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    let make = async |owner: UserId, other: UserId| {
        let mut group = new_group(&ids, owner);
        group.members = vec![other];
        let id = group.id;
        stores.conversations.create_group(group).await.unwrap();
        let said = (0..3)
            .map(|_| chatterbox_core::ports::storage::NewEntry {
                kind: EntryKind::Message(MessageBody {
                    content: "hi".to_owned(),
                    ..MessageBody::default()
                }),
                ..message(&ids, owner, "")
            })
            .collect();
        stores.log.append(id, Seq::ZERO, said).await.unwrap();
        id
    };
    let mut mine = Vec::new();
    for _ in 0..20 {
        mine.push(make(ann, bob).await);
    }
    let asked = in_json(&mine);
    let steps = async || {
        store
            .writer
            .write(|writing| writing.settle_all().map_err(|_| panic!()))
            .await
            .unwrap();
        let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
        let count = |query: &str, values: &[&dyn rusqlite::ToSql]| {
            let mut statement = connection.prepare(query).unwrap();
            let mut rows = statement.query(values).unwrap();
            let mut found = 0;
            while rows.next().unwrap().is_some() {
                found += 1;
            }
            drop(rows);
            (found, statement.get_status(StatementStatus::VmStep))
        };
        [
            count(lists::IDS, params![ann.as_bytes(), 100]),
            count(lists::OVERVIEW, params![ann.as_bytes(), asked]),
            count(lists::GLANCES, params![ann.as_bytes(), asked]),
            count(lists::FIRST_MEMBERS, params![asked, 10]),
        ]
    };
    let before = steps().await;
    assert_eq!(before.map(|(found, _)| found), [20, 20, 20, 40]);
    for _ in 0..150 {
        make(UserId::new(&ids), bob).await;
    }
    for ((found, steps), (found_before, steps_before)) in steps().await.into_iter().zip(before) {
        assert_eq!(found, found_before);
        // It may take a step to see that an index ends.
        assert!(
            (steps - steps_before).abs() <= 5,
            "{steps} instead of {steps_before}"
        );
    }
}
