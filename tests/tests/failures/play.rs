//! What goes on in a cluster while something breaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chatterbox_tests::{ClusterSetup, NODES, PASSWORD, Random, Rest, TestCluster};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::{Client, Heard, Now, Sent};
use crate::verdict::{self, Histories};

/// Senders, two at home on each node.
const SENDERS: usize = 2 * NODES;
/// Presence is right this long after the last fault (I7).
const PRESENCE_MAX: Duration = Duration::from_secs(30);
/// Everybody's sends go through again this long after the last fault.
const RECOVERY_MAX: Duration = Duration::from_secs(30);

/// How often a load balancer asks whether a node is ready.
const PROBE_PAUSE: Duration = Duration::from_millis(50);

/// A cluster with people who write and read in one group.
pub(crate) struct Play {
    what: &'static str,
    pub(crate) cluster: TestCluster,
    pub(crate) random: Random,
    now: watch::Sender<Now>,
    ann: Client,
    people: Vec<Account>,
    sent: Vec<Arc<watch::Sender<u64>>>,
    senders: JoinSet<Sent>,
    readers: JoinSet<Heard>,
    removed: JoinSet<Heard>,
    others: JoinSet<()>,
    /// What became of the node on which the ghost was.
    ghost_is_gone: bool,
}

struct Account {
    name: &'static str,
    id: String,
    token: String,
}

const READERS: [&str; NODES] = ["reader0", "reader1", "reader2"];
const SENDER_NAMES: [&str; SENDERS] = ["sender0", "sender1", "sender2", "sender3", "sender4", "sender5"];

impl Play {
    /// Everybody is there and writes and reads; each sender has got through.
    pub(crate) async fn begin(what: &'static str, setup: ClusterSetup) -> Play {
        let random = Random::from_environment();
        let cluster = setup.start().await;
        let rest = cluster.node(0).rest();
        let mut people = Vec::new();
        for name in ["ann", "cid", "ghost", "leaver"]
            .into_iter()
            .chain(READERS)
            .chain(SENDER_NAMES)
        {
            people.push(register(&rest, name).await);
        }
        let members: Vec<&str> = people[1..].iter().map(|account| account.id.as_str()).collect();
        let group = rest
            .with_token(&people[0].token)
            .post(
                "/api/conversations/group",
                json!({"name": what, "participantIds": members}),
            )
            .await
            .ok();
        let conversation = group["id"].as_str().expect("an id").to_owned();
        let now = watch::Sender::new(Now {
            urls: cluster.urls(),
            ..Now::default()
        });
        let client = |name: &str, home: usize| Client {
            now: now.subscribe(),
            home,
            token: account(&people, name).token.clone(),
            conversation: conversation.clone(),
        };
        let (mut senders, mut readers) = (JoinSet::new(), JoinSet::new());
        let (mut removed, mut others) = (JoinSet::new(), JoinSet::new());
        let mut sent = Vec::new();
        for (number, name) in READERS.into_iter().enumerate() {
            readers.spawn(client(name, number).reads());
        }
        removed.spawn(client("cid", 1).reads());
        others.spawn(client("ghost", 0).stays(false));
        others.spawn(client("leaver", 2).stays(true));
        for (number, name) in SENDER_NAMES.into_iter().enumerate() {
            let count = Arc::new(watch::Sender::new(0));
            sent.push(Arc::clone(&count));
            senders.spawn(client(name, number % NODES).sends(name.to_owned(), count));
        }
        let ann = client("ann", 0);
        let mut play = Play {
            what,
            cluster,
            random,
            now,
            ann,
            people,
            sent,
            senders,
            readers,
            removed,
            others,
            ghost_is_gone: false,
        };
        play.everybody_sends(10).await;
        // The moment of the fault is what this is about; nothing announces it.
        sleep(Duration::from_millis(play.random.below(1_000))).await;
        play
    }

    /// Ann removes Cid, and Leaver leaves, whatever is broken just now.
    pub(crate) async fn people_go(&mut self) {
        self.now.send_modify(|now| now.leave = true);
        let cid = json!({"conversationId": self.ann.conversation, "userId": account(&self.people, "cid").id});
        self.ann.insists("remove-participant", cid).await;
    }

    /// Each sender gets so many more messages acknowledged.
    pub(crate) async fn everybody_sends(&mut self, more: u64) {
        for (number, sent) in self.sent.iter().enumerate() {
            let target = *sent.borrow() + more;
            let mut sent = sent.subscribe();
            if timeout(RECOVERY_MAX, sent.wait_for(|sent| *sent >= target))
                .await
                .is_err()
            {
                // Perhaps it has failed: that says more.
                while let Some(ended) = self.senders.try_join_next() {
                    let _sent = ended.expect("a sender goes on");
                }
                panic!(
                    "sender{number} has {} messages acknowledged, not {target}",
                    *sent.borrow()
                );
            }
        }
    }

    /// SIGKILL to a node; clients go to others.
    pub(crate) async fn kill_node(&mut self, number: usize) {
        self.cluster.kill(number).await;
        self.ghost_is_gone |= number == 0;
        self.tell_urls();
    }

    /// SIGTERM to a node. Nobody new is sent there once it says that it isn't ready, as load balancers do (S-146).
    pub(crate) async fn drain_node(&mut self, number: usize) {
        let node = self.cluster.node(number).rest();
        let now = &self.now;
        let balancer = async {
            while node.is_ready().await {
                sleep(PROBE_PAUSE).await;
            }
            now.send_modify(|now| now.urls[number] = None);
        };
        tokio::join!(self.cluster.drain(number), balancer);
        self.ghost_is_gone |= number == 0;
    }

    /// A node comes back, at another port.
    pub(crate) async fn restart_node(&mut self, number: usize) {
        self.cluster.restart(number).await;
        self.tell_urls();
    }

    fn tell_urls(&self) {
        self.now.send_modify(|now| now.urls = self.cluster.urls());
    }

    /// Everything is whole again: all go on, presence gets right, and all histories are held against each other.
    pub(crate) async fn ends(mut self) -> Vec<Sent> {
        let healed = Instant::now();
        self.everybody_sends(10).await;
        let recovered = healed.elapsed();
        self.presence_is_right_by(healed + PRESENCE_MAX).await;
        let present = healed.elapsed();

        self.now.send_modify(|now| now.enough = true);
        let sent = self.senders.join_all().await;
        let mut stored = Vec::new();
        for number in 0..NODES {
            let rest = self
                .cluster
                .node(number)
                .rest()
                .with_token(&account(&self.people, READERS[0]).token);
            stored.push(history(&rest, &self.ann.conversation).await);
        }
        self.now
            .send_modify(|now| now.head = Some(stored[0].len() as u64));
        let heard = self.readers.join_all().await;
        self.now.send_modify(|now| now.over = true);
        let removed = self.removed.join_all().await;
        self.others.join_all().await;
        let counts = verdict::check(&Histories {
            stored: &stored,
            sent: &sent,
            heard: &heard,
            removed: &removed,
        });
        println!(
            "{}: {counts}; sends went through again after {recovered:?}, presence was right after {present:?}",
            self.what
        );
        sent
    }

    async fn presence_is_right_by(&self, deadline: Instant) {
        let status = |gone: bool| if gone { "offline" } else { "online" };
        let mut expected = vec![("ghost", status(self.ghost_is_gone)), ("leaver", "offline")];
        expected.extend(READERS.map(|name| (name, "online")));
        let ids: Vec<&str> = expected
            .iter()
            .map(|(name, _)| account(&self.people, name).id.as_str())
            .collect();
        let path = format!("/api/users/presence?ids={}", ids.join(","));
        for node in 0..NODES {
            let rest = self
                .cluster
                .node(node)
                .rest()
                .with_token(&account(&self.people, SENDER_NAMES[0]).token);
            loop {
                let answer = rest.get(&path).await;
                let found: Vec<(&str, &str)> = expected
                    .iter()
                    .zip(answer.body["items"].as_array().into_iter().flatten())
                    .map(|((name, _), item)| (*name, item["status"].as_str().unwrap_or_default()))
                    .collect();
                if found == expected {
                    break;
                }
                assert!(
                    Instant::now() < deadline,
                    "I7: node {node} says {found:?}, not {expected:?}"
                );
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

fn account<'a>(people: &'a [Account], name: &str) -> &'a Account {
    people
        .iter()
        .find(|account| account.name == name)
        .expect("somebody of the play")
}

async fn register(rest: &Rest, name: &'static str) -> Account {
    let body = json!({"username": name, "email": format!("{name}@example.com"), "password": PASSWORD});
    let login = rest.post("/api/auth/register", body).await.ok();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    Account {
        name,
        id: text(&login["user"]["id"]),
        token: text(&login["accessToken"]),
    }
}

/// All entries of the conversation that history shows, oldest first.
async fn history(rest: &Rest, conversation: &str) -> Vec<Value> {
    let mut entries: Vec<Value> = Vec::new();
    loop {
        let after = entries
            .last()
            .map_or(0, |entry| entry["seq"].as_u64().expect("a seq"));
        let path = format!("/api/conversations/{conversation}/messages?after={after}&limit=100");
        let page = rest.get(&path).await.ok();
        let items = page["items"].as_array().expect("items").clone();
        if items.is_empty() {
            return entries;
        }
        entries.extend(items);
    }
}
