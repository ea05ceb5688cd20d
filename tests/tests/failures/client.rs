//! Clients as real ones are: they come back to whichever node runs, ask again under the same key until they have an answer,
//! and resume where they were.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use chatterbox_tests::{Lost, Socket};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// What a refused send may say: try again.
const RETRIABLE: [&str; 1] = ["UNAVAILABLE"];
/// Before somebody knocks at all nodes again.
const KNOCK_PAUSE: Duration = Duration::from_millis(100);
/// Between two messages of a sender, so that histories stay readable in a moment.
const SEND_PAUSE: Duration = Duration::from_millis(15);
/// How long readers may need for what they have missed once everything runs again.
const READ_MAX: Duration = Duration::from_secs(30);

/// What everybody looks at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Now {
    /// Where the nodes are; none for one that is down.
    pub(crate) urls: Vec<Option<String>>,
    /// Senders finish what they have begun and end.
    pub(crate) enough: bool,
    /// Who wants to leave leaves.
    pub(crate) leave: bool,
    /// The newest entry, once nothing is sent any more: readers end there.
    pub(crate) head: Option<u64>,
    /// Connections end.
    pub(crate) over: bool,
}

/// Somebody with a token.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) now: watch::Receiver<Now>,
    /// The node that is tried first.
    pub(crate) home: usize,
    pub(crate) token: String,
    pub(crate) conversation: String,
}

/// What one sender was told.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Id and seq, by key.
    pub(crate) acknowledged: HashMap<String, (String, u64)>,
    /// Refusals by code.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Connections that broke under it.
    pub(crate) lost: u64,
}

/// What one reader heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Up to where it has everything.
    pub(crate) last: u64,
    /// Messages by number.
    pub(crate) messages: BTreeMap<u64, String>,
    /// What a resume said has to be loaded instead.
    pub(crate) gaps: Vec<RangeInclusive<u64>>,
    /// Number of the entry that removed somebody.
    pub(crate) removal: Option<u64>,
    /// Connections it took.
    pub(crate) connections: u64,
}

impl Client {
    /// A socket on the first node that takes one; none when all is over.
    async fn connects(&mut self, cursor: Option<u64>) -> Option<Socket> {
        loop {
            let now = self.now.borrow().clone();
            if now.over {
                return None;
            }
            for offset in 0..now.urls.len() {
                let Some(url) = &now.urls[(self.home + offset) % now.urls.len()] else {
                    continue;
                };
                if let Ok(socket) = self.authenticated(url, cursor).await {
                    return Some(socket);
                }
            }
            sleep(KNOCK_PAUSE).await;
        }
    }

    async fn authenticated(&self, url: &str, cursor: Option<u64>) -> Result<Socket, Lost> {
        let mut auth = json!({"token": self.token});
        if let Some(cursor) = cursor {
            auth["cursors"] = json!({self.conversation.as_str(): cursor});
        }
        let mut socket = Socket::connect(url, None).await?;
        let answer = socket.ask("auth", auth).await?;
        if answer["ok"] != true {
            assert_is_retriable(&answer);
            return Err(Lost {
                code: None,
                disconnected: false,
            });
        }
        Ok(socket)
    }

    /// Asks until it is done, on whichever node.
    pub(crate) async fn insists(&mut self, event: &str, data: Value) -> Value {
        loop {
            let mut socket = self.connects(None).await.expect("the play goes on");
            while let Ok(answer) = socket.ask(event, data.clone()).await {
                if answer["ok"] == true {
                    return answer;
                }
                assert_is_retriable(&answer);
                sleep(KNOCK_PAUSE).await;
            }
        }
    }

    /// Sends one message after the other, each until it is acknowledged.
    pub(crate) async fn sends(mut self, name: String, sent: Arc<watch::Sender<u64>>) -> Sent {
        let mut told = Sent::default();
        let mut unanswered: Option<String> = None;
        loop {
            let Some(mut socket) = self.connects(None).await else {
                return told;
            };
            loop {
                if self.now.borrow().enough && unanswered.is_none() {
                    return told;
                }
                let key = unanswered
                    .take()
                    .unwrap_or_else(|| format!("{name}-{}", told.acknowledged.len()));
                let message = json!({
                    "conversationId": self.conversation, "content": text_of(&key), "clientMessageId": key,
                });
                let Ok(answer) = socket.ask("send-message", message).await else {
                    told.lost += 1;
                    unanswered = Some(key);
                    break;
                };
                if answer["ok"] == true {
                    let id = answer["message"]["id"].as_str().expect("an id").to_owned();
                    let seq = answer["message"]["seq"].as_u64().expect("a seq");
                    told.acknowledged.insert(key, (id, seq));
                    sent.send_modify(|sent| *sent += 1);
                    sleep(SEND_PAUSE).await;
                } else {
                    *told.refused.entry(assert_is_retriable(&answer)).or_default() += 1;
                    unanswered = Some(key);
                    sleep(KNOCK_PAUSE).await;
                }
            }
        }
    }

    /// Listens, and comes back with the number of the last entry it has; each that comes must be the next.
    pub(crate) async fn reads(mut self) -> Heard {
        let mut heard = Heard::default();
        while let Some(mut socket) = self.connects(Some(heard.last)).await {
            heard.connections += 1;
            loop {
                let event = tokio::select! {
                    event = socket.event() => event,
                    () = self.has_read(heard.last) => return heard,
                };
                let Ok((name, data)) = event else { break };
                heard.take(&self.conversation, &name, &data);
            }
        }
        heard
    }

    /// Until nothing more can come; or, when the time is up, is waited for.
    async fn has_read(&self, last: u64) {
        let mut now = self.now.clone();
        if now.wait_for(|now| now.over || now.head.is_some()).await.is_ok() {
            let rest = now.wait_for(|now| now.over || now.head.is_some_and(|head| head <= last));
            let _late = timeout(READ_MAX, rest).await;
        }
    }

    /// Is there, and no more once the connection is lost, or with `leaves` when it is time to.
    pub(crate) async fn stays(mut self, leaves: bool) {
        let mut now = self.now.clone();
        let Some(mut socket) = self.connects(None).await else {
            return;
        };
        loop {
            tokio::select! {
                event = socket.event() => if event.is_err() { return },
                _ = now.wait_for(|now| now.over || (leaves && now.leave)) => return,
            }
        }
    }
}

impl Heard {
    fn take(&mut self, conversation: &str, name: &str, data: &Value) {
        if name == "resumed" {
            self.skip(conversation, data);
            return;
        }
        let (Some(seq), Some(prev)) = (data["seq"].as_u64(), data["prev"].as_u64()) else {
            return;
        };
        if data["conversationId"] != conversation {
            return;
        }
        assert_eq!(
            (prev, seq),
            (self.last, self.last + 1),
            "I3: {name} behind {}",
            self.last
        );
        self.last = seq;
        match name {
            "new-message" => {
                let id = data["id"].as_str().expect("an id").to_owned();
                self.messages.insert(seq, id);
            }
            "participant-removed" => self.removal = Some(seq),
            _ => {}
        }
    }

    /// Too much was missed to be replayed: a client loads it by REST.
    fn skip(&mut self, conversation: &str, data: &Value) {
        let is_gap = |gaps: &Vec<Value>| gaps.iter().any(|gap| gap == conversation);
        if !data["gaps"].as_array().is_some_and(is_gap) {
            return;
        }
        let digest = data["digest"].as_array().into_iter().flatten();
        for one in digest.filter(|one| one["id"] == conversation) {
            let head = one["headSeq"].as_u64().expect("a head");
            self.gaps.push(self.last + 1..=head);
            self.last = head;
        }
    }
}

/// The code of a refusal that says: try again.
#[track_caller]
fn assert_is_retriable(answer: &Value) -> String {
    let code = answer["error"]["code"].as_str().unwrap_or_default();
    assert!(
        RETRIABLE.contains(&code),
        "a documented, retriable error: {answer}"
    );
    code.to_owned()
}

/// The content of the message with this key.
pub(crate) fn text_of(key: &str) -> String {
    format!("this is {key}")
}
