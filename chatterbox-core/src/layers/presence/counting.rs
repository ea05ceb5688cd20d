//! How many connections each user has on this node.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::{LEASE, Reporter, lock};
use crate::app::Effect;
use crate::clock::Clock;
use crate::ids::{NodeId, UserId};
use crate::layers::Carry;
use crate::log::{Deliveries, Subscribed};
use crate::ports::presence::Presence;
use crate::role::Role;
use crate::tasks::Tasks;

/// Nobody's end is held up longer by handing over.
const HAND_OVER_MAX: Duration = Duration::from_secs(2);
/// Changes that wait for the presence port; above, they are dropped.
const WAITING_MAX: usize = 65_536;

/// Counts each user's connections on this node and reports the first and the last.
#[derive(Clone)]
pub struct Presences {
    connections: Arc<Mutex<HashMap<UserId, Here>>>,
    changes: mpsc::Sender<Change>,
}

/// A user's connections on this node.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Here {
    connections: u32,
    /// Those at which the user is not.
    away: u32,
}

impl Here {
    pub(super) fn is_away(self) -> bool {
        self.away >= self.connections
    }
}

/// What the reporter hears.
pub(super) enum Change {
    Arrived(UserId, Option<Arc<Subscribed>>),
    Left(UserId),
    Activity(UserId),
    /// Nobody is here any more, nor will be.
    HandedOver(oneshot::Sender<()>),
    /// Others see them from now on, or no longer.
    Shown(UserId, bool),
    /// One of the two blocks the other from now on, or no longer.
    Blocked(UserId, UserId),
}

impl Presences {
    /// Reports to `port` as `node`, from a task of its own, which also renews the node's lease and tells the
    /// connections that `deliveries` reaches.
    pub fn start(
        port: Arc<dyn Presence>,
        node: NodeId,
        clock: Arc<dyn Clock>,
        deliveries: Arc<Deliveries>,
        role: Role,
        tasks: &Tasks,
    ) -> Presences {
        let (changes, incoming) = mpsc::channel(WAITING_MAX);
        let connections: Arc<Mutex<HashMap<UserId, Here>>> = Arc::default();
        let reporter = Reporter {
            port,
            node,
            clock,
            deliveries,
            connections: connections.clone(),
            leaving: HashMap::new(),
            due: BTreeSet::new(),
            news: HashMap::new(),
            role,
            renew_at: Instant::now(),
            was_away: false,
            claim_from: Instant::now(),
            warned: None,
        };
        tasks.spawn_until_stopped(reporter.run(incoming));
        Presences { connections, changes }
    }

    /// For a node whose connections are closed: who was here is given up by the others as soon as their grace is over
    /// rather than when a whole lease is. Nothing is reported afterwards.
    pub async fn hand_over(&self) {
        let handing_over = async {
            let (done, is_done) = oneshot::channel();
            if self.changes.send(Change::HandedOver(done)).await.is_ok() {
                // Dropped unanswered: the reporter has been stopped, and the lease runs out.
                let _ = is_done.await;
            }
        };
        if timeout(HAND_OVER_MAX, handing_over).await.is_err() {
            tracing::warn!(
                "presence could not be handed over in time; those who were here look online for up to {LEASE:?}"
            );
        }
    }

    fn count(&self, effect: &Effect) {
        let mut connections = lock(&self.connections);
        let change = match effect {
            Effect::Arrived { user, circle } => {
                let here = connections.entry(*user).or_default();
                let was_away = here.connections > 0 && here.is_away();
                here.connections += 1;
                match here.connections {
                    1 => Some(Change::Arrived(*user, circle.clone())),
                    _ => was_away.then_some(Change::Activity(*user)),
                }
            }
            Effect::Left { user, was_away, .. } => {
                let Some(here) = connections.get_mut(user) else {
                    return;
                };
                let before = here.is_away();
                here.connections -= 1;
                here.away = here.away.saturating_sub(u32::from(*was_away));
                if here.connections == 0 {
                    connections.remove(user);
                    Some(Change::Left(*user))
                } else {
                    (here.is_away() != before).then_some(Change::Activity(*user))
                }
            }
            Effect::Activity { user, away } => {
                let Some(here) = connections.get_mut(user) else {
                    return;
                };
                let before = here.is_away();
                if *away {
                    here.away += 1;
                } else {
                    here.away = here.away.saturating_sub(1);
                }
                (here.is_away() != before).then_some(Change::Activity(*user))
            }
            Effect::PresenceShown { user, shown } => Some(Change::Shown(*user, *shown)),
            Effect::BlockChanged { by, user } => Some(Change::Blocked(*by, *user)),
            Effect::Publish { .. }
            | Effect::Tell { .. }
            | Effect::ProfileChanged(_)
            | Effect::Opened { .. }
            | Effect::PutOut { .. }
            | Effect::Fence { .. }
            | Effect::Typing { .. }
            | Effect::StopTyping { .. }
            | Effect::EndSessions { .. }
            | Effect::Read(_)
            | Effect::Enqueue(_)
            | Effect::Audit { .. } => None,
        };
        // Sent under the lock, so that changes of one user stay in order.
        if let Some(change) = change
            && let Err(TrySendError::Full(_)) = self.changes.try_send(change)
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
