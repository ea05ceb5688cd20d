//! Durable sends per second on MongoDB: 64 senders in 8 conversations, through the sequencer and the log adapter, and
//! beside it the driver's own ordered `insert_many` of the same documents, in batches of the mean size that was reached,
//! as many at once.
//!
//! ```sh
//! MONGODB_URI=… SERVER_PIDS=<gateway>,<postgres> cargo bench -p chatterbox-server --bench mongo
//! ```
//!
//! The rounds alternate, since the machine is never quite the same. `SERVER_PIDS` names processes whose CPU, with that of
//! their children, is told as well.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark prints its table and ends where something is wrong"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chatterbox_core::clock::SystemClock;
use chatterbox_core::domain::conversation::NewGroup;
use chatterbox_core::domain::entry::{ClientMessageId, EntryKind, MessageBody};
use chatterbox_core::hub::{Channel, Hub};
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::log::{Announcer, Deliveries, Encoder, Log, Posted, Proposal};
use chatterbox_core::ports::storage::Stores;
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::testkit::samples::new_group;
use chatterbox_core::views::Names;
use chatterbox_server::adapters::mongo::{MongoOptions, MongoStore};
use futures_util::TryStreamExt as _;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use mongodb::options::{ClientOptions, WriteConcern};
use mongodb::{Client, Collection};

const SENDERS: usize = 64;
const CONVERSATIONS: usize = 8;
const ROUND: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;
/// 128 bytes of 22 words.
const CONTENT: &str = "we meet at nine in the usual place, bring what you have and tell the others that there is room \
                       for two more of them, or even for us";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run());
}

struct Measured {
    per_second: f64,
    batch: f64,
    cpu: f64,
    server_cpu: f64,
}

async fn run() {
    let uri = std::env::var("MONGODB_URI").expect("MONGODB_URI names the server");
    let (scheme, rest) = uri.split_once("://").expect("MONGODB_URI is an address");
    let hosts = rest.split(['/', '?']).next().unwrap();
    let address = format!("{scheme}://{hosts}/bench_{}", ObjectId::new());
    let inserts = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&inserts);
    let mut options = MongoOptions::new(address.as_str());
    options.commands = Some(EventHandler::callback(move |event| {
        if let CommandEvent::Started(started) = event
            && started.command_name == "insert"
        {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let opened = Tasks::new();
    let store = MongoStore::open(options, &opened).await.unwrap();
    let mut bare = ClientOptions::parse(&address).await.unwrap();
    bare.max_pool_size = Some(10);
    let bare = Client::with_options(bare).unwrap().default_database().unwrap();
    let chat = Chat::new(store.stores()).await;
    let mut rows = Vec::new();
    for round in 0..ROUNDS {
        let ours = chat.round(&inserts).await;
        let twin: Collection<Document> = bare.collection(&format!("bare_{round}"));
        let entries: Collection<Document> = bare.collection("entries");
        copy_indexes(&entries, &twin).await;
        let sample = entries
            .find_one(doc! { "words": { "$exists": true } })
            .await
            .unwrap()
            .unwrap();
        let theirs = insert_many(&twin, &sample, ours.batch).await;
        rows.push((ours, theirs));
    }
    println!("| round | | durable sends/s | mean batch | CPU us/send | server's CPU us/send | ratio |");
    println!("| - | - | - | - | - | - | - |");
    for (round, (ours, theirs)) in rows.iter().enumerate() {
        let ratio = ours.per_second / theirs.per_second;
        for (name, one, ratio) in [
            ("through the log", ours, format!("{ratio:.2}")),
            ("bare insert_many", theirs, String::new()),
        ] {
            println!(
                "| {} | {name} | {:.0} | {:.1} | {:.0} | {:.0} | {ratio} |",
                round + 1,
                one.per_second,
                one.batch,
                one.cpu * 1e6,
                one.server_cpu * 1e6
            );
        }
    }
    chat.tasks.stop().await;
    opened.stop().await;
    store.close().await;
    bare.drop().await.unwrap();
}

struct Chat {
    log: Log,
    tasks: Tasks,
    places: Vec<(ConversationId, UserId)>,
    ids: Arc<SeededIds>,
}

impl Chat {
    async fn new(stores: Stores) -> Chat {
        let (tasks, ids) = (Tasks::new(), Arc::new(SeededIds::new(1)));
        let mut places = Vec::new();
        for _ in 0..CONVERSATIONS {
            let members: Vec<UserId> = (0..SENDERS / CONVERSATIONS).map(|_| UserId::new(&*ids)).collect();
            let group = NewGroup {
                members: members[1..].to_vec(),
                ..new_group(&*ids, members[0])
            };
            let here = group.id;
            stores.conversations.create_group(group).await.unwrap();
            places.extend(members.into_iter().map(|user| (here, user)));
        }
        let encoder = Encoder::new(Names::new(stores.users.clone()));
        let hub: Arc<Hub<Channel>> = Arc::new(Hub::new());
        let deliveries = Deliveries::new(hub, stores.clone(), encoder.clone(), None, tasks.clone());
        let announcer = Announcer::new(encoder, deliveries, None);
        Chat {
            log: Log::new(stores, Arc::new(SystemClock), announcer, tasks.clone()),
            tasks,
            places,
            ids,
        }
    }

    async fn round(&self, inserts: &AtomicU64) -> Measured {
        let before = (inserts.load(Ordering::Relaxed), cpu_secs(), server_cpu_secs());
        let start = Instant::now();
        let senders = self.places.iter().map(|place| {
            let (log, ids, place) = (self.log.clone(), Arc::clone(&self.ids), *place);
            self.tasks.spawn(send(log, ids, place, start + ROUND))
        });
        let mut sent = 0;
        for sender in senders.collect::<Vec<_>>() {
            sent += sender.await.unwrap();
        }
        let wall = start.elapsed().as_secs_f64();
        let sent = to_f64(sent);
        Measured {
            per_second: sent / wall,
            batch: sent / to_f64(inserts.load(Ordering::Relaxed) - before.0),
            cpu: (cpu_secs() - before.1) / sent,
            server_cpu: (server_cpu_secs() - before.2) / sent,
        }
    }
}

/// Sends one message after another, each when the one before is durable; how many.
async fn send(log: Log, ids: Arc<SeededIds>, place: (ConversationId, UserId), end: Instant) -> u64 {
    let mut sent = 0;
    while Instant::now() < end {
        let id = EntryId::new(&*ids);
        let proposal = Proposal::new(id, place.1, |_| {
            Ok(EntryKind::Message(MessageBody {
                content: CONTENT.to_owned(),
                ..MessageBody::default()
            }))
        });
        let key = ClientMessageId::parse(&id.to_string()).unwrap();
        match log
            .submit(place.0, proposal.with_key(Some(key)))
            .unwrap()
            .await
            .unwrap()
        {
            Posted::New(_) => sent += 1,
            Posted::Duplicate(entry) => panic!("{entry:?}"),
        }
    }
    sent
}

async fn copy_indexes(from: &Collection<Document>, to: &Collection<Document>) {
    let indexes: Vec<_> = from.list_indexes().await.unwrap().try_collect().await.unwrap();
    let named = |index: &mongodb::IndexModel| {
        index.options.as_ref().and_then(|options| options.name.clone()) != Some("_id_".to_owned())
    };
    to.create_indexes(indexes.into_iter().filter(named))
        .await
        .unwrap();
}

/// The driver alone: one batch in flight for each conversation.
async fn insert_many(into: &Collection<Document>, sample: &Document, batch: f64) -> Measured {
    let tasks = Tasks::new();
    let before = (cpu_secs(), server_cpu_secs());
    let start = Instant::now();
    let lanes = (0..CONVERSATIONS).map(|_| {
        let (into, sample) = (into.clone(), sample.clone());
        tasks.spawn(async move {
            let (conversation, mut sent, mut batches) = (ObjectId::new(), 0_u64, 0_u64);
            let durable = || {
                WriteConcern::builder()
                    .w(mongodb::options::Acknowledgment::Majority)
                    .journal(true)
                    .build()
            };
            while start.elapsed() < ROUND {
                batches += 1;
                // The mean over all batches is the mean that was reached.
                let upto = batch * to_f64(batches);
                let mut documents = Vec::new();
                while to_f64(sent) < upto {
                    sent += 1;
                    documents.push(like(&sample, conversation, sent));
                }
                into.insert_many(documents)
                    .write_concern(durable())
                    .await
                    .unwrap();
            }
            (sent, batches)
        })
    });
    let (mut sent, mut batches) = (0, 0);
    for lane in lanes.collect::<Vec<_>>() {
        let lane = lane.await.unwrap();
        (sent, batches) = (sent + lane.0, batches + lane.1);
    }
    let wall = start.elapsed().as_secs_f64();
    Measured {
        per_second: to_f64(sent) / wall,
        batch: to_f64(sent) / to_f64(batches),
        cpu: (cpu_secs() - before.0) / to_f64(sent),
        server_cpu: (server_cpu_secs() - before.1) / to_f64(sent),
    }
}

/// The same document in another place.
fn like(sample: &Document, conversation: ObjectId, seq: u64) -> Document {
    let mut document = sample.clone();
    let number = u32::try_from(seq).unwrap();
    let Some(Bson::Binary(key)) = document.get_mut("_id") else {
        panic!("{sample}");
    };
    key.bytes = [&conversation.bytes()[..], &number.to_be_bytes()].concat();
    let id = ObjectId::new();
    document.insert("id", id);
    document.insert("conversation", conversation);
    document.insert("seq", i64::from(number));
    document.insert("clientMessageId", id.to_hex());
    document
}

fn to_f64(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}

/// CPU time of this process so far, to the kernel's tick of 10 ms.
fn cpu_secs() -> f64 {
    ticks("self").map_or(0.0, |(_, ticks)| f64::from(ticks) / 100.0)
}

/// Of the processes in `SERVER_PIDS` and their children.
fn server_cpu_secs() -> f64 {
    let pids = std::env::var("SERVER_PIDS").unwrap_or_default();
    let pids: Vec<u32> = pids
        .split(',')
        .filter_map(|pid| pid.trim().parse().ok())
        .collect();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let of_server = processes.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let pid: u32 = name.parse().ok()?;
        let (parent, ticks) = ticks(&name)?;
        (pids.contains(&pid) || pids.contains(&parent)).then_some(f64::from(ticks))
    });
    of_server.sum::<f64>() / 100.0
}

/// The parent of a process, and its CPU time in ticks.
fn ticks(process: &str) -> Option<(u32, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let field = |at: usize| fields.split(' ').nth(at)?.parse::<u32>().ok();
    Some((field(1)?, field(11)? + field(12)?))
}
