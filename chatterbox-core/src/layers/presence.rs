use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::Carry;
use crate::app::Effect;
use crate::clock::Clock;
use crate::ids::{NodeId, UserId};
use crate::ports::presence::{Presence, PresenceError, Renewal};
use crate::tasks::Tasks;

/// A node's lease and how often it is renewed (DESIGN.md section 4, Presence).
const LEASE: Duration = Duration::from_secs(30);
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// Changes that wait for the presence port; above, they are dropped.
const WAITING_MAX: usize = 65_536;

/// Counts each user's connections on this node and reports the first and the last to the presence port, in order and
/// without letting anybody wait for it.
#[derive(Clone)]
pub struct Presences {
    connections: Arc<Mutex<HashMap<UserId, u32>>>,
    changes: mpsc::Sender<Change>,
}

enum Change {
    Arrived(UserId),
    Left(UserId),
}

impl Presences {
    /// Reports to `port` as `node`, from a task of its own, which also renews the node's lease.
    pub fn start(port: Arc<dyn Presence>, node: NodeId, clock: Arc<dyn Clock>, tasks: &Tasks) -> Presences {
        let (changes, incoming) = mpsc::channel(WAITING_MAX);
        let connections: Arc<Mutex<HashMap<UserId, u32>>> = Arc::default();
        let reporter = Reporter {
            port,
            node,
            clock,
            connections: connections.clone(),
        };
        tasks.spawn_until_stopped(reporter.run(incoming));
        Presences { connections, changes }
    }

    fn count(&self, effect: &Effect) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let change = match effect {
            Effect::Arrived(user) => {
                let count = connections.entry(*user).or_default();
                *count += 1;
                (*count == 1).then_some(Change::Arrived(*user))
            }
            Effect::Left(user) => {
                let Some(count) = connections.get_mut(user) else {
                    return;
                };
                *count -= 1;
                (*count == 0).then(|| {
                    connections.remove(user);
                    Change::Left(*user)
                })
            }
            Effect::Publish { .. }
            | Effect::Tell { .. }
            | Effect::EndSessions { .. }
            | Effect::Enqueue(_)
            | Effect::Opened { .. }
            | Effect::Read(_)
            | Effect::Audit { .. } => None,
        };
        // Sent under the lock, so that changes of one user stay in order.
        if let Some(change) = change
            && self.changes.try_send(change).is_err()
        {
            tracing::warn!(
                "presence is slower than its queue; who is online may be told wrongly for a while"
            );
        }
    }
}

#[async_trait]
impl Carry for Presences {
    async fn carry(&self, effects: &[Effect]) {
        for effect in effects {
            self.count(effect);
        }
    }
}

struct Reporter {
    port: Arc<dyn Presence>,
    node: NodeId,
    clock: Arc<dyn Clock>,
    connections: Arc<Mutex<HashMap<UserId, u32>>>,
}

impl Reporter {
    async fn run(self, mut changes: mpsc::Receiver<Change>) {
        let mut renewals = tokio::time::interval(RENEW_EVERY);
        loop {
            let result = tokio::select! {
                // The first renewal comes before the first user.
                biased;
                _ = renewals.tick() => self.renew().await,
                change = changes.recv() => match change {
                    Some(change) => self.report(change).await,
                    None => return,
                },
            };
            if let Err(error) = result {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "presence could not be reported"
                );
            }
        }
    }

    async fn report(&self, change: Change) -> Result<(), PresenceError> {
        let now = self.clock.now();
        match change {
            Change::Arrived(user) => self.port.arrive(user, self.node, now).await.map(drop),
            Change::Left(user) => self.port.leave(user, self.node, now).await.map(drop),
        }
    }

    /// Renews the lease. When another node had given this one up, its users arrive anew.
    async fn renew(&self) -> Result<(), PresenceError> {
        match self.port.renew(self.node, self.clock.now(), LEASE).await? {
            Renewal::Held => Ok(()),
            Renewal::Fresh => {
                let users: Vec<UserId> = self
                    .connections
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .keys()
                    .copied()
                    .collect();
                for user in users {
                    self.port.arrive(user, self.node, self.clock.now()).await?;
                }
                Ok(())
            }
        }
    }
}
