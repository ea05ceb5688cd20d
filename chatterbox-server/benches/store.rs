//! Durable appends of the embedded store: how many a second, and what each costs.
//!
//! `cargo bench -p chatterbox-server --bench store` prints a table. Senders are tasks that append one 128-byte message
//! under a client message id and wait for the answer; CPU is that of the whole process (senders, runtime, writer).

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its table"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use chatterbox_core::domain::entry::Seq;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{Appended, Stores};
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::testkit::samples::keyed_message;
use chatterbox_server::adapters::embedded::EmbeddedStore;

const RUN: Duration = Duration::from_secs(3);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    println!("| senders | batch | durable messages/s | CPU us/message | p50 ms | p99 ms |");
    println!("| - | - | - | - | - | - |");
    for (senders, batch) in [(1, 1), (16, 1), (64, 1), (256, 1), (1, 64), (8, 64)] {
        runtime.block_on(measure(senders, batch));
    }
}

async fn measure(senders: u32, batch: usize) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let stores = store.stores();
    let tasks = Tasks::new();
    let (start, cpu) = (Instant::now(), cpu_secs());
    let running: Vec<_> = (0..senders)
        .map(|sender| tasks.spawn(send(stores.clone(), sender, batch, start + RUN)))
        .collect();
    let mut latencies = Vec::new();
    for sender in running {
        latencies.extend(sender.await.unwrap());
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_secs() - cpu);
    latencies.sort_unstable();
    let percentile = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    let messages = f64::from(u32::try_from(latencies.len() * batch).unwrap());
    println!(
        "| {senders} | {batch} | {:.0} | {:.1} | {:.2} | {:.2} |",
        messages / wall,
        cpu * 1e6 / messages,
        percentile(50),
        percentile(99)
    );
    store.close().await;
}

/// Appends to a conversation of its own until the end; gives how long each answer took.
async fn send(stores: Stores, seed: u32, batch: usize, end: Instant) -> Vec<Duration> {
    let ids = Arc::new(SeededIds::new(seed));
    let (conversation, sender) = (ConversationId::new(&*ids), UserId::new(&*ids));
    let content = "x".repeat(128);
    let mut latencies = Vec::new();
    let mut head = Seq::ZERO;
    let mut count = 0_u64;
    while Instant::now() < end {
        let entries = (0..batch)
            .map(|_| {
                count += 1;
                keyed_message(&*ids, sender, &format!("client-key-{count}"), &content)
            })
            .collect();
        let asked = Instant::now();
        match stores.log.append(conversation, head, entries).await.unwrap() {
            Appended::At(added) => head = added.last().unwrap().seq,
            other => unreachable!("{other:?}"),
        }
        latencies.push(asked.elapsed());
    }
    latencies
}

/// CPU time of this process so far, to the kernel's tick of 10 ms.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: u32 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u32>().unwrap())
        .sum();
    f64::from(ticks) / 100.0
}
