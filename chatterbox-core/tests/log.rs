//! The append path and the deliveries over several nodes with one store: I1 to I3, `Moved`, `Duplicate`, heal.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is test code; a failure is to end the test"
)]

use std::sync::Arc;
use std::time::Duration;

use chatterbox_core::clock::SystemClock;
use chatterbox_core::domain::change::SettingsChange;
use chatterbox_core::domain::entry::{Entry, EntryKind, MessageBody, Seq};
use chatterbox_core::engine::{Frame, Packet};
use chatterbox_core::error::Error;
use chatterbox_core::hub::{Channel, Detached, Hub};
use chatterbox_core::ids::{ConversationId, EntryId, IdSource, NodeId, SystemIds, UserId};
use chatterbox_core::log::{
    Announced, Announcement, Announcer, Crossing, Deliveries, Encoder, Fences, Log, Posted, Proposal, Reach,
    Receipt, Relay,
};
use chatterbox_core::memory::{MemoryBus, MemoryLog, MemoryStores};
use chatterbox_core::ports::bus::Bus;
use chatterbox_core::ports::storage::{CreatedRoom, Stores};
use chatterbox_core::role::Role;
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::{Fault, FaultyBus, Flaky, SeededIds, samples};
use chatterbox_core::views::Names;

struct Cluster {
    stores: Stores,
    bus: MemoryBus,
    ids: Arc<SeededIds>,
    room: ConversationId,
    ann: UserId,
}

struct Node {
    log: Log,
    deliveries: Arc<Deliveries>,
    bus: Arc<FaultyBus>,
    ids: Arc<SeededIds>,
    _tasks: Tasks,
}

impl Cluster {
    async fn new() -> Cluster {
        Cluster::over(MemoryStores::new(100_000)).await
    }

    async fn over(stores: Stores) -> Cluster {
        let ids = Arc::new(SeededIds::new(1));
        let new_user = samples::new_user(&*ids, "ann");
        let ann = new_user.id;
        stores.users.insert(new_user).await.unwrap();
        let room = samples::new_room(&*ids, "tea", None);
        let CreatedRoom::Created(room) = stores
            .conversations
            .create_room(room, samples::ROOMS_MAX)
            .await
            .unwrap()
        else {
            panic!("the room is new")
        };
        Cluster {
            stores,
            bus: MemoryBus::new(),
            ids,
            room: room.id,
            ann,
        }
    }

    fn node(&self) -> Node {
        let tasks = Tasks::new();
        let hub: Arc<Hub<Channel>> = Arc::new(Hub::new());
        let bus = Arc::new(FaultyBus::new(self.bus.node()));
        let (relay, outgoing) = Relay::new(bus.clone() as Arc<dyn Bus>);
        let encoder = Encoder::new(Names::new(self.stores.users.clone()));
        let deliveries = Deliveries::new(
            hub.clone(),
            self.stores.clone(),
            encoder.clone(),
            Some(outgoing.clone()),
            tasks.clone(),
        );
        let fences = Fences::new(NodeId::new(&SystemIds::new()), Role::Api, outgoing.clone());
        relay.start(&tasks, hub, deliveries.clone(), fences, |_, _| {});
        let announcer = Announcer::new(encoder, deliveries.clone(), Some(outgoing));
        let log = Log::new(
            self.stores.clone(),
            Arc::new(SystemClock),
            announcer,
            tasks.clone(),
        );
        Node {
            log,
            deliveries,
            bus,
            ids: self.ids.clone(),
            _tasks: tasks,
        }
    }

    async fn contents(&self) -> Vec<String> {
        let entries = self
            .stores
            .log
            .read_after(self.room, Seq::ZERO, 1000)
            .await
            .unwrap();
        let numbers: Vec<u32> = entries.iter().map(|entry| entry.seq.0).collect();
        assert_eq!(
            numbers,
            (1..=u32::try_from(entries.len()).unwrap()).collect::<Vec<_>>(),
            "I3: dense"
        );
        let texts = entries.into_iter().map(|entry| match entry.kind {
            EntryKind::Message(body) => body.content,
            EntryKind::Settings(_) => "(settings)".to_owned(),
            other => panic!("{other:?}"),
        });
        texts.collect()
    }
}

impl Node {
    fn submit(&self, cluster: &Cluster, text: &str) -> Receipt {
        self.submit_keyed(cluster, None, text)
    }

    fn submit_keyed(&self, cluster: &Cluster, key: Option<&str>, text: &str) -> Receipt {
        let body = MessageBody {
            content: text.to_owned(),
            ..MessageBody::default()
        };
        let proposal = Proposal::new(EntryId::new(&*self.ids), cluster.ann, move |state| {
            if state.conversation().archived {
                Err(Error::Gone("the room is closed"))
            } else {
                Ok(EntryKind::Message(body.clone()))
            }
        });
        let proposal = proposal.with_key(key.map(samples::client_message_id));
        self.log.submit(cluster.room, proposal).unwrap()
    }

    fn archive(&self, cluster: &Cluster) -> Receipt {
        let proposal = Proposal::new(EntryId::new(&*self.ids), UserId::SERVER, |_| {
            Ok(EntryKind::Settings(SettingsChange {
                archived: Some(true),
                ..SettingsChange::default()
            }))
        });
        self.log.submit(cluster.room, proposal).unwrap()
    }

    async fn watcher(&self, cluster: &Cluster) -> (Detached, Seq) {
        let connection = Detached::new(chatterbox_core::engine::eio::QueueLimits::default());
        let from = self
            .deliveries
            .watch(&connection.link(), cluster.room)
            .await
            .unwrap();
        (connection, from)
    }
}

/// The entry that came of a proposal for one.
fn one_new(posted: Posted) -> Entry {
    match posted {
        Posted::New(mut entries) if entries.len() == 1 => entries.remove(0),
        other => panic!("{other:?}"),
    }
}

/// What a watcher heard, as (seq, prev, content).
fn heard(watcher: &Detached) -> Vec<(u32, u32, String)> {
    let frames = watcher.take_sent();
    let events = frames.iter().map(|frame| {
        let text = std::str::from_utf8(frame.payload()).unwrap();
        let event: serde_json::Value = serde_json::from_str(text.strip_prefix("42").unwrap()).unwrap();
        assert_eq!(event[0], "room-message");
        let number = |name: &str| u32::try_from(event[1][name].as_u64().unwrap()).unwrap();
        (
            number("seq"),
            number("prev"),
            event[1]["content"].as_str().unwrap().to_owned(),
        )
    });
    events.collect()
}

fn numbers(heard: &[(u32, u32, String)]) -> Vec<u32> {
    heard.iter().map(|(seq, ..)| *seq).collect()
}

/// Lets everything that can run without time passing run.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn sends_of_one_node_are_dense_in_order_and_heard_before_their_acks_i3() {
    let cluster = Cluster::new().await;
    let node = cluster.node();
    let (watcher, from) = node.watcher(&cluster).await;
    assert_eq!(from, Seq::ZERO);
    let receipts: Vec<Receipt> = (0..600)
        .map(|number| node.submit(&cluster, &format!("m{number}")))
        .collect();
    for (number, receipt) in receipts.into_iter().enumerate() {
        let entry = one_new(receipt.await.unwrap());
        assert_eq!(entry.seq.0 as usize, number + 1);
    }
    let heard = heard(&watcher);
    assert_eq!(numbers(&heard), (1..=600).collect::<Vec<_>>());
    assert!(
        heard
            .iter()
            .all(|(seq, prev, text)| *prev == seq - 1 && *text == format!("m{}", seq - 1))
    );
}

#[tokio::test(start_paused = true)]
async fn two_nodes_append_to_one_log_and_all_watchers_hear_one_order_i3() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.node(), cluster.node());
    let ((at_one, _), (at_two, _)) = (one.watcher(&cluster).await, two.watcher(&cluster).await);
    let mut receipts = Vec::new();
    for round in 0..100 {
        receipts.push(one.submit(&cluster, &format!("one {round}")));
        receipts.push(two.submit(&cluster, &format!("two {round}")));
        if round % 7 == 0 {
            one.bus.drop_next(1);
            two.bus.double_next(2);
        }
        tokio::task::yield_now().await;
    }
    for receipt in receipts {
        assert!(matches!(receipt.await.unwrap(), Posted::New(_)));
    }
    // Lost envelopes are healed after 50 ms, or when heads are compared.
    tokio::time::sleep(Duration::from_millis(200)).await;
    one.deliveries.compare_heads().await;
    two.deliveries.compare_heads().await;
    settle().await;
    assert_eq!(cluster.contents().await.len(), 200);
    let (first, second) = (heard(&at_one), heard(&at_two));
    assert_eq!(numbers(&first), (1..=200).collect::<Vec<_>>());
    assert_eq!(first, second);
}

/// Entries that come together are published together, but for those by which somebody comes or goes.
#[tokio::test(start_paused = true)]
async fn who_comes_or_goes_within_an_announcement_hears_it_from_or_up_to_there_i5() {
    let cluster = Cluster::new().await;
    let node = cluster.node();
    let (ann, _) = node.watcher(&cluster).await;
    let bob = samples::user_id(&*cluster.ids);
    let his = Detached::new(chatterbox_core::engine::eio::QueueLimits::default());
    node.deliveries.hub().subscribe(&his.link(), &Channel::User(bob));
    let crossings = [
        None,
        None,
        Some(Crossing::In(bob)),
        None,
        None,
        Some(Crossing::Out(bob)),
        None,
    ];
    let entries = crossings.iter().zip(1_u8..).map(|(crossing, number)| Announced {
        packet: Packet::from_elem(Frame::binary(&[number]), 1),
        crossing: *crossing,
        author: None,
    });
    node.deliveries.deliver(Announcement {
        conversation: cluster.room,
        first: Seq(1),
        entries: entries.collect(),
    });
    let numbers = |watcher: &Detached| -> Vec<u8> {
        let frames = watcher.take_sent();
        frames.iter().map(|frame| frame.payload()[0]).collect()
    };
    assert_eq!(numbers(&ann), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(numbers(&his), [3, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_waited_for_and_then_read_from_the_log() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.node(), cluster.node());
    let (watcher, _) = two.watcher(&cluster).await;
    settle().await;
    one.bus.drop_next(1);
    one.submit(&cluster, "lost").await.unwrap();
    settle().await;
    one.submit(&cluster, "found").await.unwrap();
    settle().await;
    assert!(heard(&watcher).is_empty(), "what comes early is parked");
    tokio::time::sleep(Duration::from_millis(51)).await;
    settle().await;
    assert_eq!(numbers(&heard(&watcher)), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn envelopes_out_of_order_are_put_in_order_without_reading_the_log() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.node(), cluster.node());
    let (watcher, _) = two.watcher(&cluster).await;
    settle().await;
    one.bus.hold();
    for text in ["a", "b", "c"] {
        one.submit(&cluster, text).await.unwrap();
        settle().await;
    }
    one.bus.release_reversed().await.unwrap();
    settle().await;
    assert_eq!(numbers(&heard(&watcher)), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_never_brought_is_found_by_comparing_heads_i9() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.node(), cluster.node());
    let (watcher, _) = two.watcher(&cluster).await;
    one.bus.drop_next(1000);
    for _ in 0..3 {
        one.submit(&cluster, "lost").await.unwrap();
    }
    settle().await;
    assert!(heard(&watcher).is_empty());
    two.deliveries.compare_heads().await;
    assert_eq!(numbers(&heard(&watcher)), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_gets_every_entry_above_the_number_it_was_told() {
    let cluster = Cluster::new().await;
    let node = cluster.node();
    let mut receipts = Vec::new();
    let mut watchers = Vec::new();
    for round in 0..50 {
        receipts.push(node.submit(&cluster, &format!("m{round}")));
        watchers.push(node.watcher(&cluster).await);
    }
    for receipt in receipts {
        receipt.await.unwrap();
    }
    for (watcher, from) in watchers {
        assert_eq!(numbers(&heard(&watcher)), (from.0 + 1..=50).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_user_is_told_goes_to_the_nodes_they_are_on_and_to_no_other_s_145() {
    let cluster = Cluster::new().await;
    let (one, two, stranger) = (cluster.node(), cluster.node(), cluster.bus.node());
    let mut heard_by_stranger = stranger.events().unwrap();
    stranger.subscribe("nodes").await.unwrap();
    settle().await;
    while heard_by_stranger.try_recv().is_ok() {}

    let bob = samples::user_id(&*cluster.ids);
    let others = one.deliveries.outgoing().unwrap();
    let packet = Packet::from_elem(Frame::text(&["42[\"news\"]"]), 1);
    let say_all = || {
        others.tell(bob, packet.clone());
        others.signal(cluster.room, Reach::Besides(bob), packet.clone());
        others.enter(cluster.room, &[bob], Seq::ZERO);
    };
    for _ in 0..2 {
        let his = Detached::new(chatterbox_core::engine::eio::QueueLimits::default());
        two.deliveries.attend(&his.link(), bob).await;
        say_all();
        settle().await;
        assert_eq!(his.take_sent().len(), 2);
        two.deliveries.unwatch_all(&his.link());
        settle().await;
        let listeners = format!("{:?}", cluster.bus);
        assert!(!listeners.contains(&bob.to_string()), "{listeners}");
    }
    assert!(heard_by_stranger.try_recv().is_err(), "every node has to read it");
}

#[tokio::test(start_paused = true)]
async fn one_key_makes_one_message_on_any_node_i2() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.node(), cluster.node());
    let first = one_new(one.submit_keyed(&cluster, Some("k"), "hi").await.unwrap());
    for node in [&one, &two, &cluster.node()] {
        let again = node.submit_keyed(&cluster, Some("k"), "hi").await.unwrap();
        assert_eq!(again, Posted::Duplicate(first.clone()));
    }
    // Many at once, in one batch and over nodes.
    let receipts: Vec<Receipt> = (0..20)
        .flat_map(|_| [&one, &two].map(|node| node.submit_keyed(&cluster, Some("race"), "hi")))
        .collect();
    let mut new = 0;
    for receipt in receipts {
        match receipt.await.unwrap() {
            Posted::New(_) => new += 1,
            Posted::Duplicate(entry) => assert_eq!(entry.seq, Seq(2)),
        }
    }
    assert_eq!(new, 1);
    assert_eq!(cluster.contents().await, ["hi", "hi"]);
}

#[tokio::test(start_paused = true)]
async fn an_append_whose_answer_was_lost_is_found_again_not_doubled_i1() {
    let flaky = Arc::new(Flaky::new(Arc::new(MemoryLog::new(1000))));
    let stores = Stores {
        log: flaky.clone(),
        ..MemoryStores::new(1000)
    };
    let cluster = Cluster::over(stores).await;
    let node = cluster.node();
    let (watcher, _) = node.watcher(&cluster).await;
    node.submit(&cluster, "first").await.unwrap();
    flaky.plan([Fault::Refused, Fault::AnswerLost]);
    let receipts = ["a", "b", "c"].map(|text| node.submit(&cluster, text));
    for (receipt, seq) in receipts.into_iter().zip(2..) {
        let entry = one_new(receipt.await.unwrap());
        assert_eq!(entry.seq, Seq(seq));
    }
    assert_eq!(cluster.contents().await, ["first", "a", "b", "c"]);
    settle().await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(numbers(&heard(&watcher)), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_refuses_retriably_and_the_lane_recovers() {
    let flaky = Arc::new(Flaky::new(Arc::new(MemoryLog::new(1000))));
    let stores = Stores {
        log: flaky.clone(),
        ..MemoryStores::new(1000)
    };
    let cluster = Cluster::over(stores).await;
    let node = cluster.node();
    node.submit(&cluster, "first").await.unwrap();
    flaky.plan([Fault::Refused; 4]);
    let error = node.submit(&cluster, "unlucky").await.unwrap_err();
    assert_eq!(error.code(), "UNAVAILABLE");
    assert_eq!(one_new(node.submit(&cluster, "lucky").await.unwrap()).seq, Seq(2));
}

#[tokio::test(start_paused = true)]
async fn what_another_node_has_decided_meanwhile_is_decided_on_again() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.node(), cluster.node());
    one.submit(&cluster, "hi").await.unwrap();
    two.submit(&cluster, "hello").await.unwrap();
    // Node one still believes the room to be open; its append is told that the log has moved.
    two.archive(&cluster).await.unwrap();
    let refused = one.submit(&cluster, "too late").await.unwrap_err();
    assert_eq!(refused.code(), "GONE");
    assert_eq!(cluster.contents().await, ["hi", "hello", "(settings)"]);
    let stored = cluster
        .stores
        .conversations
        .get(cluster.room)
        .await
        .unwrap()
        .unwrap();
    assert!(stored.archived, "the settings were written where lists read them");
}

#[tokio::test(start_paused = true)]
async fn within_a_batch_what_follows_a_governing_entry_is_decided_behind_it() {
    let cluster = Cluster::new().await;
    let node = cluster.node();
    let before = node.submit(&cluster, "before");
    let archive = node.archive(&cluster);
    let after = node.submit(&cluster, "after");
    before.await.unwrap();
    archive.await.unwrap();
    assert_eq!(after.await.unwrap_err().code(), "GONE");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_stops_waiting_changes_nothing() {
    let cluster = Cluster::new().await;
    let node = cluster.node();
    drop(node.submit(&cluster, "dropped"));
    node.submit(&cluster, "kept").await.unwrap();
    assert_eq!(cluster.contents().await, ["dropped", "kept"]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_conversation_is_not_found() {
    let cluster = Cluster::new().await;
    let node = cluster.node();
    let nowhere = ConversationId(cluster.ids.next());
    let proposal = Proposal::new(EntryId::new(&*cluster.ids), cluster.ann, |_| {
        Err(Error::NotFound("never asked"))
    });
    let error = node.log.submit(nowhere, proposal).unwrap().await.unwrap_err();
    assert_eq!(error.to_string(), "conversation not found");
}
