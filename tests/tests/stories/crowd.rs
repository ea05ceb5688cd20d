//! A thousand people write into one room while the server dies again and again: one dense order, the same for all who
//! read (I1, I2, I3; edge case 9).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use chatterbox_tests::{Lost, Random, Setup, Socket};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ledger::{self, Ledger};

/// Accounts, and devices of each: every device is a sender with one message under way at any time.
const PEOPLE: usize = 50;
const DEVICES: usize = 20;
/// Connections that hear the room.
const READERS: usize = 4;
/// Kills of one run.
const KILLS: usize = 5;

/// Where the server is, and whether there is still something to do.
#[derive(Debug, Clone)]
struct Now {
    url: Option<String>,
    over: bool,
}

/// What a device does for as long as the test goes on: it comes back to every server that stands where the last stood.
struct Device {
    now: watch::Receiver<Now>,
    /// Answers that all senders together have got.
    answered: Arc<watch::Sender<usize>>,
    address: Ipv4Addr,
    token: String,
}

impl Device {
    fn is_over(&self) -> bool {
        self.now.borrow().over
    }

    /// A socket on the server that runs.
    async fn connects(&mut self) -> Socket {
        loop {
            let now = self.now.wait_for(|now| now.url.is_some()).await;
            let url = now.expect("the test holds the sender").url.clone();
            if let Ok(socket) = self.authenticated(&url.unwrap_or_default()).await {
                return socket;
            }
            // It died under us, or has too much to do with all the others.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn authenticated(&self, url: &str) -> Result<Socket, Lost> {
        let mut socket = Socket::connect_from(self.address, url, None).await?;
        let answer = socket.ask("auth", json!({"token": self.token})).await?;
        assert_eq!(answer["ok"], true, "{answer}");
        Ok(socket)
    }

    /// Sends one message after the other; each again, under its key, until it is answered.
    async fn sends(mut self, name: String) -> Ledger {
        let mut ledger = Ledger::new();
        let mut unanswered: Option<String> = None;
        while !self.is_over() || unanswered.is_some() {
            let mut socket = self.connects().await;
            while !self.is_over() || unanswered.is_some() {
                let key = unanswered
                    .take()
                    .unwrap_or_else(|| format!("{name}-{}", ledger.len()));
                let Ok((answer, _)) = ledger::send(&mut socket, &key).await else {
                    unanswered = Some(key);
                    break;
                };
                ledger.insert(key, answer);
                self.answered.send_modify(|answered| *answered += 1);
            }
        }
        ledger
    }

    /// Listens; what it heard, by number.
    async fn reads(mut self) -> BTreeMap<u64, String> {
        let mut heard = BTreeMap::new();
        while !self.is_over() {
            let mut socket = self.connects().await;
            let Ok(joined) = socket.ask("join-room", json!({"roomName": "general"})).await else {
                continue;
            };
            let mut last = joined["seq"].as_u64().unwrap();
            while let Ok(message) = socket.hear("room-message").await {
                let seq = message["seq"].as_u64().unwrap();
                assert_eq!((message["prev"].as_u64(), seq), (Some(last), last + 1), "I3");
                last = seq;
                let id = message["id"].as_str().unwrap().to_owned();
                let before = heard.insert(seq, id.clone());
                assert!(
                    before.is_none_or(|before| before == id),
                    "I3: {seq} is two messages"
                );
            }
        }
        heard
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_senders_and_all_readers_see_one_dense_order_through_kills() {
    let mut random = Random::from_environment();
    let mut server = Setup::new().with("ACCESS_TOKEN_TTL", "24h").start().await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        let mut person = server.person(&format!("person{number}")).await;
        person.joins("general").await;
        people.push(person);
    }
    let (now, _) = watch::channel(Now {
        url: Some(server.url().to_owned()),
        over: false,
    });
    let answered = Arc::new(watch::Sender::new(0));
    let device = |person: usize| Device {
        now: now.subscribe(),
        answered: Arc::clone(&answered),
        address: Ipv4Addr::new(127, 0, 1, u8::try_from(person).unwrap()),
        token: people[person].token.clone(),
    };
    let mut senders = JoinSet::new();
    let mut readers = JoinSet::new();
    for (number, person) in people.iter().enumerate() {
        for name in (0..DEVICES).map(|device| format!("{}.{device}", person.name)) {
            senders.spawn(device(number).sends(name));
        }
    }
    for reader in 0..READERS {
        readers.spawn(device(reader).reads());
    }

    for _ in 0..KILLS {
        let target = *answered.borrow() + PEOPLE * DEVICES;
        answered
            .subscribe()
            .wait_for(|answered| *answered >= target)
            .await
            .unwrap();
        // The moment of the kill is what this test is about; nothing announces it.
        tokio::time::sleep(Duration::from_millis(random.below(1_000))).await;
        now.send_modify(|now| now.url = None);
        server = server.killed().await.restarted().await;
        now.send_modify(|now| now.url = Some(server.url().to_owned()));
    }
    now.send_modify(|now| now.over = true);
    let ledgers = senders.join_all().await;

    let rest = server.rest().with_token(&people[0].token);
    let stored = ledger::history(&rest).await;
    let keys = ledger::settle(ledgers.iter(), &stored);
    // Readers hear of the end when the server goes.
    let stopped = server.killed().await;
    let mut heard = 0;
    for read in readers.join_all().await {
        heard += read.len();
        for (seq, id) in read {
            let index = usize::try_from(seq).unwrap() - 1;
            assert_eq!(stored[index]["id"], id, "I3: all readers see one order");
        }
    }
    drop(stopped);
    println!(
        "{} senders, {KILLS} kills: {keys} messages acknowledged and stored, 0 lost, 0 doubled, seq dense; {heard} \
         heard by {READERS} readers in the same order",
        PEOPLE * DEVICES
    );
}
