//! Two whole servers on one store and a real Redis: what the bus did not bring comes all the same, once and in order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chatterbox_core::auth::HashingParams;
use chatterbox_core::ids::{IdSource as _, NodeId, SystemIds};
use chatterbox_core::memory::{MemoryQueue, MemoryStores};
use chatterbox_core::ports::storage::Stores;
use chatterbox_core::server::{ChatServer, Ports, Settings};
use chatterbox_core::tasks::Tasks;
use chatterbox_server::adapters::redis::{Redis, RedisOptions};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tower::ServiceExt as _;

use crate::common::World;
use crate::proxy::{Proxy, Way};
use crate::world;

/// However slow the machine is.
const DEADLINE: Duration = Duration::from_mins(1);

struct Node {
    server: ChatServer,
    redis: Redis,
    tasks: Tasks,
}

impl Node {
    async fn start(world: &World, url: &str, stores: &Stores) -> Node {
        let mut settings = Settings::new(b"a secret of more than thirty-two bytes".to_vec());
        settings.hashing = HashingParams {
            memory_kib: 8,
            iterations: 1,
            lanes: 1,
        };
        let tasks = Tasks::new();
        let options = RedisOptions {
            url: url.into(),
            ..world.options()
        };
        let node = NodeId(SystemIds::new().next());
        let redis = Redis::connect(options, node, &tasks).await.unwrap();
        let rows = Arc::new(MemoryQueue::new(100));
        let ports = Ports {
            bus: Some(redis.bus()),
            presence: redis.presence(),
            rate_limiter: redis.rate_limiter(),
            queue: redis.queue(rows.clone()),
            ..Ports::of_one_process(stores.clone(), rows)
        };
        let server = ChatServer::builder(settings, ports)
            .build(tasks.clone())
            .await
            .unwrap();
        Node { server, redis, tasks }
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

    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Value {
        let (status, answer) = self.ask(Method::POST, path, token, &body.to_string()).await;
        assert!(status < 300, "{path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    async fn register(&self, name: &str) -> (String, String) {
        let body =
            json!({ "username": name, "email": format!("{name}@example.org"), "password": "correct horse" });
        let registered = self.post("/api/auth/register", None, &body).await;
        (text(&registered["user"], "id"), text(&registered, "accessToken"))
    }

    /// A device that has logged in over polling.
    async fn device(&self, token: &str) -> Device<'_> {
        const PATH: &str = "/socket.io/?EIO=4&transport=polling";
        let (_, open) = self.ask(Method::GET, PATH, None, "").await;
        let open: Value = serde_json::from_str(&open[1..]).unwrap();
        let mut device = Device {
            node: self,
            path: format!("{PATH}&sid={}", text(&open, "sid")),
            heard: Vec::new(),
            messages: Vec::new(),
        };
        device.say(&format!("40{}", json!({ "token": token }))).await;
        while !device
            .heard
            .iter()
            .any(|packet| packet.starts_with("42[\"authenticated\""))
        {
            device.poll().await;
        }
        device
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.stop_token().cancel();
    }
}

struct Device<'a> {
    node: &'a Node,
    path: String,
    heard: Vec<String>,
    /// Numbers of the messages heard, in order.
    messages: Vec<u64>,
}

impl Device<'_> {
    async fn say(&self, packet: &str) {
        let (status, _) = self.node.ask(Method::POST, &self.path, None, packet).await;
        assert_eq!(status, 200);
    }

    /// One GET: it waits until there is something.
    async fn poll(&mut self) {
        let (status, body) = self.node.ask(Method::GET, &self.path, None, "").await;
        assert_eq!(status, 200, "{body}");
        for packet in body.split('\u{1e}') {
            if packet == "2" {
                self.say("3").await;
            } else if let Some(event) = packet.strip_prefix("42[\"new-message\",") {
                let message: Value = serde_json::from_str(event.strip_suffix(']').unwrap()).unwrap();
                self.messages.push(message["seq"].as_u64().unwrap());
            } else {
                self.heard.push(packet.to_owned());
            }
        }
    }

    async fn until_it_has_heard(&mut self, count: usize) {
        let listening = async {
            while self.messages.len() < count {
                self.poll().await;
            }
        };
        let all = timeout(DEADLINE, listening).await;
        assert!(all.is_ok(), "heard {:?} of {count}", self.messages);
    }
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i9_what_was_sent_while_a_node_was_cut_off_comes_once_and_in_order() {
    let world = world();
    let stores = MemoryStores::new(10_000);
    let proxy = Proxy::to(&world.url, Way::Open).await;
    let one = Node::start(&world, &world.url, &stores).await;
    let two = Node::start(&world, &proxy.url(), &stores).await;
    let ((_, ann), (bob_id, bob)) = (one.register("ann").await, two.register("bob").await);
    let direct = one
        .post(
            "/api/conversations/direct",
            Some(&ann),
            &json!({ "userId": bob_id }),
        )
        .await;
    let path = format!("/api/conversations/{}/messages", text(&direct, "id"));
    let (mut of_ann, mut of_bob) = (one.device(&ann).await, two.device(&bob).await);
    let mut sent = 0;
    let mut send = async |node: &Node, token: &str, count: usize| {
        for _ in 0..count {
            let began = Instant::now();
            let body = json!({ "content": format!("number {sent}") });
            node.post(&path, Some(token), &body).await;
            sent += 1;
            let elapsed = began.elapsed();
            assert!(
                elapsed < Duration::from_secs(2),
                "a send waited {elapsed:?} for Redis"
            );
        }
        sent
    };
    for way in [Way::Open, Way::Cut, Way::Open, Way::Silent, Way::Open] {
        proxy.set(way);
        send(&one, &ann, 3).await;
        let count = send(&two, &bob, 3).await;
        // The node that is cut off looks for itself every second.
        of_bob.until_it_has_heard(count).await;
        if way == Way::Open {
            // It says that it was, as soon as it can be heard.
            of_ann.until_it_has_heard(count).await;
        }
    }
    let first = of_ann.messages[0];
    let expected: Vec<u64> = (first..first + 30).collect();
    assert_eq!(of_ann.messages, expected);
    assert_eq!(of_bob.messages, expected);
    assert!(
        two.server.rate_limit_fallbacks() > 0,
        "limits were kept by the node itself"
    );
    assert_eq!(one.server.rate_limit_fallbacks(), 0);
    let counts = two.redis.counters().read();
    assert!(
        counts.bus_reconnects > 0 && counts.connections_lost > 0,
        "{counts:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i8_a_session_revoked_on_another_node_ends_within_a_second_without_redis() {
    let world = world();
    let stores = MemoryStores::new(10_000);
    let proxy = Proxy::to(&world.url, Way::Open).await;
    let one = Node::start(&world, &world.url, &stores).await;
    let two = Node::start(&world, &proxy.url(), &stores).await;
    let (_, kept) = one.register("ann").await;
    let login = json!({ "username": "ann", "password": "correct horse" });
    let token = text(&two.post("/api/auth/login", None, &login).await, "accessToken");
    let mut device = two.device(&token).await;
    proxy.set(Way::Silent);
    let (_, list) = one.ask(Method::GET, "/api/auth/sessions", Some(&kept), "").await;
    let list: Value = serde_json::from_str(&list).unwrap();
    let sessions = list["items"].as_array().unwrap();
    let other = sessions
        .iter()
        .find(|session| session["current"] == false)
        .unwrap();
    let path = format!("/api/auth/sessions/{}", text(other, "id"));
    let revoked_at = Instant::now();
    let (status, _) = one.ask(Method::DELETE, &path, Some(&kept), "").await;
    assert!(status < 300);
    while !device
        .heard
        .iter()
        .any(|packet| packet.starts_with("42[\"session-ended\""))
    {
        device.poll().await;
    }
    let elapsed = revoked_at.elapsed();
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    // And so does its token, which the node believes for a second.
    loop {
        let asked_at = revoked_at.elapsed();
        let (status, _) = two.ask(Method::GET, "/api/auth/me", Some(&token), "").await;
        if status == 401 {
            break;
        }
        assert!(asked_at < Duration::from_secs(1), "{status} after {asked_at:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is asked for all the same is answered, at once and without an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s_026_s_061_without_redis_presence_is_unknown_rather_than_an_error() {
    let world = world();
    let stores = MemoryStores::new(10_000);
    let proxy = Proxy::to(&world.url, Way::Open).await;
    let node = Node::start(&world, &proxy.url(), &stores).await;
    let ((ann_id, ann), (bob_id, _)) = (node.register("ann").await, node.register("bob").await);
    let mut device = node.device(&ann).await;
    let (one, several) = (
        format!("/api/users/{ann_id}/presence"),
        format!("/api/users/presence?ids={ann_id},{bob_id}"),
    );
    let ask = async |path: &str| {
        let began = Instant::now();
        let (status, answer) = node.ask(Method::GET, path, Some(&ann), "").await;
        assert_eq!(status, 200, "{answer}");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        serde_json::from_str::<Value>(&answer).unwrap()
    };
    let said = |user: &str, status: &str| json!({ "userId": user, "status": status, "lastSeen": null });
    while ask(&one).await["status"] != "online" {
        device.poll().await;
    }
    assert_eq!(
        ask(&several).await["items"],
        json!([said(&ann_id, "online"), said(&bob_id, "unknown")])
    );
    for way in [Way::Silent, Way::Cut] {
        proxy.set(way);
        assert_eq!(ask(&one).await, said(&ann_id, "unknown"), "{way:?}");
        let expected = json!([said(&ann_id, "unknown"), said(&bob_id, "unknown")]);
        assert_eq!(ask(&several).await["items"], expected, "{way:?}");
        let (status, health) = node.ask(Method::GET, "/api/health", None, "").await;
        assert_eq!(status, 200, "{health}");
    }
    proxy.set(Way::Open);
    let back = async {
        while ask(&one).await["status"] != "online" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(DEADLINE, back).await.expect("presence is told again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s_104_i7_who_does_not_come_back_from_a_drained_node_is_offline_within_fifteen_seconds() {
    let world = world();
    let stores = MemoryStores::new(10_000);
    let one = Node::start(&world, &world.url, &stores).await;
    let two = Node::start(&world, &world.url, &stores).await;
    let ((ann_id, ann), (_, bob)) = (one.register("ann").await, one.register("bob").await);
    two.post(
        "/api/conversations/direct",
        Some(&bob),
        &json!({ "userId": ann_id }),
    )
    .await;
    let status = async || {
        let path = format!("/api/users/{ann_id}/presence");
        let (_, answer) = two.ask(Method::GET, &path, Some(&bob), "").await;
        text(&serde_json::from_str(&answer).unwrap(), "status")
    };
    let mut device = one.device(&ann).await;
    while status().await != "online" {
        device.poll().await;
    }
    one.server.drain(Duration::ZERO).await;
    let drained = Instant::now();
    one.tasks.stop().await;
    assert_eq!(status().await, "online", "who is on their way to another node");
    while status().await != "offline" {
        let elapsed = drained.elapsed();
        assert!(
            elapsed < Duration::from_secs(15),
            "still online after {elapsed:?}"
        );
        // Within what the limits allow.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let elapsed = drained.elapsed();
    assert!(
        elapsed > Duration::from_secs(10),
        "S-104: given up after {elapsed:?}"
    );
}
