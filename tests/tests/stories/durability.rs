//! Nothing acknowledged is lost, nothing is doubled, whatever the moment of a power cut (I1, I2, I3).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chatterbox_tests::{Person, Random, Setup, TestServer};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Kills of one run; `KILLS` asks for more.
const KILLS: u64 = 50;

/// Senders at once.
const SENDERS: usize = 6;

/// What the server answered to a send.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Acknowledged {
    id: String,
    seq: u64,
}

/// Somebody who sends numbered messages and remembers what became of them.
struct Sender {
    person: Person,
    acknowledged: HashMap<String, Acknowledged>,
    /// Sent, but the answer was lost: to be sent again, under the same key.
    unanswered: Option<String>,
    next: u64,
}

impl Sender {
    /// Sends until the connection is lost.
    async fn sends_until_the_end(mut self) -> Sender {
        if self
            .person
            .socket
            .ask("join-room", json!({"roomName": "general"}))
            .await
            .is_err()
        {
            return self;
        }
        // A message that was acknowledged before the kill gets the same answer after it.
        let old = self
            .acknowledged
            .iter()
            .max_by_key(|(_, acknowledged)| acknowledged.seq);
        if let Some((key, expected)) = old.map(|(key, expected)| (key.clone(), expected.clone())) {
            let Some((answer, duplicate)) = self.attempt(&key).await else {
                return self;
            };
            assert_eq!(
                (answer, duplicate),
                (expected, true),
                "{key} was acknowledged before"
            );
        }
        loop {
            let key = self.unanswered.take().unwrap_or_else(|| {
                self.next += 1;
                format!("{}-{}", self.person.name, self.next)
            });
            let Some((answer, _)) = self.attempt(&key).await else {
                self.unanswered = Some(key);
                return self;
            };
            self.acknowledged.insert(key, answer);
        }
    }

    async fn attempt(&mut self, key: &str) -> Option<(Acknowledged, bool)> {
        let message =
            json!({"roomName": "general", "content": format!("this is {key}"), "clientMessageId": key});
        let answer = self.person.socket.ask("send-room-message", message).await.ok()?;
        assert_eq!(answer["ok"], true, "{key}: {answer}");
        let acknowledged = Acknowledged {
            id: answer["message"]["id"].as_str().unwrap().to_owned(),
            seq: answer["message"]["seq"].as_u64().unwrap(),
        };
        Some((acknowledged, answer["duplicate"].as_bool().unwrap()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_no_acknowledged_message_and_double_none() {
    let kills = std::env::var("KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KILLS);
    let mut random = Random::from_environment();
    let started = Instant::now();
    let mut server = Setup::new().with("ACCESS_TOKEN_TTL", "24h").start().await;
    let mut senders = Vec::new();
    for number in 0..SENDERS {
        senders.push(Sender {
            person: server.person(&format!("sender{number}")).await,
            acknowledged: HashMap::new(),
            unanswered: None,
            next: 0,
        });
    }

    for _ in 0..kills {
        let mut tasks: JoinSet<Sender> = senders.drain(..).map(Sender::sends_until_the_end).collect();
        // The moment of the kill is what this test is about; nothing announces it.
        tokio::time::sleep(Duration::from_millis(20 + random.below(250))).await;
        let stopped = server.killed().await;
        while let Some(sender) = tasks.join_next().await {
            senders.push(sender.unwrap());
        }
        server = stopped.restarted().await;
        for sender in &mut senders {
            sender.person.returns_to(&server).await;
        }
    }

    // What was on its way at the last kill is sent once more, so that every key is settled.
    for sender in &mut senders {
        sender.person.joins("general").await;
        if let Some(key) = sender.unanswered.take() {
            let (answer, _) = sender.attempt(&key).await.expect("the server lives");
            sender.acknowledged.insert(key, answer);
        }
    }
    let stored = history(&server, &senders[0].person).await;
    let retried = settle(&senders, &stored);
    println!(
        "{kills} kills in {:?}: {} messages acknowledged, {} stored, {retried} keys, 0 lost, 0 doubled, seq dense",
        started.elapsed(),
        senders
            .iter()
            .map(|sender| sender.acknowledged.len())
            .sum::<usize>(),
        stored.len(),
    );
}

/// All messages of the room, oldest first, page by page.
async fn history(server: &TestServer, reader: &Person) -> Vec<Value> {
    let rest = server.rest().with_token(&reader.token);
    let mut messages: Vec<Value> = Vec::new();
    loop {
        let after = messages
            .last()
            .map_or(0, |message| message["seq"].as_u64().unwrap());
        let page = rest
            .get(&format!("/api/rooms/general/messages?after={after}&limit=100"))
            .await
            .ok();
        let items = page["items"].as_array().unwrap().clone();
        if items.is_empty() {
            return messages;
        }
        messages.extend(items);
    }
}

/// Compares what was acknowledged with what is stored; the number of keys.
fn settle(senders: &[Sender], stored: &[Value]) -> usize {
    for (index, message) in stored.iter().enumerate() {
        assert_eq!(
            message["seq"].as_u64().unwrap(),
            index as u64 + 1,
            "I3: seq is dense"
        );
    }
    let mut by_key: HashMap<&str, &Value> = HashMap::new();
    for message in stored {
        let key = message["clientMessageId"].as_str().unwrap();
        assert_eq!(message["content"], format!("this is {key}"));
        assert!(by_key.insert(key, message).is_none(), "I2: {key} is there twice");
    }
    let mut keys = 0;
    for sender in senders {
        for (key, acknowledged) in &sender.acknowledged {
            let message = by_key
                .get(key.as_str())
                .unwrap_or_else(|| panic!("I1: {key} {acknowledged:?} is lost"));
            let found = Acknowledged {
                id: message["id"].as_str().unwrap().to_owned(),
                seq: message["seq"].as_u64().unwrap(),
            };
            assert_eq!(&found, acknowledged, "{key}");
            keys += 1;
        }
    }
    assert_eq!(
        keys,
        stored.len(),
        "every stored message was settled with its sender"
    );
    keys
}
