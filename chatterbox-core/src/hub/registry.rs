//! Who watches what: topics and the connections subscribed to them.
//!
//! ```text
//! topics, by hash of the key           connections, by number
//! ┌ shard ───────────────────────┐     ┌ shard ──────────────────┐
//! │ key → slot ─▶ members (links)│     │ connection → [topic, …] │   topic = shard and slot in a u32
//! └──────────────────────────────┘     └─────────────────────────┘
//! ```
//! A topic's lock is its shard's. It is taken before a connection shard's, never the other way round, so a membership
//! and its entry in the connection's list always change together. What a connection costs here is 8 bytes per topic
//! in the topic and 4 in its own list; topics of many members have an index besides.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::Packet;
use crate::hub::link::{ConnectionId, Link};

/// What a packet is worth to a recipient that is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Queued; a recipient whose queue is full is closed ([`Link::send`]).
    Reliable,
    /// Only to recipients that can take it right now ([`Link::send_volatile`]).
    Volatile,
    /// Dropped for recipients with a long queue ([`Link::send_droppable`]).
    Droppable,
}

/// Topics of a kind `K` and the connections watching them.
///
/// ```
/// # use chatterbox_core::hub::{Delivery, Detached, Hub};
/// # use chatterbox_core::engine::{Frame, Packet};
/// let (ann, bob) = (Detached::new(Default::default()), Detached::new(Default::default()));
/// let hub = Hub::new();
/// hub.subscribe(&ann.link(), &"tea");
/// hub.subscribe(&bob.link(), &"tea");
/// let packet = Packet::from_elem(Frame::text(&["4", "hello"]), 1);
/// let reached = hub.publish(&"tea", &packet, Delivery::Reliable, Some(ann.link().id()));
/// assert_eq!(reached, 1);
/// assert_eq!(bob.take_sent()[0].payload(), b"4hello");
/// assert!(ann.take_sent().is_empty());
/// ```
#[derive(Debug)]
pub struct Hub<K> {
    hasher: RandomState,
    topics: Box<[Mutex<TopicShard<K>>]>,
    connections: Box<[ConnectionShard]>,
}

/// What each connection is subscribed to.
type ConnectionShard = Mutex<HashMap<ConnectionId, Vec<TopicId>>>;

/// Shards of both kinds: enough that two publishers seldom meet.
const SHARDS: u32 = 64;

/// Up to here a member is found by looking at all; above, there is an index.
const SCAN_MAX: usize = 32;

/// A slot of a topic shard: `slot * SHARDS + shard`.
type TopicId = u32;

#[derive(Debug)]
struct TopicShard<K> {
    by_key: HashMap<K, TopicId>,
    /// Empty slots are reused before the list grows.
    slots: Vec<Option<Members<K>>>,
    free: Vec<TopicId>,
}

#[derive(Debug)]
struct Members<K> {
    key: K,
    links: Vec<Link>,
    index: Option<HashMap<ConnectionId, u32>>,
}

/// One topic under its lock: while it is held, nothing is published to the topic and nobody joins or leaves it.
#[derive(Debug)]
pub struct Topic<'a, K> {
    hub: &'a Hub<K>,
    shard: &'a mut TopicShard<K>,
    shard_number: u32,
    key: &'a K,
}

impl<K: Hash + Eq + Clone> Hub<K> {
    /// A hub without topics.
    pub fn new() -> Hub<K> {
        Hub {
            hasher: RandomState::new(),
            topics: (0..SHARDS)
                .map(|_| {
                    Mutex::new(TopicShard {
                        by_key: HashMap::new(),
                        slots: Vec::new(),
                        free: Vec::new(),
                    })
                })
                .collect(),
            connections: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Subscribes a connection. False if it was subscribed already, or is closed.
    pub fn subscribe(&self, link: &Link, key: &K) -> bool {
        self.with_topic(key, |topic| topic.subscribe(link))
    }

    /// Subscribes a connection and runs `under_lock` before anything further can be published to the topic: what it
    /// reads and what is published from now on fit together without a gap.
    pub fn subscribe_with<T>(&self, link: &Link, key: &K, under_lock: impl FnOnce() -> T) -> T {
        self.with_topic(key, |topic| {
            topic.subscribe(link);
            under_lock()
        })
    }

    /// Takes a subscription back. False if there was none.
    pub fn unsubscribe(&self, link: &Link, key: &K) -> bool {
        self.with_topic(key, |topic| topic.unsubscribe(link.id()))
    }

    /// Takes all subscriptions of a connection back, at a cost by their number. Returns how many there were.
    pub fn unsubscribe_all(&self, link: &Link) -> usize {
        let mut count = 0;
        // One at a time, each under its topic's lock: the list is looked at again because it may have changed.
        while let Some(topic) = self.last_topic_of(link.id()) {
            let shard_number = topic % SHARDS;
            let mut shard = lock(&self.topics[shard_number as usize]);
            count += usize::from(shard.remove(self, shard_number, topic, link.id()));
        }
        count
    }

    /// Sends a packet to everybody subscribed but `except`. Returns how many connections it was queued for; with
    /// [`Delivery::Reliable`], connections that are just closing included.
    pub fn publish(
        &self,
        key: &K,
        packet: &Packet,
        delivery: Delivery,
        except: Option<ConnectionId>,
    ) -> usize {
        self.with_topic(key, |topic| topic.publish(packet, delivery, except))
    }

    /// As [`publish`](Hub::publish), to everybody but several.
    pub fn publish_except(
        &self,
        key: &K,
        packet: &Packet,
        delivery: Delivery,
        except: &[ConnectionId],
    ) -> usize {
        self.with_topic(key, |topic| topic.publish_except(packet, delivery, except))
    }

    /// Whether the connection is subscribed.
    pub fn is_subscribed(&self, link: &Link, key: &K) -> bool {
        self.with_topic(key, |topic| topic.is_subscribed(link.id()))
    }

    /// How many connections are subscribed.
    pub fn watchers(&self, key: &K) -> usize {
        self.with_topic(key, |topic| topic.watchers())
    }

    /// Looks at every topic that has a subscription, in no order.
    pub fn each_key(&self, mut look: impl FnMut(&K)) {
        for shard in &self.topics {
            lock(shard).by_key.keys().for_each(&mut look);
        }
    }

    /// Topics with at least one subscription.
    pub fn topics(&self) -> usize {
        self.topics.iter().map(|shard| lock(shard).by_key.len()).sum()
    }

    /// Connections with at least one subscription.
    pub fn connections(&self) -> usize {
        self.connections.iter().map(|shard| lock(shard).len()).sum()
    }

    /// The topics a connection is subscribed to, in no order.
    pub fn topics_of(&self, link: &Link) -> Vec<K> {
        let ids = lock(self.connection_shard(link.id()))
            .get(&link.id())
            .cloned()
            .unwrap_or_default();
        let key_of = |id: TopicId| {
            let shard = lock(&self.topics[(id % SHARDS) as usize]);
            Some(shard.slots.get((id / SHARDS) as usize)?.as_ref()?.key.clone())
        };
        ids.into_iter().filter_map(key_of).collect()
    }

    /// Does several things to one topic with nothing in between. `act` must be short, must not wait, and must not
    /// use this hub but through the topic it is given (another topic may share the lock).
    pub fn with_topic<T>(&self, key: &K, act: impl FnOnce(&mut Topic<'_, K>) -> T) -> T {
        let shard_number = u32::try_from(self.hasher.hash_one(key) % u64::from(SHARDS)).unwrap_or(0);
        let mut shard = lock(&self.topics[shard_number as usize]);
        act(&mut Topic {
            hub: self,
            shard: &mut shard,
            shard_number,
            key,
        })
    }

    fn last_topic_of(&self, connection: ConnectionId) -> Option<TopicId> {
        lock(self.connection_shard(connection))
            .get(&connection)?
            .last()
            .copied()
    }
}

impl<K> Hub<K> {
    fn connection_shard(&self, id: ConnectionId) -> &ConnectionShard {
        let shard = usize::try_from(id.number() % u64::from(SHARDS)).unwrap_or(0);
        &self.connections[shard]
    }
}

impl<K: Hash + Eq + Clone> Default for Hub<K> {
    fn default() -> Hub<K> {
        Hub::new()
    }
}

impl<K: Hash + Eq + Clone> Topic<'_, K> {
    /// See [`Hub::subscribe`].
    pub fn subscribe(&mut self, link: &Link) -> bool {
        let mut connections = lock(self.hub.connection_shard(link.id()));
        // Checked under the lock that `unsubscribe_all` takes: who closes first and cleans up then leaves nothing.
        if link.is_closed() {
            return false;
        }
        let topic = self.shard.intern(self.key, self.shard_number);
        if !self
            .shard
            .members(topic)
            .is_some_and(|members| members.insert(link))
        {
            return false;
        }
        connections.entry(link.id()).or_default().push(topic);
        true
    }

    /// See [`Hub::unsubscribe`].
    pub fn unsubscribe(&mut self, connection: ConnectionId) -> bool {
        let topic = self.shard.by_key.get(self.key).copied();
        topic.is_some_and(|topic| self.shard.remove(self.hub, self.shard_number, topic, connection))
    }

    /// See [`Hub::publish`].
    pub fn publish(&mut self, packet: &Packet, delivery: Delivery, except: Option<ConnectionId>) -> usize {
        self.publish_except(packet, delivery, except.as_slice())
    }

    /// See [`Hub::publish_except`].
    pub fn publish_except(&mut self, packet: &Packet, delivery: Delivery, except: &[ConnectionId]) -> usize {
        let recipients = self.links().iter().filter(|link| !except.contains(&link.id()));
        match delivery {
            Delivery::Reliable => recipients.map(|link| link.send(packet.clone())).count(),
            Delivery::Volatile => recipients
                .filter(|link| link.send_volatile(packet.clone()))
                .count(),
            Delivery::Droppable => recipients
                .filter(|link| link.send_droppable(packet.clone()))
                .count(),
        }
    }

    /// Sends several packets reliably to everybody subscribed. Cheaper than one after the other: each connection's
    /// queue is visited once.
    pub fn publish_all<'p>(&mut self, packets: &(impl Iterator<Item = &'p Packet> + Clone)) {
        for link in self.links() {
            link.send_all(packets.clone().cloned());
        }
    }

    /// See [`Hub::is_subscribed`].
    pub fn is_subscribed(&self, connection: ConnectionId) -> bool {
        self.members()
            .is_some_and(|members| members.position(connection).is_some())
    }

    /// See [`Hub::watchers`].
    pub fn watchers(&self) -> usize {
        self.links().len()
    }

    /// The subscribed connections, in no order.
    pub fn links(&self) -> &[Link] {
        self.members().map_or(&[], |members| &members.links)
    }

    fn members(&self) -> Option<&Members<K>> {
        let topic = self.shard.by_key.get(self.key)?;
        self.shard.slots.get((topic / SHARDS) as usize)?.as_ref()
    }
}

impl<K: Hash + Eq + Clone> TopicShard<K> {
    fn intern(&mut self, key: &K, shard_number: u32) -> TopicId {
        if let Some(topic) = self.by_key.get(key) {
            return *topic;
        }
        let topic = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            let slot = u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX / SHARDS);
            slot * SHARDS + shard_number
        });
        self.slots[(topic / SHARDS) as usize] = Some(Members {
            key: key.clone(),
            links: Vec::new(),
            index: None,
        });
        self.by_key.insert(key.clone(), topic);
        topic
    }

    fn members(&mut self, topic: TopicId) -> Option<&mut Members<K>> {
        self.slots.get_mut((topic / SHARDS) as usize)?.as_mut()
    }

    /// Takes a connection out of a topic, and the topic out of the shard when it was the last one.
    fn remove(&mut self, hub: &Hub<K>, shard_number: u32, topic: TopicId, connection: ConnectionId) -> bool {
        debug_assert_eq!(topic % SHARDS, shard_number, "the right shard is locked");
        let mut connections = lock(hub.connection_shard(connection));
        let Some(topics) = connections.get_mut(&connection) else {
            return false;
        };
        let Some(at) = topics.iter().rposition(|other| *other == topic) else {
            return false;
        };
        topics.swap_remove(at);
        if topics.is_empty() {
            connections.remove(&connection);
        }
        drop(connections);
        let Some(members) = self.members(topic) else {
            return false;
        };
        members.remove(connection);
        if members.links.is_empty() {
            if let Some(members) = self.slots[(topic / SHARDS) as usize].take() {
                self.by_key.remove(&members.key);
            }
            self.free.push(topic);
            self.give_memory_back();
        }
        true
    }

    /// Empty topics leave no memory behind: once nothing is left, neither is the room for it.
    fn give_memory_back(&mut self) {
        if self.by_key.is_empty() {
            *self = TopicShard {
                by_key: HashMap::new(),
                slots: Vec::new(),
                free: Vec::new(),
            };
        } else if self.by_key.capacity() > 64 && self.by_key.len() < self.by_key.capacity() / 4 {
            self.by_key.shrink_to_fit();
        }
    }
}

impl<K> Members<K> {
    fn position(&self, connection: ConnectionId) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&connection).map(|at| *at as usize),
            None => self.links.iter().position(|link| link.id() == connection),
        }
    }

    fn insert(&mut self, link: &Link) -> bool {
        if self.position(link.id()).is_some() {
            return false;
        }
        // Topics are small or grow far: room for one more in the beginning, doubled later.
        if self.links.capacity() == self.links.len() && self.links.len() < 4 {
            self.links.reserve_exact(1);
        }
        self.links.push(link.clone());
        let last = self.links.len() - 1;
        match &mut self.index {
            Some(index) => {
                index.insert(link.id(), as_u32(last));
            }
            None if self.links.len() > SCAN_MAX => {
                let positions = self.links.iter().enumerate();
                self.index = Some(positions.map(|(at, link)| (link.id(), as_u32(at))).collect());
            }
            None => {}
        }
        true
    }

    fn remove(&mut self, connection: ConnectionId) {
        let Some(at) = self.position(connection) else {
            return;
        };
        self.links.swap_remove(at);
        if self.links.len() <= SCAN_MAX / 2 {
            self.index = None;
        }
        if let Some(index) = &mut self.index {
            index.remove(&connection);
            if let Some(moved) = self.links.get(at) {
                index.insert(moved.id(), as_u32(at));
            }
        }
        if self.links.len() < self.links.capacity() / 4 {
            self.links.shrink_to(self.links.len() * 2);
        }
    }
}

fn as_u32(position: usize) -> u32 {
    u32::try_from(position).expect("fewer than four billion connections")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic under these locks leaves at worst one subscription half done; the others go on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{CloseReason, Frame};
    use crate::hub::Detached;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn connections(count: usize) -> Vec<Detached> {
        (0..count)
            .map(|_| Detached::new(crate::engine::eio::queue::QueueLimits::default()))
            .collect()
    }

    fn packet(text: &str) -> Packet {
        Packet::from_elem(Frame::text(&[text]), 1)
    }

    #[test]
    fn a_subscription_exists_once() {
        let all = connections(1);
        let hub = Hub::new();
        assert!(hub.subscribe(&all[0].link(), &"tea"));
        assert!(!hub.subscribe(&all[0].link(), &"tea"));
        assert_eq!(hub.watchers(&"tea"), 1);
        assert!(hub.unsubscribe(&all[0].link(), &"tea"));
        assert!(!hub.unsubscribe(&all[0].link(), &"tea"));
    }

    #[test]
    fn everybody_subscribed_hears_it_but_the_excepted_one() {
        let all = connections(100);
        let hub = Hub::new();
        for connection in &all {
            hub.subscribe(&connection.link(), &"tea");
        }
        let reached = hub.publish(
            &"tea",
            &packet("hi"),
            Delivery::Reliable,
            Some(all[7].link().id()),
        );
        assert_eq!(reached, 99);
        for (number, connection) in all.iter().enumerate() {
            assert_eq!(
                connection.take_sent().len(),
                usize::from(number != 7),
                "connection {number}"
            );
        }
        assert_eq!(hub.publish(&"coffee", &packet("hi"), Delivery::Reliable, None), 0);
    }

    #[test]
    fn delivery_follows_the_link_rules() {
        let all = connections(2);
        let hub = Hub::new();
        for connection in &all {
            hub.subscribe(&connection.link(), &"tea");
        }
        all[0].set_writable(false);
        assert_eq!(hub.publish(&"tea", &packet("hi"), Delivery::Volatile, None), 1);
        all[1].link().send(packet(&"x".repeat(300_000)));
        assert_eq!(hub.publish(&"tea", &packet("hi"), Delivery::Droppable, None), 1);
    }

    #[test]
    fn empty_topics_and_gone_connections_leave_nothing() {
        let all = connections(200);
        let hub = Hub::new();
        for (number, connection) in all.iter().enumerate() {
            for topic in 0..20 {
                hub.subscribe(&connection.link(), &(topic * (number % 5)));
            }
        }
        for connection in &all {
            let mine = hub.topics_of(&connection.link()).len();
            assert_eq!(hub.unsubscribe_all(&connection.link()), mine);
        }
        assert_eq!((hub.topics(), hub.connections()), (0, 0));
        assert!(hub.topics.iter().all(|shard| lock(shard).slots.capacity() == 0));
    }

    #[test]
    fn a_closed_connection_cannot_subscribe() {
        let all = connections(1);
        let hub = Hub::new();
        all[0].link().close(CloseReason::ForcedClose);
        assert!(!hub.subscribe(&all[0].link(), &"tea"));
        assert_eq!((hub.topics(), hub.connections()), (0, 0));
    }

    /// Random subscriptions and their ends against a plain model, below and above the size where an index is built.
    #[test]
    fn membership_equals_a_set() {
        let all = connections(90);
        let hub = Hub::new();
        let mut model = std::collections::HashSet::new();
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        for step in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (who, topic) = ((random % 90) as usize, (random >> 8) % 3);
            let link = all[who].link();
            // Long phases of growing and of shrinking.
            if (random >> 16) % 10 < if (step / 2000) % 2 == 0 { 8 } else { 2 } {
                assert_eq!(hub.subscribe(&link, &topic), model.insert((who, topic)));
            } else {
                assert_eq!(hub.unsubscribe(&link, &topic), model.remove(&(who, topic)));
            }
            assert_eq!(
                hub.watchers(&topic),
                model.iter().filter(|(_, other)| *other == topic).count()
            );
        }
        for topic in 0..3 {
            hub.publish(&topic, &packet("hi"), Delivery::Reliable, None);
        }
        for (who, connection) in all.iter().enumerate() {
            assert_eq!(
                connection.take_sent().len(),
                model.iter().filter(|(other, _)| *other == who).count()
            );
        }
    }

    /// DESIGN.md section 4, resume: what is read under the topic's lock and what is published later leave no gap.
    #[test]
    fn nothing_is_published_between_a_subscription_and_what_runs_with_it() {
        let hub = Hub::new();
        let published = AtomicUsize::new(0);
        let all = connections(200);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    hub.with_topic(&"tea", |topic| {
                        published.fetch_add(1, Ordering::SeqCst);
                        topic.publish(&packet("hi"), Delivery::Reliable, None);
                    });
                }
            });
            scope.spawn(|| {
                for connection in &all {
                    let before =
                        hub.subscribe_with(&connection.link(), &"tea", || published.load(Ordering::SeqCst));
                    hub.with_topic(&"tea", |_| {
                        let heard = connection.take_sent().len();
                        assert_eq!(before + heard, published.load(Ordering::SeqCst));
                    });
                }
            });
        });
    }

    #[test]
    fn closing_and_subscribing_at_once_leaves_nothing() {
        let hub = Hub::new();
        for _ in 0..500 {
            let connection = &connections(1)[0];
            let link = connection.link();
            std::thread::scope(|scope| {
                scope.spawn(|| (0..4).for_each(|topic| _ = hub.subscribe(&link, &topic)));
                link.close(CloseReason::TransportClose);
                hub.unsubscribe_all(&link);
            });
            assert_eq!((hub.topics(), hub.connections()), (0, 0));
        }
    }
}
