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
    /// The connection was lost and is back: anything may have been missed meanwhile.
    Reconnected,
}

/// Publish and subscribe by channel name, best effort, at most once, over one connection per node.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Hands a payload (at most [`PAYLOAD_BYTES_MAX`]) to the other nodes that subscribe to the channel.
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<(), BusError>;

    /// Starts to listen to a channel; idempotent. Messages published after it returned are received.
    async fn subscribe(&self, channel: &str) -> Result<(), BusError>;

    /// Stops to listen to a channel; idempotent.
    async fn unsubscribe(&self, channel: &str) -> Result<(), BusError>;

    /// This node's incoming events. Called once, at the start; later calls answer `None`.
    fn events(&self) -> Option<mpsc::Receiver<BusEvent>>;
}
