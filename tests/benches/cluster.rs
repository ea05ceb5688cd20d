//! What a node costs for conversations that nobody watches there: it must get none of their envelopes.
//!
//! ```text
//! cargo build --release -p chatterbox-server -p mongo-gateway
//! eval "$(tests/services/up)" && cargo bench -p chatterbox-tests --bench cluster
//! ```
//! One, two and three nodes on one MongoDB-compatible server and one Redis. First everybody in the busy groups is
//! connected to the first node; then one of them to each node. Envelopes are counted on the wire between Redis and each
//! node, by channel; a node also gets back what it has published itself.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark prints its table"
)]

use std::time::Duration;

use chatterbox_tests::{ClusterSetup, Person, TestCluster, unique};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// Busy groups, each with a writer and a reader.
const GROUPS: u32 = 4;
/// Messages written to each.
const MESSAGES: u32 = 250;
/// How long nothing is done, to know what that costs.
const IDLE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() {
    println!(
        "| nodes | readers | node | envelopes of the busy groups | CPU us per message | CPU us per second, idle |"
    );
    println!("| - | - | - | - | - | - |");
    for nodes in 1..=3 {
        let cluster = ClusterSetup::new().with_nodes(nodes).start().await;
        measure(&cluster, nodes, "on the first").await;
        if nodes > 1 {
            measure(&cluster, nodes, "on each").await;
        }
    }
}

async fn measure(cluster: &TestCluster, nodes: usize, readers: &str) {
    let mut groups = Vec::new();
    for number in 0..GROUPS {
        let home = if readers == "on each" {
            number as usize % nodes
        } else {
            0
        };
        groups.push(Group::make(cluster, home).await);
    }
    let mut strangers = Vec::new();
    for number in 0..nodes {
        strangers.push(cluster.node(number).person(&name()).await);
    }
    let cpu = || -> Vec<f64> {
        (0..nodes)
            .map(|number| cluster.node(number).cpu_seconds())
            .collect()
    };
    let before_idle = cpu();
    tokio::time::sleep(IDLE).await;
    let before = cpu();
    join_all(groups.iter_mut().map(Group::talks)).await;
    let after = cpu();
    for number in 0..nodes {
        let counts = cluster.way_to_redis(number).pushes().counts();
        let envelopes: u64 = counts
            .iter()
            .filter(|(channel, _)| groups.iter().any(|group| channel.contains(&group.id)))
            .map(|(_, count)| count)
            .sum();
        let idle = (before[number] - before_idle[number]) / IDLE.as_secs_f64();
        let busy = (after[number] - before[number]) / f64::from(GROUPS * MESSAGES);
        println!(
            "| {nodes} | {readers} | {} | {envelopes} | {:.0} | {:.0} |",
            number + 1,
            busy * 1e6,
            idle * 1e6
        );
        let watched = groups.iter().any(|group| group.home == number) || number == 0;
        assert!(
            watched || envelopes == 0,
            "node {number} got what nobody watches there"
        );
    }
}

/// A busy group: the writer on the first node, the reader at home.
struct Group {
    id: String,
    home: usize,
    writer: Person,
    reader: Person,
}

impl Group {
    async fn make(cluster: &TestCluster, home: usize) -> Group {
        let writer = cluster.node(0).person(&name()).await;
        let reader = cluster.node(home).person(&name()).await;
        let me = reader.rest.get("/api/auth/me").await.ok();
        let body = json!({"name": "busy", "participantIds": [me["id"]]});
        let group = writer.rest.post("/api/conversations/group", body).await.ok();
        let id = group["id"].as_str().expect("an id").to_owned();
        Group {
            id,
            home,
            writer,
            reader,
        }
    }

    /// Writes everything, and hears it.
    async fn talks(&mut self) {
        let Group {
            id, writer, reader, ..
        } = self;
        let writes = async {
            for number in 0..MESSAGES {
                let message = json!({"conversationId": *id, "content": format!("message {number}")});
                writer.does("send-message", message).await;
            }
        };
        let hears = async {
            for _ in 0..MESSAGES {
                let _heard: Value = reader.hears("new-message").await;
            }
        };
        tokio::join!(writes, hears);
    }
}

/// Nobody is called so yet.
fn name() -> String {
    unique("user")
}
