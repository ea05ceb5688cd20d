//! A Redis that is away, silent, cut off or has forgotten everything: nobody waits for it, and nothing stays wrong.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chatterbox_core::app::jobs::Job;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::ids::{JobId, NodeId, UserId};
use chatterbox_core::memory::MemoryQueue;
use chatterbox_core::ports::bus::{Bus, BusEvent};
use chatterbox_core::ports::presence::{Presence, Renewal, Transition};
use chatterbox_core::ports::queue::Queue;
use chatterbox_core::ports::rate_limit::{Decision, Quota, RateLimiter, Take};
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::SeededIds;
use chatterbox_core::testkit::samples::{in_secs, now};
use chatterbox_server::adapters::redis::Redis;
use deadpool_redis::redis::{Client, Cmd, FromRedisValue, cmd};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::common::{On, World, address};
use crate::proxy::{Proxy, Way};
use crate::world;

const LEASE: Duration = Duration::from_secs(30);
/// However slow the machine is.
const DEADLINE: Duration = Duration::from_secs(30);

fn spent(key: &str) -> [Take; 1] {
    [Take {
        key: key.to_owned(),
        quota: Quota::per(20, Duration::from_hours(1)),
        cost: 1,
    }]
}

/// All ports of one node.
struct All {
    bus: On<dyn Bus>,
    presence: Arc<dyn Presence>,
    limiter: Arc<dyn RateLimiter>,
    queue: Arc<dyn Queue>,
}

async fn all(world: &World, url: &str) -> All {
    let mut ports = None;
    let bus = world
        .node_at(url, |redis| {
            let rows = Arc::new(MemoryQueue::new(100));
            ports = Some((redis.presence(), redis.rate_limiter(), redis.queue(rows)));
            redis.bus()
        })
        .await;
    let (presence, limiter, queue) = ports.unwrap();
    All {
        bus,
        presence,
        limiter,
        queue,
    }
}

impl All {
    /// Every port answers within `limit`: with an error, or without Redis.
    async fn answers_within(&self, limit: Duration, channel: &str) {
        let ids = SeededIds::new(1);
        let began = Instant::now();
        let calls = async {
            tokio::join!(
                async {
                    self.bus
                        .publish(channel, Bytes::from_static(b"x"))
                        .await
                        .unwrap_err()
                },
                async { self.bus.subscribe(channel).await.unwrap_err() },
                async { self.limiter.take(&spent("ann")).await.unwrap_err() },
                async {
                    let (user, node) = (UserId::new(&ids), NodeId::new(&ids));
                    self.presence.arrive(user, node, now()).await.unwrap_err()
                },
                async {
                    self.presence
                        .online_among(&[UserId::new(&ids)])
                        .await
                        .unwrap_err()
                },
                async {
                    // Jobs are rows: they go on.
                    let id = JobId::new(&ids);
                    self.queue.push(id, &Job::SweepSessions, now()).await.unwrap();
                    assert_eq!(self.queue.claim(now(), LEASE, 1).await.unwrap().len(), 1);
                    self.queue.done(id).await.unwrap();
                }
            )
        };
        timeout(DEADLINE, calls).await.expect("every port answers");
        let elapsed = began.elapsed();
        assert!(elapsed < limit, "it took {elapsed:?}, not {limit:?}");
    }

    async fn works(&self) {
        let works = async {
            while self.limiter.take(&spent("bob")).await.is_err()
                || self
                    .presence
                    .online_among(&[UserId::new(&SeededIds::new(9))])
                    .await
                    .is_err()
                || self.bus.subscribe("works").await.is_err()
                || self.bus.publish("works", Bytes::new()).await.is_err()
            {
                // A real server is waited for: there is no event for it to be back.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(DEADLINE, works).await.expect("Redis is used again");
    }
}

async fn event(events: &mut mpsc::Receiver<BusEvent>) -> BusEvent {
    timeout(DEADLINE, events.recv()).await.unwrap().unwrap()
}

async fn until(events: &mut mpsc::Receiver<BusEvent>, awaited: &BusEvent) {
    while event(events).await != *awaited {}
}

/// Long enough for a busy machine, far from any wait that adds up.
const AT_ONCE: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s026_a_redis_that_is_not_there_is_used_as_soon_as_it_is() {
    let world = world();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let began = Instant::now();
    let node = all(&world, &format!("redis://{address}")).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    node.answers_within(AT_ONCE, "early").await;
    let mut events = node.bus.events().unwrap();
    assert_eq!(event(&mut events).await, BusEvent::Disconnected);

    let _proxy = Proxy::at(address, &world.url, Way::Open).await;
    until(&mut events, &BusEvent::Reconnected).await;
    node.works().await;
    // What was asked for while it was away holds.
    let other = world.node(Redis::bus).await;
    other
        .publish("early", Bytes::from_static(b"hello"))
        .await
        .unwrap();
    let expected = BusEvent::Message {
        channel: "early".to_owned(),
        payload: Bytes::from_static(b"hello"),
    };
    until(&mut events, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_that_takes_connections_and_never_answers_is_away() {
    let world = world();
    let proxy = Proxy::to(&world.url, Way::Silent).await;
    let began = Instant::now();
    let node = all(&world, &proxy.url()).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    for _ in 0..3 {
        node.answers_within(AT_ONCE, "news").await;
    }
    proxy.set(Way::Open);
    node.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_that_falls_silent_is_waited_for_once_and_in_bounds() {
    let world = world();
    let proxy = Proxy::to(&world.url, Way::Open).await;
    let node = all(&world, &proxy.url()).await;
    node.works().await;
    let mut events = node.bus.events().unwrap();
    proxy.set(Way::Silent);
    // All ports together wait no longer than one of them may.
    node.answers_within(Duration::from_millis(1_500), "news").await;
    for _ in 0..5 {
        node.answers_within(Duration::from_millis(900), "news").await;
    }
    until(&mut events, &BusEvent::Disconnected).await;
    for _ in 0..5 {
        node.answers_within(AT_ONCE, "news").await;
    }
    proxy.set(Way::Open);
    until(&mut events, &BusEvent::Reconnected).await;
    node.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_cut_all_subscriptions_are_renewed_and_told() {
    let world = world();
    let proxy = Proxy::to(&world.url, Way::Open).await;
    let (one, two) = (
        world.node(Redis::bus).await,
        world.node_at(&proxy.url(), Redis::bus).await,
    );
    let mut events = two.events().unwrap();
    for channel in ["kept", "left"] {
        two.subscribe(channel).await.unwrap();
    }
    for round in 0..3 {
        proxy.set(Way::Cut);
        assert_eq!(event(&mut events).await, BusEvent::Disconnected, "round {round}");
        one.publish("kept", Bytes::from_static(b"missed")).await.unwrap();
        two.subscribe("late").await.unwrap_err();
        two.unsubscribe("left").await.unwrap();
        proxy.set(Way::Open);
        assert_eq!(event(&mut events).await, BusEvent::Reconnected, "round {round}");
        for channel in ["left", "kept", "late"] {
            one.publish(channel, Bytes::from(vec![round])).await.unwrap();
        }
        for channel in ["kept", "late"] {
            let expected = BusEvent::Message {
                channel: channel.to_owned(),
                payload: Bytes::from(vec![round]),
            };
            assert_eq!(event(&mut events).await, expected);
        }
        two.subscribe("left").await.unwrap();
        two.unsubscribe("late").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s022_two_nodes_share_one_budget_exactly() {
    let world = world();
    let nodes = [
        world.node(Redis::rate_limiter).await,
        world.node(Redis::rate_limiter).await,
    ];
    let takes = (0..60).map(|index| {
        let node = &nodes[index % 2];
        async move { node.take(&spent("shared")).await.unwrap() }
    });
    let decisions = futures_util::future::join_all(takes).await;
    let allowed = decisions
        .iter()
        .filter(|it| matches!(it, Decision::Allowed { .. }));
    assert_eq!(allowed.count(), 20);
}

/// Asks Redis itself.
async fn ask<T: FromRedisValue>(command: &Cmd) -> T {
    let client = Client::open(address("REDIS_URL")).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    command.query_async(&mut connection).await.unwrap()
}

async fn keys(world: &World) -> Vec<String> {
    ask(cmd("KEYS").arg(format!("{}:*", world.prefix))).await
}

/// What FLUSHALL does, to this test only.
async fn forget_everything(world: &World) {
    let keys = keys(world).await;
    if !keys.is_empty() {
        let _: u64 = ask(cmd("DEL").arg(keys)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s022_a_bucket_costs_redis_nothing_once_it_is_full_again() {
    let world = world();
    let limiter = world.node(Redis::rate_limiter).await;
    let take = [Take {
        key: "ann".to_owned(),
        quota: Quota::per(10, Duration::from_secs(2)),
        cost: 5,
    }];
    limiter.take(&take).await.unwrap();
    let found = keys(&world).await;
    assert_eq!(found, [format!("{}:{{limits}}:ann", world.prefix)]);
    let expires_in: i64 = ask(cmd("PTTL").arg(&found[0])).await;
    assert!((1..=1_000).contains(&expires_in), "{expires_in} ms");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(keys(&world).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i9_a_redis_that_has_forgotten_everything_is_told_again() {
    let world = world();
    let presence = world.node(Redis::presence).await;
    let ids = SeededIds::new(1);
    let (ann, node) = (UserId::new(&ids), NodeId::new(&ids));
    assert_eq!(presence.renew(node, now(), LEASE).await.unwrap(), Renewal::Fresh);
    assert_eq!(
        presence.arrive(ann, node, now()).await.unwrap(),
        Transition::Appeared
    );
    assert_eq!(presence.renew(node, now(), LEASE).await.unwrap(), Renewal::Held);
    forget_everything(&world).await;
    assert_eq!(presence.online_among(&[ann]).await.unwrap(), []);
    assert_eq!(presence.renew(node, now(), LEASE).await.unwrap(), Renewal::Fresh);
    assert_eq!(
        presence.arrive(ann, node, now()).await.unwrap(),
        Transition::Appeared
    );
    // Nothing is left behind when all have gone.
    presence.leave(ann, node, now()).await.unwrap();
    assert_eq!(
        presence.claim_expired(in_secs(31)).await.unwrap(),
        Some(Vec::new())
    );
    let left = keys(&world).await;
    assert_eq!(left, [format!("{}:presence:{{{ann}}}:seen", world.prefix)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_broken_connection_users_arrive_again_and_nobody_flickers() {
    let world = world();
    let proxy = Proxy::to(&world.url, Way::Open).await;
    let mut bus = None;
    let presence = world
        .node_at(&proxy.url(), |redis| {
            bus = Some(redis.bus());
            redis.presence()
        })
        .await;
    let mut events = bus.as_ref().unwrap().events().unwrap();
    let ids = SeededIds::new(1);
    let (ann, bob, node) = (UserId::new(&ids), UserId::new(&ids), NodeId::new(&ids));
    presence.renew(node, now(), LEASE).await.unwrap();
    for user in [ann, bob] {
        presence.arrive(user, node, now()).await.unwrap();
    }
    proxy.set(Way::Cut);
    until(&mut events, &BusEvent::Disconnected).await;
    assert!(presence.renew(node, in_secs(10), LEASE).await.is_err());
    proxy.set(Way::Open);
    until(&mut events, &BusEvent::Reconnected).await;
    let renewal = async {
        loop {
            if let Ok(renewal) = presence.renew(node, in_secs(12), LEASE).await {
                break renewal;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(timeout(DEADLINE, renewal).await.unwrap(), Renewal::Fresh);
    assert_eq!(
        presence.renew(node, in_secs(20), LEASE).await.unwrap(),
        Renewal::Held
    );
    // Ann is still here; Bob left while nobody could be told.
    assert_eq!(
        presence.arrive(ann, node, in_secs(20)).await.unwrap(),
        Transition::None
    );
    assert_eq!(presence.online_among(&[ann, bob]).await.unwrap(), [ann, bob]);
    assert_eq!(presence.claim_expired(in_secs(41)).await.unwrap(), None);
    assert_eq!(
        presence.claim_expired(in_secs(43)).await.unwrap(),
        Some(vec![bob])
    );
    assert_eq!(presence.online_among(&[ann, bob]).await.unwrap(), [ann]);
    assert_eq!(
        presence.renew(node, in_secs(44), LEASE).await.unwrap(),
        Renewal::Held
    );
}

fn job(ids: &SeededIds) -> JobId {
    JobId::new(ids)
}

async fn claimed(queue: &dyn Queue, now: Timestamp, lease: Duration) -> Vec<(JobId, u32)> {
    let jobs = queue.claim(now, lease, 10).await.unwrap();
    jobs.iter().map(|job| (job.id, job.attempt)).collect()
}

/// Two workers on the same rows, which look for rows that no stream carries once an hour.
async fn workers(world: &World, url: &str) -> [On<dyn Queue>; 2] {
    let rows = Arc::new(MemoryQueue::new(100));
    let hour = Duration::from_hours(1);
    let one = world
        .node_at(url, |redis| redis.queue_swept(rows.clone(), hour))
        .await;
    let two = world.node(|redis| redis.queue_swept(rows, hour)).await;
    for worker in [&one, &two] {
        // The sweep at the start.
        assert_eq!(claimed(&**worker, now(), LEASE).await, []);
    }
    [one, two]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s019_the_stream_tells_workers_of_jobs_when_they_may_start() {
    let world = world();
    let [one, two] = workers(&world, &world.url).await;
    let ids = SeededIds::new(1);
    let (late, early) = (job(&ids), job(&ids));
    one.push(late, &Job::SweepSessions, in_secs(20)).await.unwrap();
    one.push(early, &Job::SweepSessions, in_secs(10)).await.unwrap();
    assert_eq!(claimed(&*two, in_secs(9), LEASE).await, []);
    assert_eq!(claimed(&*two, in_secs(20), LEASE).await, [(early, 1), (late, 1)]);
    two.retry(late, in_secs(40)).await.unwrap();
    two.done(early).await.unwrap();
    assert_eq!(claimed(&*one, in_secs(39), LEASE).await, []);
    assert_eq!(claimed(&*one, in_secs(40), LEASE).await, [(late, 2)]);
    one.bury(late, "no", in_secs(41)).await.unwrap();
    assert_eq!(two.buried(10).await.unwrap().len(), 1);
    // Nothing is left in Redis but an empty stream and its group.
    assert_eq!(keys(&world).await, [format!("{}:{{jobs}}:stream", world.prefix)]);
    let length: u64 = ask(cmd("XLEN").arg(format!("{}:{{jobs}}:stream", world.prefix))).await;
    assert_eq!(length, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s019_what_a_dead_worker_left_is_claimed_by_another() {
    let world = world();
    let [one, two] = workers(&world, &world.url).await;
    let id = job(&SeededIds::new(1));
    one.push(id, &Job::SweepSessions, now()).await.unwrap();
    let lease = Duration::from_millis(50);
    assert_eq!(claimed(&*one, now(), lease).await, [(id, 1)]);
    drop(one);
    let again = async {
        loop {
            let found = claimed(&*two, in_secs(1), lease).await;
            if !found.is_empty() {
                break found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert_eq!(timeout(DEADLINE, again).await.unwrap(), [(id, 2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i9_no_job_is_lost_with_redis() {
    let world = world();
    let proxy = Proxy::to(&world.url, Way::Open).await;
    let [one, _two] = workers(&world, &proxy.url()).await;
    let ids = SeededIds::new(1);
    // Told, then forgotten: found by the sweep that follows a failure.
    let forgotten = job(&ids);
    one.push(forgotten, &Job::SweepSessions, now()).await.unwrap();
    forget_everything(&world).await;
    assert_eq!(claimed(&*one, now(), LEASE).await, []);
    proxy.set(Way::Cut);
    let untold = job(&ids);
    one.push(untold, &Job::SweepSessions, now()).await.unwrap();
    let mut found = claimed(&*one, now(), LEASE).await;
    found.sort_unstable();
    assert_eq!(found, [(forgotten, 1), (untold, 1)]);
    // Pushed while it was away, claimed after it is back.
    let later = job(&ids);
    one.push(later, &Job::SweepSessions, in_secs(1)).await.unwrap();
    proxy.set(Way::Open);
    let found = async {
        loop {
            let found = claimed(&*one, in_secs(1), LEASE).await;
            if !found.is_empty() {
                break found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert_eq!(timeout(DEADLINE, found).await.unwrap(), [(later, 1)]);
}

/// A server that greets everybody and takes no writes; how many connections were made to it.
async fn read_only_replica(tasks: &Tasks) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let (count, owner) = (connections.clone(), tasks.clone());
    tasks.spawn_until_stopped(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            owner.spawn_until_stopped(async move {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    let said = String::from_utf8_lossy(&buffer[..length]);
                    let answers = said.split("\r\n").filter(|line| line.starts_with('*')).count();
                    let writes = said.contains("EVAL");
                    let answer = if writes {
                        "-READONLY You can't write\r\n"
                    } else {
                        "+OK\r\n"
                    };
                    if stream.write_all(answer.repeat(answers).as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, connections)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_refuses_at_once_is_not_stormed_with_connections() {
    let tasks = Tasks::new();
    let (url, connections) = read_only_replica(&tasks).await;
    let limiter = world().node_at(&url, Redis::rate_limiter).await;
    let began = Instant::now();
    let mut refused = 0;
    while began.elapsed() < Duration::from_secs(3) {
        limiter.take(&spent("ann")).await.unwrap_err();
        refused += 1;
        tokio::task::yield_now().await;
    }
    let made = connections.load(Ordering::Relaxed);
    println!("{refused} calls were refused over {made} connections");
    // Four lines, each of which waits longer every time, and one that listens.
    assert!(made < 60, "{made} connections in 3 s");
    tasks.stop_token().cancel();
}
