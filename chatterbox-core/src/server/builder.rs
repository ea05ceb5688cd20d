//! From settings and ports to a running server.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{ChatServer, Shared};
use crate::app::accounts::{Accounts, AuthLimits, LiveSessions};
use crate::app::rooms::{CreateRoom, Directory};
use crate::app::{Actor, App, Error, Quotas};
use crate::auth::{
    AccessTokens, Cursors, HashingLimits, HashingParams, InvalidHashingParams, KeyRing, Passwords,
    RefreshTokens,
};
use crate::clock::{Clock, SystemClock};
use crate::engine::chat::ChatRules;
use crate::engine::{eio, sio};
use crate::http::client_ip::TrustedProxies;
use crate::http::{AllowedOrigins, ApiLimits, Health, HealthCheck, RestApi, RestParts};
use crate::hub::{Channel, Hub};
use crate::ids::{IdSource, NodeId, SystemIds};
use crate::layers::{
    AuthLimit, Buckets, Enqueuer, Presences, Publisher, RateLimit, Receipts, UserLimits, end_sessions,
    follow_revocations,
};
use crate::log::{
    Announcer, Deliveries, Encoder, Fences, Log, Relay, compare_regularly, repair_regularly, settle_regularly,
};
use crate::memory::{MemoryBlobs, MemoryPresence, MemoryQueue, MemoryRateLimiter, MemoryStores};
use crate::ports::blob::Blobs;
use crate::ports::bus::Bus;
use crate::ports::presence::Presence;
use crate::ports::queue::Queue;
use crate::ports::rate_limit::{Quota, RateLimiter};
use crate::ports::storage::Stores;
use crate::realtime::chat::ChatRealtime;
use crate::realtime::{self, EngineIo};
use crate::role::Role;
use crate::stack::{Layers, Stack};
use crate::tasks::Tasks;
use crate::views::Names;
use crate::worker::Worker;

/// Buckets kept in this process while the shared limiter can't answer.
const LOCAL_BUCKETS_MAX: usize = 100_000;

/// Files kept in this process where nothing else keeps them.
const BLOB_BYTES_MAX: u64 = 256 << 20;

/// What the server needs of the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Durable state.
    pub stores: Stores,
    /// Durable jobs.
    pub queue: Arc<dyn Queue>,
    /// Files.
    pub blobs: Arc<dyn Blobs>,
    /// Who is online.
    pub presence: Arc<dyn Presence>,
    /// Token buckets.
    pub rate_limiter: Arc<dyn RateLimiter>,
    /// The other nodes; `None` when there are none.
    pub bus: Option<Arc<dyn Bus>>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids.
    pub ids: Arc<dyn IdSource>,
}

impl Ports {
    /// Everything in this process, at most `entries` of each thing, lost at its end: for examples and tests.
    pub fn in_memory(entries: usize) -> Ports {
        Ports::of_one_process(MemoryStores::new(entries), Arc::new(MemoryQueue::new(entries)))
    }

    /// Durable storage, and the rest in this process: for a server of one node. Files are lost with it; set `blobs` to
    /// what keeps them.
    pub fn of_one_process(stores: Stores, queue: Arc<dyn Queue>) -> Ports {
        Ports {
            stores,
            queue,
            blobs: Arc::new(MemoryBlobs::new(BLOB_BYTES_MAX)),
            presence: Arc::new(MemoryPresence::new(1_000_000)),
            rate_limiter: Arc::new(MemoryRateLimiter::new(1_000_000)),
            bus: None,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds::new()),
        }
    }
}

/// What can be set about a server. [`Settings::new`] gives the defaults.
pub struct Settings {
    /// Signs access tokens; 32 bytes or more (S-041).
    pub secret: Vec<u8>,
    /// Secrets in use before, still good for verifying.
    pub previous_secrets: Vec<Vec<u8>>,
    /// How long an access token is good for.
    pub access_token_ttl: Duration,
    /// How long a session lives without being refreshed.
    pub refresh_token_ttl: Duration,
    /// What hashing a password costs.
    pub hashing: HashingParams,
    /// How much hashing there is at once.
    pub hashing_limits: HashingLimits,
    /// Messages a user may send (S-142); `None` without limit.
    pub message_quota: Option<Quota>,
    /// Rooms a user may try to make (S-076); `None` without limit.
    pub room_quota: Option<Quota>,
    /// Approaches of one user to others: conversations opened, people added, invites made. `None` without limit.
    pub contact_quota: Option<Quota>,
    /// Requests to the API (S-141).
    pub api_limits: ApiLimits,
    /// Logins, registrations and refreshes (S-141).
    pub auth_limits: AuthLimits,
    /// How much of everything one may have.
    pub quotas: Quotas,
    /// Web pages that may call.
    pub origins: AllowedOrigins,
    /// The same list for sockets.
    pub socket_origins: realtime::Cors,
    /// Proxies whose word about the client's address counts.
    pub proxies: TrustedProxies,
    /// Whether browsers are told to come by HTTPS only.
    pub hsts: bool,
    /// Timers and bounds of connections.
    pub engine: eio::Config,
    /// How many connections there may be.
    pub caps: realtime::Caps,
    /// Limits and times of the chat on connections.
    pub chat: ChatRules,
    /// Rooms that exist after the first start (S-001).
    pub rooms: Vec<String>,
}

impl Settings {
    /// The defaults, with this secret.
    pub fn new(secret: Vec<u8>) -> Settings {
        let engine = eio::Config {
            connect_timeout: Some(Duration::from_secs(10)),
            ..eio::Config::default()
        };
        Settings {
            secret,
            previous_secrets: Vec::new(),
            access_token_ttl: Duration::from_mins(15),
            refresh_token_ttl: Duration::from_hours(30 * 24),
            hashing: HashingParams::default(),
            hashing_limits: HashingLimits::default(),
            message_quota: Some(Quota {
                capacity: 20,
                refill_per_sec: 10.0,
            }),
            room_quota: Some(Quota::per(10, Duration::from_mins(1))),
            contact_quota: Some(Quota::per(300, Duration::from_hours(1))),
            api_limits: ApiLimits::default(),
            auth_limits: AuthLimits::default(),
            quotas: Quotas::default(),
            origins: AllowedOrigins::none(),
            socket_origins: realtime::Cors::Off,
            proxies: TrustedProxies::default(),
            hsts: false,
            engine,
            caps: realtime::Caps::default(),
            chat: ChatRules::default(),
            rooms: ["general", "random", "tech"].map(str::to_owned).to_vec(),
        }
    }
}

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
