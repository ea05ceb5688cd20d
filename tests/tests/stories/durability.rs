//! Nothing acknowledged is lost, nothing is doubled, whatever the moment of a power cut (I1, I2, I3).

use std::time::{Duration, Instant};

use chatterbox_tests::{Person, Random, Setup};
use serde_json::json;
use tokio::task::JoinSet;

use crate::ledger::{self, Acknowledged, Ledger};

/// Kills of one run; `KILLS` asks for more.
const KILLS: u64 = 50;

/// Senders at once.
const SENDERS: usize = 6;

/// Somebody who sends numbered messages and remembers what became of them.
struct Sender {
    person: Person,
    acknowledged: Ledger,
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
        ledger::send(&mut self.person.socket, key).await.ok()
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
            acknowledged: Ledger::new(),
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
    let stored = ledger::history(&senders[0].person.rest).await;
    let retried = ledger::settle(senders.iter().map(|sender| &sender.acknowledged), &stored);
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
