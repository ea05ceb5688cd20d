//! A node that dies in the middle: what it has begun happens whole, or not at all, wherever it was cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chatterbox_core::domain::change::{Ban, Change, Delete, Edit, Join, Leave, LeaveReason};
use chatterbox_core::domain::conversation::NewGroup;
use chatterbox_core::domain::entry::{Entry, EntryKind, Seq};
use chatterbox_core::domain::standing::Standing;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{
    Appended, CreatedRoom, Head, JoinedRoom, NewEntry, Projection, Stores,
};
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::testkit::samples::{ROOMS_MAX, message, new_group, new_room};
use chatterbox_server::adapters::mongo::{MongoOptions, MongoStore};
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use tokio::sync::Notify;

use super::Database;

/// More commands than anything here takes.
const CUTS: usize = 16;

/// Does `work` on a node of its own that dies when its `commands`-th command was sent (odd) or answered (even). Whether
/// it was done before.
async fn cut<T>(database: &Database, at: usize, work: impl AsyncFnOnce(Stores) -> T) -> Option<T> {
    let (count, dies) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(Notify::new()));
    let mut options = MongoOptions::new(database.address());
    let (counted, dying) = (Arc::clone(&count), Arc::clone(&dies));
    options.commands = Some(EventHandler::callback(move |_: CommandEvent| {
        if counted.fetch_sub(1, Ordering::SeqCst) == 0 {
            dying.notify_one();
        }
    }));
    let store = database.open_as(options).await.unwrap();
    count.store(at, Ordering::SeqCst);
    let done = tokio::select! {
        biased;
        () = dies.notified() => None,
        done = work(store.stores()) => Some(done),
    };
    store.close().await;
    done
}

async fn append(stores: &Stores, here: ConversationId, new: NewEntry) -> Entry {
    let head = stores.log.head(here).await.unwrap();
    match stores.log.append(here, head.seq, vec![new]).await.unwrap() {
        Appended::At(mut added) => added.remove(0),
        other => panic!("{other:?}"),
    }
}

/// The log's word on how a conversation stands and what that means for its rows.
async fn unprojected(stores: &Stores, here: ConversationId) -> (Projection, Standing) {
    let (mut standing, at) = stores.conversations.standing(here).await.unwrap().unwrap();
    let mut projection = Projection::at(at);
    for entry in stores.log.read_after(here, at, 1_000).await.unwrap() {
        let members = standing.apply(&entry);
        projection.add(&entry, &standing.conversation, members);
    }
    (projection, standing)
}

/// The rows agree with each other: the counter, the list, the standing.
async fn assert_true(stores: &Stores, here: ConversationId) -> Standing {
    let conversations = &stores.conversations;
    let (standing, _) = conversations.standing(here).await.unwrap().unwrap();
    let members = conversations.members(here, None, 1_000).await.unwrap();
    assert_eq!(
        conversations.member_count(here).await.unwrap(),
        members.len() as u64
    );
    let glances = conversations.glances(UserId::SERVER, &[here]).await.unwrap();
    assert_eq!(glances[0].members, members[..members.len().min(10)]);
    standing
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_all_its_first_members_or_is_not_there() {
    let database = Database::new();
    let here = database.open().await.stores();
    let ids = SeededIds::new(1);
    let (mut whole, mut none) = (0, 0);
    for at in 0..CUTS {
        let users: [UserId; 3] = std::array::from_fn(|_| UserId::new(&ids));
        let group = NewGroup {
            members: users[1..].to_vec(),
            idempotency_key: Some("k".to_owned()),
            ..new_group(&ids, users[0])
        };
        let wanted = group.clone();
        let done = cut(&database, at, async |stores| {
            stores.conversations.create_group(wanted).await.unwrap()
        });
        let done = done.await;
        if here.conversations.get(group.id).await.unwrap().is_some() {
            let standing = assert_true(&here, group.id).await;
            assert_eq!(standing.members.len(), 3, "cut at {at}");
            whole += 1;
        } else {
            assert!(done.is_none(), "cut at {at}");
            none += 1;
        }
        // The client asks again.
        let again = here.conversations.create_group(group.clone()).await.unwrap();
        assert_eq!(again.conversation.id, group.id);
        assert_eq!(assert_true(&here, group.id).await.members.len(), 3);
    }
    assert!(whole > 1 && none > 0, "{whole} whole, {none} not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_or_leaves_a_room_is_counted_wherever_it_was_cut() {
    let database = Database::new();
    let here = database.open().await.stores();
    let ids = SeededIds::new(1);
    let room = new_room(&ids, "general", Some(UserId::new(&ids)));
    let room = match here.conversations.create_room(room, ROOMS_MAX).await.unwrap() {
        CreatedRoom::Created(room) => room.id,
        other => panic!("{other:?}"),
    };
    for at in 0..2 * CUTS {
        let ann = UserId::new(&ids);
        let joined = cut(&database, at, async |stores| {
            stores
                .conversations
                .join_room(room, ann, Head::EMPTY, 1)
                .await
                .unwrap()
        });
        if joined.await.is_some() {
            assert!(
                here.conversations.member(room, ann).await.unwrap().is_some(),
                "cut at {at}"
            );
        }
        let again = here
            .conversations
            .join_room(room, ann, Head::EMPTY, 1)
            .await
            .unwrap();
        assert!(
            matches!(again, JoinedRoom::Joined { .. }),
            "cut at {at}: {again:?}"
        );
        assert_true(&here, room).await;
        let left = cut(&database, at, async |stores| {
            stores.conversations.leave_room(room, ann).await.unwrap()
        });
        left.await;
        let again = here.conversations.leave_room(room, ann).await.unwrap();
        assert_eq!(
            here.conversations.member(room, ann).await.unwrap(),
            None,
            "cut at {at}"
        );
        assert_eq!(again.members, 1, "cut at {at}");
        assert_true(&here, room).await;
    }
}

/// Members, a ban, an edit and a deletion in one projection.
#[tokio::test(flavor = "multi_thread")]
async fn a_projection_is_whole_or_not_begun() {
    let database = Database::new();
    let here = database.open().await.stores();
    let ids = SeededIds::new(1);
    let mut begun = 0;
    for at in 0..2 * CUTS {
        let [ann, bob, cid, dan] = std::array::from_fn(|_| UserId::new(&ids));
        let group = NewGroup {
            members: vec![bob, cid],
            ..new_group(&ids, ann)
        };
        let id = group.id;
        here.conversations.create_group(group).await.unwrap();
        let kept = append(&here, id, message(&ids, ann, "first")).await;
        let gone = append(&here, id, message(&ids, bob, "secret")).await;
        let edit = |message: &Entry, content: &str| {
            EntryKind::Edit(Edit {
                message: message.id,
                message_seq: message.seq,
                sent_at: message.created_at,
                reply_to: None,
                content: content.to_owned(),
                mentions: Vec::new(),
                redacted_at: None,
            })
        };
        let kinds = [
            edit(&kept, "second"),
            edit(&gone, "secret too"),
            EntryKind::Delete(Delete {
                message: gone.id,
                message_seq: gone.seq,
                author: bob,
            }),
            EntryKind::Leave(Leave {
                user: bob,
                reason: LeaveReason::Left,
                heir: None,
            }),
            EntryKind::Join(Join {
                user: dan,
                role: chatterbox_core::domain::conversation::Role::Member,
            }),
            EntryKind::Ban(Ban {
                user: cid,
                change: Change::Added,
            }),
        ];
        for kind in kinds {
            append(
                &here,
                id,
                NewEntry {
                    kind,
                    ..message(&ids, ann, "")
                },
            )
            .await;
        }
        let (projection, expected) = unprojected(&here, id).await;
        cut(&database, at, async |stores| {
            stores.conversations.project(id, projection).await.unwrap()
        })
        .await;
        let (_, stands) = here.conversations.standing(id).await.unwrap().unwrap();
        if stands == Seq::ZERO {
            let (projection, _) = unprojected(&here, id).await;
            here.conversations.project(id, projection).await.unwrap();
        } else {
            begun += 1;
        }
        assert_eq!(assert_true(&here, id).await, expected, "cut at {at}");
        let log = here.log.read_after(id, Seq::ZERO, 100).await.unwrap();
        assert!(!format!("{log:?}").contains("secret"), "cut at {at}: {log:?}");
        let states = here.messages.states(id, &[kept.seq, gone.seq]).await.unwrap();
        assert_eq!(states.len(), 1, "cut at {at}");
        assert_eq!(states[0].1.edited.as_ref().unwrap().content, "second");
        assert_eq!(here.messages.deleted_above(id, Seq::ZERO, 9).await.unwrap(), 1);
    }
    assert!(begun > 3, "{begun} were begun");
}

/// A counter that a dead node has left behind is mended by the others, also where nobody asks.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_node_has_begun_is_finished_by_itself() {
    let database = Database::new();
    let here = database.open().await.stores();
    let ids = SeededIds::new(1);
    let mut groups = Vec::new();
    for at in 0..CUTS {
        let group = new_group(&ids, UserId::new(&ids));
        let id = group.id;
        cut(&database, at, async |stores| {
            stores.conversations.create_group(group).await.unwrap()
        })
        .await;
        if here.conversations.get(id).await.unwrap().is_some() {
            groups.push(id);
        }
    }
    let unfinished = database
        .client()
        .await
        .collection::<mongodb::bson::Document>("conversations");
    let count = async || {
        let begun = mongodb::bson::doc! { "intent": { "$exists": true } };
        unfinished.count_documents(begun).await.unwrap()
    };
    assert!(count().await > 0, "some were cut in the middle");
    let tasks = Tasks::new();
    let _node = MongoStore::open(MongoOptions::new(database.address()), &tasks)
        .await
        .unwrap();
    // Nothing tells of it; a busy machine may need longer than the ten seconds that it takes.
    for _ in 0..600 {
        if count().await == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    tasks.stop().await;
    assert_eq!(count().await, 0);
    for id in groups {
        assert_eq!(here.conversations.members(id, None, 9).await.unwrap().len(), 1);
    }
}
