//! Wakes other nodes up. The bus may lose, double, delay and reorder: the log heals all of it (I9).

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

/// The bus can't be reached now; what was published is lost, the log is not.
#[derive(Debug, thiserror::Error)]
#[error("the bus is unavailable")]
pub struct BusError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The most bytes of a payload.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// What comes in from the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusEvent {
    /// A payload published by another node (never by this one) under a subscribed channel.
    Message {
        /// The channel it was published under.
        channel: String,
        /// The bytes, as published.
        payload: Bytes,
    },
    /// The connection is lost: nothing comes in until [`Reconnected`](BusEvent::Reconnected).
    Disconnected,
    /// The connection is back, or messages were dropped because they were not read in time: anything may have been
    /// missed. Whatever was subscribed to is heard again.
    Reconnected,
}

/// Publish and subscribe by channel name, best effort, at most once, over one connection per node.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Hands a payload (at most [`PAYLOAD_BYTES_MAX`]) to the other nodes that subscribe to the channel.
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<(), BusError>;

    /// Hands over several payloads as [`publish`](Bus::publish) does, in order. A failure may be one of some or of all.
    async fn publish_all(&self, messages: Vec<(String, Bytes)>) -> Result<(), BusError> {
        let mut result = Ok(());
        for (channel, payload) in messages {
            result = self.publish(&channel, payload).await.and(result);
        }
        result
    }

    /// Starts to listen to a channel; idempotent. Messages published after it returned are received. What fails is
    /// remembered: it is so when [`BusEvent::Reconnected`] comes.
    async fn subscribe(&self, channel: &str) -> Result<(), BusError>;

    /// Stops to listen to a channel; idempotent.
    async fn unsubscribe(&self, channel: &str) -> Result<(), BusError>;

    /// This node's incoming events. Called once, at the start; later calls answer `None`.
    fn events(&self) -> Option<mpsc::Receiver<BusEvent>>;
}
