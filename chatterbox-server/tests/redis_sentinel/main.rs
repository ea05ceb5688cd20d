//! The Redis adapter behind the sentinel at REDIS_SENTINEL_URL: when another server becomes the primary, everything goes on
//! there. The sentinel is told to change them; so nothing else may use it meanwhile.

#![cfg(feature = "redis")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is test code; a failure is to end the test"
)]

#[path = "../redis/common.rs"]
mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chatterbox_core::app::jobs::Job;
use chatterbox_core::ids::{JobId, NodeId, UserId};
use chatterbox_core::memory::MemoryQueue;
use chatterbox_core::ports::bus::{Bus, BusEvent};
use chatterbox_core::ports::presence::{Presence, Renewal};
use chatterbox_core::ports::queue::Queue;
use chatterbox_core::ports::rate_limit::{Decision, Quota, RateLimiter, Take};
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::testkit::samples::now;
use common::{On, World, address};
use deadpool_redis::redis::{Client, FromRedisValue, RedisResult, cmd};
use tokio::time::timeout;

const LEASE: Duration = Duration::from_secs(30);
/// An election, and connecting again, however slow the machine is.
const DEADLINE: Duration = Duration::from_mins(1);
/// Real servers are waited for: there is no event for what they come to agree on.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The sentinel itself.
struct Sentinel {
    client: Client,
    name: String,
}

impl Sentinel {
    /// The first host of `redis+sentinel://host:port,…/name?sentinel-password=…`.
    fn of(url: &str) -> Sentinel {
        let rest = url.strip_prefix("redis+sentinel://").unwrap();
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, name) = rest.split_once('/').unwrap();
        let host = hosts.split(',').next().unwrap();
        let password = options.strip_prefix("sentinel-password=").unwrap_or_default();
        Sentinel {
            client: Client::open(format!("redis://:{password}@{host}")).unwrap(),
            name: name.split('/').next().unwrap().to_owned(),
        }
    }

    async fn say<T: FromRedisValue>(&self, what: &str) -> RedisResult<T> {
        let mut line = self.client.get_multiplexed_async_connection().await?;
        cmd("SENTINEL")
            .arg(what)
            .arg(&self.name)
            .query_async(&mut line)
            .await
    }

    /// Host and port of the present primary.
    async fn primary(&self) -> (String, u16) {
        self.say("get-master-addr-by-name").await.unwrap()
    }

    /// Makes the replica the primary.
    async fn fails_over(&self) {
        let before = self.primary().await;
        let change = async {
            // Not before the replica of the last time is one again.
            while self.say::<()>("failover").await.is_err() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            while self.primary().await == before {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        timeout(DEADLINE, change).await.expect("another primary");
    }
}

/// One node and all its ports.
struct Node {
    bus: On<dyn Bus>,
    presence: Arc<dyn Presence>,
    limiter: Arc<dyn RateLimiter>,
    queue: Arc<dyn Queue>,
}

impl Node {
    async fn start(world: &World, rows: &Arc<MemoryQueue>) -> Node {
        let mut ports = None;
        let bus = world
            .node(|redis| {
                let queue = redis.queue_swept(rows.clone(), Duration::from_hours(1));
                ports = Some((redis.presence(), redis.rate_limiter(), queue));
                redis.bus()
            })
            .await;
        let (presence, limiter, queue) = ports.unwrap();
        Node {
            bus,
            presence,
            limiter,
            queue,
        }
    }

    async fn takes(&self, key: String) -> Option<Decision> {
        let take = Take {
            key,
            quota: Quota::per(20, Duration::from_hours(1)),
            cost: 1,
        };
        self.limiter.take(&[take]).await.ok()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s026_when_a_sentinel_names_another_primary_everything_goes_on_there() {
    let url = address("REDIS_SENTINEL_URL");
    let sentinel = Sentinel::of(&url);
    let world = World::new(url);
    let rows = Arc::new(MemoryQueue::new(100));
    let (one, two) = (Node::start(&world, &rows).await, Node::start(&world, &rows).await);
    let ids = SeededIds::new(1);
    let (ann, here) = (UserId::new(&ids), NodeId::new(&ids));
    let mut events = two.bus.events().unwrap();
    two.bus.subscribe("news").await.unwrap();
    assert_eq!(
        one.presence.renew(here, now(), LEASE).await.unwrap(),
        Renewal::Fresh
    );
    one.presence.arrive(ann, here, now()).await.unwrap();
    let word = |round: u8| BusEvent::Message {
        channel: "news".to_owned(),
        payload: Bytes::from(vec![round]),
    };
    one.bus.publish("news", Bytes::from(vec![9])).await.unwrap();
    assert_eq!(timeout(DEADLINE, events.recv()).await.unwrap(), Some(word(9)));

    for round in 0..2 {
        sentinel.fails_over().await;
        // What was subscribed to is heard again, after it was told that something may have been missed.
        let mut heard = Vec::new();
        let bus = async {
            // The former primary goes on until it is told.
            while !heard.contains(&BusEvent::Reconnected) || heard.last() != Some(&word(round)) {
                let _refused = one.bus.publish("news", Bytes::from(vec![round])).await;
                while let Ok(Some(event)) = timeout(LOOK_AGAIN, events.recv()).await {
                    heard.push(event);
                }
            }
        };
        timeout(DEADLINE, bus).await.expect("the bus goes on");
        assert!(
            heard.contains(&BusEvent::Disconnected),
            "round {round}: {heard:?}"
        );

        // A lease begins anew, and those who are here are told of again.
        let presence = async {
            while one.presence.renew(here, now(), LEASE).await.is_err()
                || one.presence.arrive(ann, here, now()).await.is_err()
                || two.presence.online_among(&[ann]).await.ok() != Some(vec![ann])
            {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        timeout(DEADLINE, presence).await.expect("presence goes on");

        // Both nodes take from one bucket.
        let key = format!("bucket {round}");
        for (node, left) in [(&one, 19), (&two, 18), (&one, 17)] {
            let taken = node.takes(key.clone()).await;
            assert!(
                matches!(taken, Some(Decision::Allowed { remaining, .. }) if remaining == left),
                "round {round}: {taken:?}, not {left}"
            );
        }

        // A job is told of by the stream: nobody sweeps.
        let id = JobId::new(&ids);
        one.queue.push(id, &Job::SweepSessions, now()).await.unwrap();
        let claim = async {
            loop {
                let jobs = two.queue.claim(now(), LEASE, 10).await.unwrap();
                if let Some(job) = jobs.first() {
                    break job.id;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        assert_eq!(timeout(DEADLINE, claim).await.expect("the job is told"), id);
        two.queue.done(id).await.unwrap();

        // All of it on the new primary.
        let (host, port) = sentinel.primary().await;
        let client = Client::open(format!("redis://{host}:{port}")).unwrap();
        let mut line = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = cmd("KEYS")
            .arg(format!("{}:*", world.prefix))
            .query_async(&mut line)
            .await
            .unwrap();
        assert!(keys.iter().any(|name| name.ends_with(&key)), "{keys:?}");
    }
}

/// A host that is gone without a word keeps nobody from asking the next sentinel.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s026_a_sentinel_that_never_answers_is_passed_over() {
    let url = address("REDIS_SENTINEL_URL");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let behind_it = format!("redis+sentinel://{},", silent.local_addr().unwrap());
    let world = World::new(url.replace("redis+sentinel://", &behind_it));
    let node = Node::start(&world, &Arc::new(MemoryQueue::new(1))).await;
    let connected = async {
        while node.takes("bucket".to_owned()).await.is_none() || node.bus.subscribe("news").await.is_err() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    timeout(DEADLINE, connected)
        .await
        .expect("the other one is asked");
}
