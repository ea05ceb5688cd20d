//! The bus on Redis' classic pub/sub.
//!
//! ```text
//! publish ─▶ a line of the pool ─▶ PUBLISH prefix:bus:channel  node (12 bytes) | payload
//! subscribe ─▶ orders (orders.rs) ─▶ listener (listener.rs) ─▶ one connection of its own ─▶ inbox (bounded) ─▶ events()
//! ```
//! Every message tells the node it comes from, and a node drops its own. What was subscribed is remembered: a new
//! connection subscribes to all of it before [`BusEvent::Reconnected`] is told.
//!
//! A cluster is used in the same way, not by its sharded pub/sub: that needs a connection to every master that moves
//! with the slots, while a node of ours holds one; and what Redis saves by it, passing each message on between its own
//! nodes, is small beside the work of our nodes at the sizes a cluster of chat servers has.

mod inbox;
mod listener;
mod orders;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use chatterbox_core::ids::NodeId;
use chatterbox_core::ports::bus::{Bus, BusError, BusEvent, PAYLOAD_BYTES_MAX};
use chatterbox_core::tasks::Tasks;
use deadpool_redis::redis::pipe;
use tokio::sync::{mpsc, oneshot, watch};

use super::calls::{Calls, Failure};
use super::keys::Keys;
use super::pool::Listening;
use listener::Listener;
use orders::{Counter, Order, Wish};

/// How long a call of the bus may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// Bytes in front of a payload: the node it comes from.
const HEADER_BYTES: usize = 12;
/// Of a cluster.
const SLOTS: u16 = 16_384;

pub(super) struct RedisBus {
    node: NodeId,
    keys: Keys,
    calls: Calls,
    orders: Counter,
    listens: watch::Receiver<bool>,
    events: Mutex<Option<mpsc::Receiver<BusEvent>>>,
}

/// Larger than a bus carries.
#[derive(Debug, thiserror::Error)]
#[error("a payload of {0} bytes is larger than a bus carries")]
struct TooLarge(usize);

impl RedisBus {
    /// Listens from now on, on a connection of its own.
    pub(super) fn start(
        node: NodeId,
        keys: &Keys,
        calls: Calls,
        listening: Listening,
        tasks: &Tasks,
    ) -> RedisBus {
        let (orders, incoming) = orders::orders();
        let counters = calls.lines().counters.clone();
        let (inbox, events) = inbox::inbox(counters);
        let (says_so, listens) = watch::channel(false);
        let lines = calls.lines().clone();
        let listener = Listener::new(node, keys.clone(), listening, lines, inbox, says_so);
        tasks.spawn_until_stopped(listener.run(incoming));
        RedisBus {
            node,
            keys: keys.clone(),
            calls,
            orders,
            listens,
            events: Mutex::new(Some(events)),
        }
    }

    /// Whether it listened within the time.
    pub(super) async fn listens_within(&self, time: Duration) -> bool {
        let mut listens = self.listens.clone();
        matches!(
            tokio::time::timeout(time, listens.wait_for(|listens| *listens)).await,
            Ok(Ok(_))
        )
    }

    async fn order(&self, channel: &str, wish: Wish) -> Result<(), BusError> {
        let (done, answer) = oneshot::channel();
        let order = Order {
            channel: channel.to_owned(),
            wish,
            done,
        };
        if !self.orders.take(order) {
            return Err(away());
        }
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(result)) => result.map_err(unavailable),
            Ok(Err(_)) => Err(away()),
            Err(_) => Err(unavailable(Failure::TimedOut(PATIENCE))),
        }
    }

    /// All that this node says goes through one master of a cluster, so that it is heard in order; each node's through
    /// another.
    fn slot(&self) -> u16 {
        let [.., high, low] = *self.node.as_bytes();
        u16::from_be_bytes([high, low]) % SLOTS
    }

    fn message(&self, payload: &Bytes) -> Result<Bytes, BusError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(BusError(Box::new(TooLarge(payload.len()))));
        }
        let mut message = BytesMut::with_capacity(HEADER_BYTES + payload.len());
        message.put_slice(self.node.as_bytes());
        message.put_slice(payload);
        Ok(message.freeze())
    }
}

fn unavailable(failure: Failure) -> BusError {
    BusError(Box::new(failure))
}

fn away() -> BusError {
    unavailable(Failure::Away)
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<(), BusError> {
        self.publish_all(vec![(channel.to_owned(), payload)]).await
    }

    async fn publish_all(&self, messages: Vec<(String, Bytes)>) -> Result<(), BusError> {
        let mut refused = Ok(());
        let mut commands = pipe();
        for (channel, payload) in messages {
            match self.message(&payload) {
                Ok(message) => {
                    commands
                        .cmd("PUBLISH")
                        .arg(self.keys.channel(&channel))
                        .arg(&message[..])
                        .ignore();
                }
                Err(error) => refused = Err(error),
            }
        }
        if !commands.is_empty() {
            let slot = self.slot();
            let published = self.calls.run(|line| line.in_order(commands, slot));
            published.await.map_err(unavailable)?;
        }
        refused
    }

    async fn subscribe(&self, channel: &str) -> Result<(), BusError> {
        self.order(channel, Wish::Hear).await
    }

    async fn unsubscribe(&self, channel: &str) -> Result<(), BusError> {
        self.order(channel, Wish::Ignore).await
    }

    fn events(&self) -> Option<mpsc::Receiver<BusEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
