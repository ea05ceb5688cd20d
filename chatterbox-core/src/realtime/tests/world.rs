//! Nodes over the same stores, people, and clients that keep everything they hear.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde_json::{Value, json};

use super::picky::PickyLog;
use crate::app::accounts::{AuthLimits, Register};
use crate::app::{Actor, Call, Command, Principal};
use crate::auth::HashingParams;
use crate::engine::eio::QueueLimits;
use crate::engine::{CloseReason, Message};
use crate::hub::Detached;
use crate::ids::{SessionId, TokenId, UserId};
use crate::memory::{MemoryBlobs, MemoryBus, MemoryPresence, MemoryQueue, MemoryRateLimiter, MemoryStores};
use crate::ports::rate_limit::Quota;
use crate::ports::storage::Stores;
use crate::realtime::application::{Application, Handshake, Session};
use crate::realtime::chat::ChatSession;
use crate::server::{ChatServer, Ports, Settings};
use crate::tasks::Tasks;
use crate::testkit::{FaultyBus, ManualClock, SeededIds, samples};

/// Turns that everything gets to become quiet.
const TURNS: usize = 300;

/// What all nodes share.
pub(super) struct Cluster {
    pub(super) stores: Stores,
    pub(super) clock: Arc<ManualClock>,
    /// Messages that a user may send; without limit unless a test sets one.
    pub(super) message_quota: Option<Quota>,
    ids: Arc<SeededIds>,
    bus: MemoryBus,
    presence: Arc<MemoryPresence>,
}

/// One server process.
pub(super) struct Node {
    pub(super) server: ChatServer,
    pub(super) bus: Arc<FaultyBus>,
    pub(super) tasks: Tasks,
}

/// Somebody with an account.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) id: UserId,
    token: String,
    actor: Actor,
}

/// One of somebody's connections.
pub(super) struct Client {
    session: ChatSession,
    wire: Detached,
    heard: VecDeque<(String, Value)>,
    acks: VecDeque<(u64, Value)>,
    next_ack: u64,
}

impl Cluster {
    pub(super) fn new() -> Cluster {
        Cluster::over(MemoryStores::new(100_000))
    }

    /// Whose log can be told to fail.
    pub(super) fn picky() -> (Cluster, Arc<PickyLog>) {
        let mut stores = MemoryStores::new(100_000);
        let log = PickyLog::new(stores.log);
        stores.log = log.clone();
        (Cluster::over(stores), log)
    }

    fn over(stores: Stores) -> Cluster {
        Cluster {
            stores,
            message_quota: None,
            clock: Arc::new(ManualClock::at(samples::now())),
            ids: Arc::new(SeededIds::new(1)),
            bus: MemoryBus::new(),
            presence: Arc::new(MemoryPresence::new(1_000)),
        }
    }

    /// A node that reaches others by the bus.
    pub(super) async fn node(&self) -> Node {
        let bus = Arc::new(FaultyBus::new(self.bus.node()));
        let mut settings = Settings::new(b"a secret of more than thirty-two bytes".to_vec());
        settings.hashing = HashingParams {
            memory_kib: 8,
            iterations: 1,
            lanes: 1,
        };
        settings.message_quota = self.message_quota;
        settings.contact_quota = None;
        settings.change_quota = None;
        settings.room_quota = None;
        settings.auth_limits = AuthLimits::off();
        settings.quotas.audience_large = 5;
        settings.access_token_ttl = Duration::from_hours(1000);
        let ports = Ports {
            stores: self.stores.clone(),
            queue: Arc::new(MemoryQueue::new(100)),
            blobs: Arc::new(MemoryBlobs::new(0)),
            presence: self.presence.clone(),
            rate_limiter: Arc::new(MemoryRateLimiter::new(1_000)),
            bus: Some(bus.clone()),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
        };
        let tasks = Tasks::new();
        let server = ChatServer::builder(settings, ports)
            .build(tasks.clone())
            .await
            .unwrap();
        let node = Node { server, bus, tasks };
        settle().await;
        node
    }

    pub(super) async fn blocks(&self, one: &Person, other: &Person) {
        let blocks = &self.stores.blocks;
        blocks.block(one.id, other.id, samples::now(), 10).await.unwrap();
    }

    /// Moves both clocks on.
    pub(super) async fn wait(&self, duration: Duration) {
        self.clock.advance(duration);
        tokio::time::sleep(duration).await;
        settle().await;
    }

    pub(super) async fn wait_secs(&self, secs: u64) {
        // In small steps, as real clocks move.
        for _ in 0..secs {
            self.wait(Duration::from_secs(1)).await;
        }
    }
}

impl Node {
    pub(super) async fn person(&self, name: &str) -> Person {
        let register = Register {
            username: name.to_owned(),
            email: format!("{name}@example.org"),
            password: "correct horse battery".to_owned().into(),
            display_name: None,
            user_agent: None,
        };
        let registered = self.server.stack().call(Actor::Nobody, register).await.unwrap();
        let registered = serde_json::to_value(registered).unwrap();
        let id: UserId = registered["user"]["id"].as_str().unwrap().parse().unwrap();
        let ids = SeededIds::new(u32::from(id.as_bytes()[11]) + 1_000);
        let actor = Actor::User(Principal {
            user: id,
            session: SessionId::new(&ids),
            token: TokenId::new(&ids),
            expires_at: samples::in_secs(1_000_000),
        });
        Person {
            id,
            token: registered["accessToken"].as_str().unwrap().to_owned(),
            actor,
        }
    }

    pub(super) async fn people<const N: usize>(&self, names: [&str; N]) -> [Person; N] {
        let mut people = Vec::new();
        for name in names {
            people.push(self.person(name).await);
        }
        people
            .try_into()
            .unwrap_or_else(|_| unreachable!("one for each name"))
    }

    /// What REST does.
    pub(super) async fn call(&self, person: &Person, command: Value) -> Value {
        self.try_call(person, command).await.unwrap()
    }

    pub(super) async fn try_call(&self, person: &Person, command: Value) -> Result<Value, &'static str> {
        let command: Command = serde_json::from_value(command).unwrap();
        let reply = self.server.stack().run(Call::new(person.actor, command)).await;
        settle().await;
        reply
            .map(|reply| serde_json::to_value(reply).unwrap())
            .map_err(|error| error.code())
    }

    pub(super) async fn group(&self, owner: &Person, members: &[&Person]) -> String {
        let ids: Vec<String> = members.iter().map(|member| member.id.to_string()).collect();
        let command = json!({"command": "createGroup", "name": "group", "participantIds": ids});
        let made = self.call(owner, command).await;
        made["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn direct(&self, one: &Person, other: &Person) -> String {
        let command = json!({"command": "openDirect", "userId": other.id});
        let opened = self.call(one, command).await;
        opened["conversation"]["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn says(&self, person: &Person, conversation: &str, content: &str) -> Value {
        let command = json!({"command": "sendMessage", "conversationId": conversation, "content": content});
        self.call(person, command).await
    }

    /// A connection that has logged in.
    pub(super) async fn client(&self, person: &Person) -> Client {
        let mut client = self.guest().await;
        let ack = client.ask("auth", json!({"token": person.token})).await;
        assert_eq!(ack["ok"], true, "{ack}");
        assert_eq!(
            client.hears("authenticated").await["user"]["id"],
            json!(person.id)
        );
        client
    }

    /// A connection that logs in with what it has; nothing it hears is taken out.
    pub(super) async fn client_with(&self, person: &Person, cursors: Value) -> Client {
        let mut client = self.guest().await;
        let auth = json!({"token": person.token, "cursors": cursors});
        assert_eq!(client.ask("auth", auth).await["ok"], true);
        client.turn().await;
        client
    }

    pub(super) async fn guest(&self) -> Client {
        let wire = Detached::new(QueueLimits::default());
        let handshake = Handshake {
            remote: None,
            headers: http::HeaderMap::new(),
            query: String::new(),
        };
        let now = tokio::time::Instant::now().into_std();
        let session = self.server.chat().open(wire.link(), handshake, now);
        let mut client = Client {
            session,
            wire,
            heard: VecDeque::new(),
            acks: VecDeque::new(),
            next_ack: 0,
        };
        client.write("0");
        client.turn().await;
        client
    }
}

impl Person {
    pub(super) fn actor(&self) -> Actor {
        self.actor
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }
}

impl Client {
    /// Emits, and does not go on.
    pub(super) fn begins(&mut self, event: &str, data: &Value) {
        self.write(&format!("2{}", json!([event, data])));
    }

    /// One step of this connection, and one of everything else.
    pub(super) async fn turn_once(&mut self) {
        poll_fn(|context| {
            self.session.poll(context);
            Poll::Ready(())
        })
        .await;
        tokio::task::yield_now().await;
    }

    fn write(&mut self, text: &str) {
        let now = tokio::time::Instant::now().into_std();
        self.session.handle(Message::Text(text.into()), now);
    }

    /// Lets this connection and everything else go on, and reads what came.
    pub(super) async fn turn(&mut self) {
        for _ in 0..TURNS {
            self.turn_once().await;
        }
        self.read();
    }

    fn read(&mut self) {
        for frame in self.wire.take_sent() {
            let text = std::str::from_utf8(frame.payload()).unwrap();
            if let Some(event) = text.strip_prefix("42") {
                let mut event: Vec<Value> = serde_json::from_str(event).unwrap();
                let data = event.remove(1);
                self.heard
                    .push_back((event[0].as_str().unwrap().to_owned(), data));
            } else if let Some(ack) = text.strip_prefix("43") {
                let at = ack.find('[').unwrap();
                let mut answer: Vec<Value> = serde_json::from_str(&ack[at..]).unwrap();
                self.acks
                    .push_back((ack[..at].parse().unwrap(), answer.remove(0)));
            }
        }
    }

    /// Emits without an ack.
    pub(super) async fn emits(&mut self, event: &str, data: Value) {
        self.write(&format!("2{}", json!([event, data])));
        self.turn().await;
    }

    /// Emits, and gives the ack.
    pub(super) async fn ask(&mut self, event: &str, data: Value) -> Value {
        let id = self.asks(event, &data);
        self.answer_to(id).await
    }

    /// Emits, and does not go on; the number of the ack.
    pub(super) fn asks(&mut self, event: &str, data: &Value) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        self.write(&format!("2{id}{}", json!([event, data])));
        id
    }

    pub(super) async fn answer_to(&mut self, id: u64) -> Value {
        for _ in 0..20 {
            self.turn().await;
            if let Some(at) = self.acks.iter().position(|(other, _)| *other == id) {
                return self.acks.remove(at).unwrap().1;
            }
        }
        panic!("no ack {id}; heard {:?}", self.heard)
    }

    /// The next event, which has this name; others of other names before it are an error.
    pub(super) async fn hears(&mut self, event: &str) -> Value {
        self.turn().await;
        let Some((name, data)) = self.heard.pop_front() else {
            panic!("{event} did not come")
        };
        assert_eq!(name, event, "{data}");
        data
    }

    /// The names of everything that came and was not taken, which is taken.
    pub(super) async fn all(&mut self) -> Vec<(String, Value)> {
        self.turn().await;
        self.heard.drain(..).collect()
    }

    pub(super) async fn hears_nothing(&mut self) {
        let all = self.all().await;
        assert!(all.is_empty(), "{all:?}");
    }

    /// Of everything that came: what kind of entry, its number and the text, in order.
    pub(super) async fn entries(&mut self) -> Vec<(String, u64, String)> {
        let all = self.all().await.into_iter();
        let entries = all.filter(|(_, data)| data["seq"].is_u64());
        entries
            .map(|(name, data)| {
                let text = data["content"].as_str().unwrap_or_default().to_owned();
                (name, data["seq"].as_u64().unwrap(), text)
            })
            .collect()
    }

    /// Numbers of the entries that came.
    pub(super) async fn seqs(&mut self) -> Vec<u64> {
        self.entries().await.into_iter().map(|(_, seq, _)| seq).collect()
    }

    /// Why the server closed it, if it did.
    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        self.wire.close_reason()
    }

    /// The connection is gone.
    pub(super) async fn closes(self) {
        self.session.closed(CloseReason::TransportClose);
        settle().await;
    }
}

/// Lets everything that can run without time passing run.
pub(super) async fn settle() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}
