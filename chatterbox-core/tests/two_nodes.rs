//! Two whole servers on one store and one bus: what is done on one is heard on the other.

#![expect(
    clippy::unwrap_used,
    reason = "this is test code; a failure is to end the test"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chatterbox_core::auth::HashingParams;
use chatterbox_core::memory::{MemoryBus, MemoryQueue, MemoryStores};
use chatterbox_core::ports::bus::Bus;
use chatterbox_core::ports::storage::Stores;
use chatterbox_core::server::{ChatServer, Ports, Role, Settings};
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::FaultyBus;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt as _;

/// A node, and what it says to the others.
struct Node {
    server: ChatServer,
    says: Arc<FaultyBus>,
    _tasks: Tasks,
}

impl Node {
    async fn start(stores: &Stores, bus: &MemoryBus) -> Node {
        Node::start_as(Role::All, stores, bus).await
    }

    async fn start_as(role: Role, stores: &Stores, bus: &MemoryBus) -> Node {
        let mut settings = Settings::new(b"a secret of more than thirty-two bytes".to_vec());
        settings.hashing = HashingParams {
            memory_kib: 8,
            iterations: 1,
            lanes: 1,
        };
        let says = Arc::new(FaultyBus::new(bus.node()));
        let ports = Ports {
            bus: Some(says.clone() as Arc<dyn Bus>),
            ..Ports::of_one_process(stores.clone(), Arc::new(MemoryQueue::new(100)))
        };
        let tasks = Tasks::new();
        let server = ChatServer::builder(settings, ports)
            .role(role)
            .build(tasks.clone())
            .await
            .unwrap();
        Node {
            server,
            says,
            _tasks: tasks,
        }
    }

    async fn ask(&self, method: Method, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
        let mut request = Request::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        let headers = request.headers_mut();
        headers.insert("content-type", "application/json".parse().unwrap());
        if let Some(token) = token {
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let response = self.server.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn json(&self, method: Method, path: &str, token: Option<&str>, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, token, &body.to_string()).await;
        assert!(status < 300, "{path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    async fn register(&self, name: &str) -> Value {
        let body =
            json!({ "username": name, "email": format!("{name}@example.org"), "password": "correct horse" });
        self.json(Method::POST, "/api/auth/register", None, &body).await
    }

    async fn login(&self, name: &str) -> String {
        let body = json!({ "username": name, "password": "correct horse" });
        let answer = self.json(Method::POST, "/api/auth/login", None, &body).await;
        text(&answer, "accessToken")
    }

    /// A device that has logged in over polling.
    async fn device(&self, token: &str) -> Device<'_> {
        const PATH: &str = "/socket.io/?EIO=4&transport=polling";
        let (_, open) = self.ask(Method::GET, PATH, None, "").await;
        let open: Value = serde_json::from_str(&open[1..]).unwrap();
        let path = format!("{PATH}&sid={}", text(&open, "sid"));
        let mut device = Device {
            node: self,
            path,
            heard: Vec::new(),
        };
        device.post(&format!("40{}", json!({ "token": token }))).await;
        while !device.has_heard("authenticated") {
            device.poll().await;
        }
        device.heard.clear();
        device
    }
}

struct Device<'a> {
    node: &'a Node,
    path: String,
    heard: Vec<String>,
}

impl Device<'_> {
    async fn post(&self, packet: &str) {
        let (status, _) = self.node.ask(Method::POST, &self.path, None, packet).await;
        assert_eq!(status, 200);
    }

    /// One GET: it waits until there is something; an error is the end.
    async fn poll(&mut self) -> bool {
        let (status, body) = self.node.ask(Method::GET, &self.path, None, "").await;
        if status != 200 {
            return false;
        }
        for packet in body.split('\u{1e}') {
            if packet == "2" {
                self.post("3").await;
            } else {
                self.heard.push(packet.to_owned());
            }
        }
        true
    }

    fn has_heard(&self, event: &str) -> bool {
        let begin = format!("42[\"{event}\",");
        self.heard.iter().any(|packet| packet.starts_with(&begin))
    }

    /// What it hears until `event` has come.
    async fn until(&mut self, event: &str) -> Vec<String> {
        while !self.has_heard(event) {
            assert!(self.poll().await, "ended before {event}: {:?}", self.heard);
        }
        std::mem::take(&mut self.heard)
    }
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap().to_owned()
}

struct World {
    stores: Stores,
    one: Node,
    two: Node,
}

impl World {
    async fn new() -> World {
        let (bus, stores) = (MemoryBus::new(), MemoryStores::new(1000));
        World {
            one: Node::start(&stores, &bus).await,
            two: Node::start(&stores, &bus).await,
            stores,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s_023_rest_in_one_process_and_sockets_in_another_are_one_chat() {
    let (bus, stores) = (MemoryBus::new(), MemoryStores::new(1000));
    let api = Node::start_as(Role::Api, &stores, &bus).await;
    let ws = Node::start_as(Role::Ws, &stores, &bus).await;
    let worker = Node::start_as(Role::Worker, &stores, &bus).await;
    let token = text(&api.register("ann").await, "accessToken");
    let mut device = ws.device(&token).await;
    let rename = json!({ "displayName": "Ann" });
    api.json(Method::PUT, "/api/auth/me", Some(&token), &rename).await;
    device.until("profile-updated").await;

    let socket = "/socket.io/?EIO=4&transport=polling";
    for (node, path) in [
        (&api, socket),
        (&ws, "/api/auth/me"),
        (&worker, socket),
        (&worker, "/api/auth/me"),
    ] {
        let (status, answer) = node.ask(Method::GET, path, Some(&token), "").await;
        assert_eq!(status, 421, "{path}: {answer}");
        assert!(answer.contains("WRONG_ROLE"), "{answer}");
    }
    for node in [&api, &ws, &worker] {
        assert_eq!(node.ask(Method::GET, "/api/health", None, "").await.0, 200);
    }
}

/// Revokes from node two the session of a device on node one.
async fn revoke_elsewhere(world: &World, word_gets_through: bool) {
    let ann = world.one.register("ann").await;
    let (kept, token) = (text(&ann, "accessToken"), world.one.login("ann").await);
    let mut device = world.one.device(&token).await;
    let mut other = world.one.device(&kept).await;
    let list = world
        .two
        .json(Method::GET, "/api/auth/sessions", Some(&kept), &Value::Null)
        .await;
    let sessions = list["items"].as_array().unwrap();
    let session = sessions
        .iter()
        .find(|session| session["current"] == false)
        .unwrap();
    let path = format!("/api/auth/sessions/{}", text(session, "id"));

    if !word_gets_through {
        world.two.says.drop_next(1000);
    }
    let revoked_at = Instant::now();
    world
        .two
        .json(Method::DELETE, &path, Some(&kept), &Value::Null)
        .await;
    let heard = device.until("session-ended").await;
    assert_eq!(
        heard[0],
        r#"42["session-ended",{"reason":"revoked","reconnect":false}]"#
    );
    while device.poll().await {}
    assert!(
        revoked_at.elapsed() < Duration::from_secs(1),
        "{:?}",
        revoked_at.elapsed()
    );
    assert_eq!(heard.get(1).map(String::as_str), Some("41"));

    // The other session of the same user goes on.
    let rename = json!({ "displayName": "Ann" });
    world
        .one
        .json(Method::PUT, "/api/auth/me", Some(&kept), &rename)
        .await;
    other.until("profile-updated").await;
}

#[tokio::test(start_paused = true)]
async fn i8_sockets_of_a_session_revoked_on_another_node_end_within_a_second() {
    revoke_elsewhere(&World::new().await, true).await;
}

#[tokio::test(start_paused = true)]
async fn i8_they_end_within_a_second_when_the_word_of_it_gets_lost() {
    revoke_elsewhere(&World::new().await, false).await;
}

#[tokio::test(start_paused = true)]
async fn i8_a_new_password_ends_the_sockets_of_other_sessions_on_every_node() {
    let world = World::new().await;
    let token = text(&world.one.register("ann").await, "accessToken");
    let others = [world.one.login("ann").await, world.two.login("ann").await];
    let mut devices = [
        world.one.device(&others[0]).await,
        world.two.device(&others[1]).await,
        world.two.device(&others[0]).await,
    ];
    let changed_at = Instant::now();
    let change = json!({ "currentPassword": "correct horse", "newPassword": "battery staple" });
    world
        .one
        .json(Method::POST, "/api/auth/change-password", Some(&token), &change)
        .await;
    for device in &mut devices {
        device.until("session-ended").await;
    }
    assert!(changed_at.elapsed() < Duration::from_secs(1));
    let me = world.two.ask(Method::GET, "/api/auth/me", Some(&token), "").await;
    assert_eq!(me.0, 200);
    assert_eq!(world.stores.users.list(None, 10).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn s_134_and_s_135_what_one_device_changes_the_others_of_the_user_hear_and_nobody_else() {
    let world = World::new().await;
    let ann = text(&world.one.register("ann").await, "accessToken");
    let bob = world.one.register("bob").await;
    let bobs_id = text(&bob["user"], "id");
    let mut devices = [world.one.device(&ann).await, world.two.device(&ann).await];
    let mut of_bob = world.two.device(&text(&bob, "accessToken")).await;

    let rename = json!({ "displayName": "Ann Lee" });
    let mut account = world
        .one
        .json(Method::PUT, "/api/auth/me", Some(&ann), &rename)
        .await;
    // What is unread is no part of the account.
    account.as_object_mut().unwrap().remove("unreadTotal");
    // What changes nothing is told to nobody.
    world
        .one
        .json(Method::PUT, "/api/auth/me", Some(&ann), &json!({}))
        .await;
    let path = format!("/api/users/{bobs_id}/block");
    for method in [Method::PUT, Method::PUT, Method::DELETE, Method::DELETE] {
        world.one.json(method, &path, Some(&ann), &Value::Null).await;
    }
    for device in &mut devices {
        assert_eq!(
            device.until("user-unblocked").await,
            [
                format!("42{}", json!(["profile-updated", account])),
                format!("42{}", json!(["user-blocked", { "userId": bobs_id }])),
                format!("42{}", json!(["user-unblocked", { "userId": bobs_id }])),
            ]
        );
    }
    let own = json!({ "displayName": "Bob" });
    let token = text(&bob, "accessToken");
    world
        .one
        .json(Method::PUT, "/api/auth/me", Some(&token), &own)
        .await;
    assert_eq!(
        of_bob.until("profile-updated").await.len(),
        1,
        "and nothing before"
    );
}

#[tokio::test(start_paused = true)]
async fn s_134_a_new_name_is_shown_by_every_node() {
    let world = World::new().await;
    let ann = world.one.register("ann").await;
    let (token, id) = (text(&ann, "accessToken"), text(&ann["user"], "id"));
    let bob = text(&world.two.register("bob").await, "accessToken");
    let path = format!("/api/users/{id}/block");
    world.two.json(Method::PUT, &path, Some(&bob), &Value::Null).await;
    // A list that shows people by the names that node two keeps at hand.
    let shown = async || {
        let list = world
            .two
            .json(Method::GET, "/api/users/blocked", Some(&bob), &Value::Null)
            .await;
        list["items"][0]["user"]["displayName"].clone()
    };
    assert_eq!(shown().await, Value::Null);
    let rename = json!({ "displayName": "Ann Lee" });
    world
        .one
        .json(Method::PUT, "/api/auth/me", Some(&token), &rename)
        .await;
    let begun = Instant::now();
    while shown().await != "Ann Lee" {
        assert!(begun.elapsed() < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
