//! What is sent to the server, as the driver's command monitoring tells it: concerns, round trips, and nothing that not
//! every server has.

use std::sync::{Arc, Mutex};

use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, SystemIds, UserId};
use chatterbox_core::ports::storage::{
    Appended, CreatedRoom, Head, JoinedRoom, NewEntry, Projection, Stores,
};
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::testkit::samples::{ROOMS_MAX, keyed_message, message, new_group, new_room, now};
use chatterbox_server::adapters::mongo::MongoOptions;
use mongodb::bson::{Document, doc};
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;

use super::Database;

/// A store that writes down what it sends.
struct Watched {
    stores: Stores,
    ids: SeededIds,
    sent: Arc<Mutex<Vec<Document>>>,
    database: Database,
}

impl Watched {
    async fn new() -> Watched {
        Watched::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut MongoOptions)) -> Watched {
        let database = Database::new();
        let sent: Arc<Mutex<Vec<Document>>> = Arc::default();
        let heard = Arc::clone(&sent);
        let mut options = MongoOptions::new(database.address());
        options.commands = Some(EventHandler::callback(move |event| {
            if let CommandEvent::Started(started) = event {
                heard.lock().unwrap().push(started.command);
            }
        }));
        change(&mut options);
        Watched {
            stores: database.open_as(options).await.unwrap().stores(),
            ids: SeededIds::new(1),
            sent,
            database,
        }
    }

    /// What was sent since the last call.
    fn sent(&self) -> Vec<Document> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }

    async fn append(&self, here: ConversationId, at: u32, entries: Vec<NewEntry>) -> Appended {
        self.stores.log.append(here, Seq(at), entries).await.unwrap()
    }
}

fn names(commands: &[Document]) -> Vec<&str> {
    let name = |command: &Document| command.keys().next().unwrap().clone();
    let known = ["find", "insert", "update", "aggregate", "findAndModify", "delete"];
    commands
        .iter()
        .map(|command| {
            let name = name(command);
            *known
                .iter()
                .find(|known| **known == name)
                .expect("a known command")
        })
        .collect()
}

fn level(command: &Document) -> &str {
    command
        .get_document("readConcern")
        .unwrap()
        .get_str("level")
        .unwrap()
}

/// S-027: what is acknowledged is on a majority and in journals; the writer of the last entry pays one round trip.
#[tokio::test(flavor = "multi_thread")]
async fn s_027_entries_are_written_with_majority_and_journal() {
    let watched = Watched::new().await;
    let (here, ann) = (ConversationId::new(&watched.ids), UserId::new(&watched.ids));
    watched.sent();
    for at in [0, 3] {
        let batch = (0..3).map(|_| message(&watched.ids, ann, "hi")).collect();
        assert!(matches!(watched.append(here, at, batch).await, Appended::At(added) if added.len() == 3));
        let sent = watched.sent();
        assert_eq!(names(&sent), ["insert"]);
        assert_eq!(sent[0].get_str("insert").unwrap(), "entries");
        assert!(sent[0].get_bool("ordered").unwrap());
        let concern = sent[0].get_document("writeConcern").unwrap();
        assert_eq!(concern.get_str("w").unwrap(), "majority");
        assert!(concern.get_bool("j").unwrap());
        assert!(concern.contains_key("wtimeout"));
    }
}

/// DESIGN.md section 4: heads with local concern, pages and duplicate answers with majority, each in one round trip.
#[tokio::test(flavor = "multi_thread")]
async fn heads_are_read_as_the_primary_knows_them_and_entries_as_a_majority_does() {
    let watched = Watched::new().await;
    let log = &watched.stores.log;
    let (here, ann) = (ConversationId::new(&watched.ids), UserId::new(&watched.ids));
    let new = keyed_message(&watched.ids, ann, "k", "hi");
    watched.append(here, 0, vec![new.clone()]).await;
    watched.sent();

    log.head(here).await.unwrap();
    let sent = watched.sent();
    assert_eq!((names(&sent), level(&sent[0])), (vec!["find"], "local"));
    log.heads(&[here, ConversationId::new(&watched.ids)])
        .await
        .unwrap();
    let sent = watched.sent();
    assert_eq!((names(&sent), level(&sent[0])), (vec!["aggregate"], "local"));

    log.read_after(here, Seq::ZERO, 1_000).await.unwrap();
    log.read_before(here, None, 1_000).await.unwrap();
    log.history_after(here, Seq::ZERO, 50).await.unwrap();
    log.history_before(here, None, 50).await.unwrap();
    log.read_at(here, &[Seq(1)]).await.unwrap();
    log.get(here, new.id).await.unwrap();
    let key = new.client_message_id.clone().unwrap();
    log.by_client_message_id(here, ann, &key).await.unwrap();
    let sent = watched.sent();
    assert_eq!(names(&sent), ["find"; 7]);
    assert!(
        sent.iter().all(|command| level(command) == "majority"),
        "{sent:?}"
    );

    // The answer to the first attempt was lost.
    let answer = watched.append(here, 0, vec![new.clone()]).await;
    assert!(matches!(answer, Appended::Duplicate(entry) if entry.id == new.id));
    let sent = watched.sent();
    assert_eq!(
        (names(&sent), level(&sent[1])),
        (vec!["insert", "find"], "majority")
    );

    // Another node was first: what came between, with majority.
    let answer = watched
        .append(here, 0, vec![message(&watched.ids, ann, "late")])
        .await;
    assert!(matches!(answer, Appended::Moved { .. }));
    let sent = watched.sent();
    assert_eq!(names(&sent), ["insert", "find", "find"]);
    assert!(
        sent[1..].iter().all(|command| level(command) == "majority"),
        "{sent:?}"
    );
}

/// A single server may not know of a majority: what it has is read, in as few round trips.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_server_is_asked_for_what_it_has() {
    let watched = Watched::with(|options| options.is_single = true).await;
    let (here, ann) = (ConversationId::new(&watched.ids), UserId::new(&watched.ids));
    let said = message(&watched.ids, ann, "hi");
    watched.append(here, 0, vec![said]).await;
    watched.sent();
    let log = &watched.stores.log;
    assert_eq!(log.head(here).await.unwrap().seq, Seq(1));
    assert_eq!(log.read_after(here, Seq::ZERO, 9).await.unwrap().len(), 1);
    let sent = watched.sent();
    assert_eq!(names(&sent), ["find", "find"]);
    assert!(sent.iter().all(|command| level(command) == "local"), "{sent:?}");
}

/// On another node than the one that wrote, what was decided on is read with majority before anything is put behind it.
#[tokio::test(flavor = "multi_thread")]
async fn entries_are_put_behind_those_of_which_a_majority_knows() {
    let watched = Watched::new().await;
    let (here, ann) = (ConversationId::new(&watched.ids), UserId::new(&watched.ids));
    let other = watched.database.open().await.stores();
    let first = other
        .log
        .append(here, Seq::ZERO, vec![message(&watched.ids, ann, "one")]);
    first.await.unwrap();
    watched.sent();
    let answer = watched
        .append(here, 1, vec![message(&watched.ids, ann, "two")])
        .await;
    assert!(matches!(answer, Appended::At(_)));
    let sent = watched.sent();
    assert_eq!(
        (names(&sent), level(&sent[0])),
        (vec!["find", "insert"], "majority")
    );
}

/// S-062: however many conversations there are.
#[tokio::test(flavor = "multi_thread")]
async fn s_062_a_list_costs_a_fixed_number_of_commands() {
    let watched = Watched::new().await;
    let store = &watched.stores.conversations;
    let ann = UserId::new(&watched.ids);
    let mut all = Vec::new();
    let mut costs = Vec::new();
    for count in [2, 20] {
        while all.len() < count {
            let group = store.create_group(new_group(&watched.ids, ann)).await.unwrap();
            all.push(group.conversation.id);
        }
        watched.sent();
        assert_eq!(store.overview(ann, 2_000).await.unwrap().len(), count);
        assert_eq!(store.glances(ann, &all).await.unwrap().len(), count);
        let sent = watched.sent();
        costs.push(sent.len());
    }
    assert_eq!(costs, [8, 8]);
}

/// A start, and the sweep of workers, look at what was written since everything was found in order, not at all there is.
#[tokio::test(flavor = "multi_thread")]
async fn who_looks_for_rows_behind_their_logs_looks_at_nothing_old() {
    let watched = Watched::new().await;
    let store = &watched.stores.conversations;
    let ann = UserId::new(&watched.ids);
    assert_eq!(
        store.lagging(500).await.unwrap(),
        [],
        "and from now on there is a mark"
    );
    let mut all = Vec::new();
    let mut costs = Vec::new();
    for count in [3, 60] {
        while all.len() < count {
            let group = store.create_group(new_group(&watched.ids, ann)).await.unwrap();
            all.push(group.conversation.id);
        }
        watched.sent();
        assert_eq!(store.lagging(500).await.unwrap(), []);
        let sent = watched.sent();
        costs.push(names(&sent).join(" "));
    }
    assert_eq!(costs, ["find find aggregate update"; 2]);

    // What is found behind stays above the mark until its rows are right, however often it is looked for.
    let recent = SystemIds::new();
    let (first, second) = (all[7], all[41]);
    for here in [first, second] {
        let batch = vec![message(&recent, ann, "one"), message(&recent, ann, "two")];
        watched.append(here, 0, batch).await;
    }
    let mut found = store.lagging(500).await.unwrap();
    found.sort();
    assert_eq!(found, [first, second]);
    assert_eq!(store.lagging(1).await.unwrap().len(), 1);
    let projection = Projection {
        to: Seq(2),
        ..Projection::at(Seq::ZERO)
    };
    store.project(first, projection).await.unwrap();
    for _ in 0..2 {
        assert_eq!(store.lagging(500).await.unwrap(), [second]);
    }
}

/// Who comes into a room at once with others shares the writes of it.
#[tokio::test(flavor = "multi_thread")]
async fn joins_of_one_room_at_once_are_one_change() {
    const USERS: usize = 60;
    let watched = Watched::new().await;
    let store = &watched.stores.conversations;
    let room = new_room(&watched.ids, "general", None);
    let room = match store.create_room(room, ROOMS_MAX).await.unwrap() {
        CreatedRoom::Created(room) => room.id,
        other => panic!("{other:?}"),
    };
    let users: Vec<UserId> = (0..USERS).map(|_| UserId::new(&watched.ids)).collect();
    watched.sent();
    // Everybody twice, from two devices.
    let joins = users
        .iter()
        .chain(&users)
        .map(|user| store.join_room(room, *user, Head::EMPTY, 9));
    let joined = futures_util::future::join_all(joins).await;
    let changes = names(&watched.sent())
        .iter()
        .filter(|name| **name == "findAndModify")
        .count();
    println!("{USERS} users came in by {changes} changes");
    assert!(changes <= USERS / 3, "{changes} changes for {USERS} users");
    for (number, user) in users.iter().enumerate() {
        let firsts = [number, number + USERS].map(|at| match joined[at].as_ref().unwrap() {
            JoinedRoom::Joined { first, .. } => usize::from(*first),
            other => panic!("{other:?}"),
        });
        assert_eq!(
            firsts[0] + firsts[1],
            1,
            "one of two calls of {user} is the first"
        );
    }
    assert_eq!(store.member_count(room).await.unwrap(), USERS as u64);
    assert_eq!(store.members(room, None, 1_000).await.unwrap().len(), USERS);
}

/// What the paths that every message takes cost in round trips.
#[tokio::test(flavor = "multi_thread")]
async fn hot_paths_are_short() {
    let watched = Watched::new().await;
    let store = &watched.stores.conversations;
    let ann = UserId::new(&watched.ids);
    let here = store
        .create_group(new_group(&watched.ids, ann))
        .await
        .unwrap()
        .conversation
        .id;
    watched
        .append(here, 0, vec![message(&watched.ids, ann, "hi")])
        .await;
    watched.sent();
    store.standing(here).await.unwrap();
    assert_eq!(names(&watched.sent()), ["aggregate"]);
    store.member(here, ann).await.unwrap();
    assert_eq!(names(&watched.sent()), ["find"]);
    let projection = Projection {
        to: Seq(1),
        pointers: [(ann, (Seq(1), 1))].into(),
        ..Projection::at(Seq::ZERO)
    };
    store.project(here, projection).await.unwrap();
    assert_eq!(names(&watched.sent()), ["update", "update"]);
    watched
        .stores
        .sessions
        .revoke_all(ann, None, now())
        .await
        .unwrap();
    let update = watched.sent().remove(0);
    let concern = update.get_document("writeConcern").unwrap();
    assert_eq!(
        concern.get_str("w").unwrap(),
        "majority",
        "not only messages are durable"
    );
}

/// A database at whose server nothing is asked for that only some servers have.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_for_that_not_every_server_has() {
    let watched = Watched::new().await;
    let (here, ann) = (ConversationId::new(&watched.ids), UserId::new(&watched.ids));
    watched
        .append(here, 0, vec![message(&watched.ids, ann, "hi")])
        .await;
    watched
        .stores
        .conversations
        .create_group(new_group(&watched.ids, ann))
        .await
        .unwrap();
    for command in watched.sent() {
        let text = command.to_string();
        for never in ["startTransaction", "\"capped\"", "changeStream", "bulkWrite"] {
            assert!(!text.contains(never), "{text}");
        }
        assert_ne!(command, doc! {});
    }
}
