//! From settings and ports to a running server.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{ChatServer, Ports, Settings, Shared};
use crate::app::accounts::{Accounts, LiveSessions};
use crate::app::rooms::{CreateRoom, Directory};
use crate::app::{Actor, App, Error};
use crate::auth::{AccessTokens, Cursors, InvalidHashingParams, KeyRing, Passwords, RefreshTokens};
use crate::engine::sio;
use crate::http::{Health, HealthCheck, RestApi, RestParts};
use crate::hub::{Channel, Hub};
use crate::ids::NodeId;
use crate::layers::{
    AuthLimit, Buckets, Enqueuer, Presences, Publisher, RateLimit, Receipts, UserLimits, end_sessions,
    follow_revocations,
};
use crate::log::{
    Announcer, Deliveries, Encoder, Fences, Log, Relay, compare_regularly, repair_regularly, settle_regularly,
};
use crate::memory::MemoryRateLimiter;
use crate::realtime::chat::ChatRealtime;
use crate::realtime::patience::Patience;
use crate::realtime::{self, EngineIo};
use crate::role::Role;
use crate::stack::{Layers, Stack};
use crate::tasks::Tasks;
use crate::views::Names;
use crate::worker::Worker;

/// Buckets kept in this process while the shared limiter can't answer.
const LOCAL_BUCKETS_MAX: usize = 100_000;

/// Why a server could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The cost of hashing is out of range.
    #[error(transparent)]
    Hashing(#[from] InvalidHashingParams),
    /// What a crash left behind could not be repaired.
    #[error("the conversations of the store can't be brought up to date: {0}")]
    Repair(Error),
    /// A room of the first start could not be made.
    #[error("room {name:?} could not be made: {error}")]
    Room {
        /// Which.
        name: String,
        /// Why.
        error: Error,
    },
}

/// Makes a [`ChatServer`].
pub struct Builder {
    settings: Settings,
    ports: Ports,
    health: Vec<Box<dyn HealthCheck>>,
    role: Role,
    node: Option<NodeId>,
    version: &'static str,
}

impl Builder {
    pub(super) fn new(settings: Settings, ports: Ports) -> Builder {
        Builder {
            settings,
            ports,
            health: Vec::new(),
            role: Role::All,
            node: None,
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Has `/api/health` look at a backend.
    pub fn health_check(mut self, check: Box<dyn HealthCheck>) -> Builder {
        self.health.push(check);
        self
    }

    /// What this process does of the chat (S-023); everything unless told otherwise.
    pub fn role(mut self, role: Role) -> Builder {
        self.role = role;
        self
    }

    /// The name of this process among the nodes; a fresh one unless told otherwise.
    pub fn node(mut self, node: NodeId) -> Builder {
        self.node = Some(node);
        self
    }

    /// Starts the server's tasks on the current runtime, owned by `tasks`, and makes the rooms of the first start.
    pub async fn build(self, tasks: Tasks) -> Result<ChatServer, BuildError> {
        let Builder {
            settings,
            ports,
            health,
            role,
            node,
            version,
        } = self;
        let node = node.unwrap_or_else(|| NodeId::new(&*ports.ids));
        let hub: Arc<Hub<Channel>> = Arc::new(Hub::new());
        let names = Names::new(ports.stores.users.clone());
        let log = LogParts::start(&ports, &hub, &names, (node, role), &tasks);
        log.log.repair().await.map_err(BuildError::Repair)?;
        tasks.spawn_until_stopped(settle_regularly(log.log.clone()));
        if role.works() && ports.bus.is_some() {
            tasks.spawn_until_stopped(repair_regularly(log.log.clone()));
        }

        let previous = settings.previous_secrets.iter().map(Vec::as_slice);
        let ring = KeyRing::new(&settings.secret, previous);
        let access = AccessTokens::new(&ring, settings.access_token_ttl, ports.ids.clone());
        let live = LiveSessions::new(access.clone(), ports.stores.sessions.clone(), ports.clock.clone());
        let accounts = Accounts {
            passwords: Arc::new(Passwords::new(
                settings.hashing,
                settings.hashing_limits,
                tasks.clone(),
            )?),
            access,
            refresh: RefreshTokens::new(&ring),
            live: live.clone(),
            refresh_ttl: settings.refresh_token_ttl,
        };
        let app = Arc::new(App {
            stores: ports.stores.clone(),
            log: log.log,
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
            accounts,
            audience: log.deliveries.clone(),
            presence: ports.presence.clone(),
            dead_letters: ports.queue.clone(),
            names: names.clone(),
            rooms: Directory::new(ports.stores.conversations.clone()),
            quotas: settings.quotas,
        });

        let local = Arc::new(MemoryRateLimiter::new(LOCAL_BUCKETS_MAX));
        let buckets = Buckets::new(ports.rate_limiter.clone(), local);
        let user_limits = UserLimits {
            messages: settings.message_quota,
            rooms: settings.room_quota,
            contacts: settings.contact_quota,
            changes: settings.change_quota,
        };
        let presences = Presences::start(
            ports.presence.clone(),
            node,
            ports.clock.clone(),
            log.deliveries.clone(),
            role,
            &tasks,
        );
        let layers = Layers {
            auth_limit: AuthLimit::new(buckets.clone(), settings.auth_limits),
            rate_limit: RateLimit::new(buckets.clone(), user_limits),
            presences: presences.clone(),
            receipts: Receipts::new(hub.clone(), log.deliveries.outgoing().cloned(), tasks.clone()),
            publisher: Publisher::new(log.deliveries.clone(), names.clone(), ports.clock.clone())
                .fenced_by(log.fences.clone()),
            enqueuer: Enqueuer::new(ports.queue.clone(), ports.clock.clone(), ports.ids.clone()),
        };
        let stack = Stack::new(app, layers, tasks.clone());
        make_rooms(&stack, &settings.rooms).await?;
        if role.works() {
            let worker = Worker::new(ports.queue, ports.stores, ports.clock.clone(), ports.ids.clone());
            tasks.spawn_until_stopped(worker.run());
        }

        let draining = CancellationToken::new();
        let chat = ChatRealtime {
            stack: stack.clone(),
            sessions: live.clone(),
            deliveries: log.deliveries,
            hub,
            names,
            clock: ports.clock,
            rules: Arc::new(settings.chat),
            namespaces: Arc::new(sio::Rules::new(["/"])),
            patience: Patience::default(),
            tasks: tasks.clone(),
        };
        let realtime_config = realtime::Config {
            path: "/socket.io/".to_owned(),
            engine: settings.engine,
            cors: settings.socket_origins,
            caps: settings.caps,
        };
        let rest = RestApi::new(RestParts {
            stack: stack.clone(),
            live,
            cursors: Cursors::new(&ring),
            buckets: buckets.clone(),
            limits: settings.api_limits,
            ids: ports.ids,
            health: Health::new(version, health, draining.clone()),
            origins: settings.origins,
            proxies: settings.proxies.clone(),
            hsts: settings.hsts,
            role,
        });
        Ok(ChatServer {
            rest,
            realtime: EngineIo::new(Arc::new(chat), realtime_config, tasks),
            shared: Arc::new(Shared {
                stack,
                proxies: settings.proxies,
                draining,
                role,
                fences: log.fences,
                presences,
                buckets,
            }),
        })
    }
}

/// The append path and the deliveries of this node.
struct LogParts {
    log: Log,
    deliveries: Arc<Deliveries>,
    /// Where there are other nodes.
    fences: Option<Arc<Fences>>,
}

impl LogParts {
    fn start(
        ports: &Ports,
        hub: &Arc<Hub<Channel>>,
        names: &Names,
        (node, role): (NodeId, Role),
        tasks: &Tasks,
    ) -> LogParts {
        let (relay, outgoing) = ports.bus.clone().map(Relay::new).unzip();
        let encoder = Encoder::new(names.clone());
        let deliveries = Deliveries::new(
            hub.clone(),
            ports.stores.clone(),
            encoder.clone(),
            outgoing.clone(),
            tasks.clone(),
        );
        let fences = outgoing.clone().map(|outgoing| Fences::new(node, role, outgoing));
        if let (Some(relay), Some(fences)) = (relay, fences.clone()) {
            let local = hub.clone();
            relay.start(
                tasks,
                hub.clone(),
                deliveries.clone(),
                fences,
                move |sessions, reason| {
                    end_sessions(&local, sessions, reason);
                },
            );
            let sessions = ports.stores.sessions.clone();
            tasks.spawn_until_stopped(follow_revocations(sessions, ports.clock.clone(), hub.clone()));
        }
        tasks.spawn_until_stopped(compare_regularly(deliveries.clone()));
        let announcer = Announcer::new(encoder, deliveries.clone(), outgoing);
        let log = Log::new(
            ports.stores.clone(),
            ports.clock.clone(),
            announcer,
            tasks.clone(),
        );
        LogParts {
            log,
            deliveries,
            fences,
        }
    }
}

/// The rooms of the first start; those that exist are left as they are, on however many nodes start at once.
async fn make_rooms(stack: &Stack, rooms: &[String]) -> Result<(), BuildError> {
    for name in rooms {
        let room = CreateRoom {
            name: name.clone(),
            description: None,
        };
        match stack.call(Actor::Operator, room).await {
            Ok(_) | Err(Error::DuplicateRoom) => {}
            Err(error) => {
                return Err(BuildError::Room {
                    name: name.clone(),
                    error,
                });
            }
        }
    }
    Ok(())
}
