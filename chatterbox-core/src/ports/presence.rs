//! Who is online, over all nodes, by leases.

use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::ids::{ConversationId, NodeId, UserId};

/// Presence can't be told or changed now; messages don't depend on it.
#[derive(Debug, thiserror::Error)]
#[error("presence is unavailable")]
pub struct PresenceError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What a change has made of somebody, over all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// From no node to one: just came online.
    Appeared,
    /// From one node to none: just went offline.
    Vanished,
    /// Still online, but from being at a device to being at none, on any node (S-092).
    WentAway,
    /// Online as before, and at a device again.
    CameBack,
    /// None of these.
    None,
}

/// Whether a node's lease went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It did: the users that arrived on the node are still there.
    Held,
    /// There was none, at the node's start or because another node has claimed it: whoever is connected to this node
    /// must arrive again.
    Fresh,
}

/// Which nodes a user has connections on. A node holds one lease; when it stops renewing it, its users are given up
/// together. A node calls `arrive` at a user's first connection there and `leave` at the last.
#[async_trait]
pub trait Presence: Send + Sync {
    /// The user has a connection on `node`. Idempotent. 0→1 is decided atomically over all nodes. A node without a
    /// lease counts as one whose lease ended at `now`.
    async fn arrive(&self, user: UserId, node: NodeId, now: Timestamp) -> Result<Transition, PresenceError>;

    /// The user has no connection on `node` any more. Idempotent. If they vanish, `now` becomes the last time seen.
    async fn leave(&self, user: UserId, node: NodeId, now: Timestamp) -> Result<Transition, PresenceError>;

    /// Renews the node's lease until `now + lease`.
    async fn renew(&self, node: NodeId, now: Timestamp, lease: Duration) -> Result<Renewal, PresenceError>;

    /// Claims one node whose lease ended before `now`, takes its users away and tells who vanished by that; `None`
    /// when no lease has ended. Of concurrent callers one gets the node. They were last seen when the lease ended.
    async fn claim_expired(&self, now: Timestamp) -> Result<Option<Vec<UserId>>, PresenceError>;

    /// The user has connections on `node`, but is at none of these devices (S-092), or is again. Idempotent, and
    /// without effect if they have none there; what was said ends with the arrival on a node and with leaving it.
    async fn set_away(&self, user: UserId, node: NodeId, away: bool) -> Result<Transition, PresenceError>;

    /// Which of `users` (at most 1,000) are online and away on every node.
    async fn away_among(&self, users: &[UserId]) -> Result<Vec<UserId>, PresenceError>;

    /// Which of `users` (at most 1,000) are online.
    async fn online_among(&self, users: &[UserId]) -> Result<Vec<UserId>, PresenceError>;

    /// These users watch these rooms on some node: they count there until `until`, or until a later time that another
    /// call names.
    async fn watch_rooms(
        &self,
        rooms: &[(ConversationId, Vec<UserId>)],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), PresenceError>;

    /// How many users watch each of these rooms (at most 100), in their order: everybody counts once, on however many
    /// nodes they do.
    async fn watchers_of(&self, rooms: &[ConversationId], now: Timestamp) -> Result<Vec<u64>, PresenceError>;

    /// When each of `users` (at most 1,000) was seen last, in their order; `None` while online or never seen.
    async fn last_seen(&self, users: &[UserId]) -> Result<Vec<Option<Timestamp>>, PresenceError>;
}
