//! Which backend stands behind which port. The only file that names concrete backends.

use std::sync::Arc;

use async_trait::async_trait;
use chatterbox_core::app::Quotas;
use chatterbox_core::app::accounts::AuthLimits;
use chatterbox_core::clock::Timestamp;
use chatterbox_core::domain::secret::Secret;
use chatterbox_core::http::client_ip::TrustedProxies;
use chatterbox_core::http::{AllowedOrigins, ApiLimits, HealthCheck};
use chatterbox_core::ids::{NodeId, SystemIds};
use chatterbox_core::ports::blob::Blobs;
use chatterbox_core::ports::queue::Queue;
use chatterbox_core::ports::rate_limit::Quota;
use chatterbox_core::ports::storage::{SessionStore, Stores};
use chatterbox_core::realtime::{Caps, Cors};
use chatterbox_core::server::{ChatServer, Ports, Settings};
use chatterbox_core::tasks::Tasks;

#[cfg(feature = "embedded")]
use crate::adapters::embedded::EmbeddedStore;
use crate::adapters::files::FileBlobs;
#[cfg(feature = "mongo")]
use crate::adapters::mongo::{MongoOptions, MongoStore};
#[cfg(feature = "redis")]
use crate::adapters::redis::{Redis, RedisOptions};
#[cfg(feature = "s3")]
use crate::adapters::s3::{S3Blobs, S3Options};
use crate::config::{self, Config, Environment, Rate};

/// Messages a user may send at once, as a multiple of what they may send in `RATE_LIMIT_WS`'s time (S-142).
const MESSAGE_BURST: u32 = 2;

/// Requests of `RATE_LIMIT_API` for each room that a user may make in its time (S-076).
const REQUESTS_PER_ROOM: u32 = 10;

/// A chat and what it stands on.
pub struct Composed {
    /// The chat.
    pub chat: ChatServer,
    /// Owner of everything that runs for it.
    pub tasks: Tasks,
    store: OpenStore,
}

/// Closed at the end.
enum OpenStore {
    #[cfg(feature = "embedded")]
    Embedded(EmbeddedStore),
    #[cfg(feature = "mongo")]
    Mongo(MongoStore),
}

impl OpenStore {
    /// The store that the configuration asks for, and the ports it serves.
    async fn open(
        config: &Config,
        tasks: &Tasks,
    ) -> Result<(OpenStore, Stores, Arc<dyn Queue>), ComposeError> {
        match config.backend() {
            #[cfg(feature = "embedded")]
            config::Store::Embedded => {
                let directory = config.data_dir.clone();
                let opening = tasks.spawn_blocking(move || EmbeddedStore::open(&directory));
                let store = opening.await.map_err(failed)?.map_err(failed)?;
                store.answer_in(tasks);
                let (stores, queue) = (store.stores(), store.queue());
                Ok((OpenStore::Embedded(store), stores, queue))
            }
            #[cfg(not(feature = "embedded"))]
            config::Store::Embedded => Err(not_built("embedded store")),
            #[cfg(feature = "mongo")]
            config::Store::Mongo { uri, pool } => {
                let options = MongoOptions {
                    pool,
                    ..MongoOptions::new(uri)
                };
                let store = MongoStore::open(options, tasks).await.map_err(failed)?;
                let (stores, queue) = (store.stores(), store.queue());
                Ok((OpenStore::Mongo(store), stores, queue))
            }
            #[cfg(not(feature = "mongo"))]
            config::Store::Mongo { .. } => Err(not_built("MongoDB")),
        }
    }

    /// The health check of where writes go.
    fn check_name(&self) -> &'static str {
        match self {
            #[cfg(feature = "embedded")]
            OpenStore::Embedded(_) => "sqlite",
            #[cfg(feature = "mongo")]
            OpenStore::Mongo(_) => "mongodb",
        }
    }

    async fn close(self) {
        match self {
            #[cfg(feature = "embedded")]
            OpenStore::Embedded(store) => store.close().await,
            #[cfg(feature = "mongo")]
            OpenStore::Mongo(store) => store.close().await,
        }
    }
}

/// The configuration refuses this before anything is opened.
#[cfg(not(all(feature = "embedded", feature = "mongo", feature = "redis", feature = "s3")))]
fn not_built(what: &str) -> ComposeError {
    failed(format!(
        "this build has no adapter for what the configuration asks for: {what}"
    ))
}

/// Where files are kept.
async fn open_files(config: &Config, tasks: &Tasks) -> Result<Arc<dyn Blobs>, ComposeError> {
    match config.files() {
        config::Files::Directory(directory) => {
            let owner = tasks.clone();
            let opening = tasks.spawn_blocking(move || FileBlobs::open(&directory, &owner));
            Ok(Arc::new(opening.await.map_err(failed)?.map_err(failed)?))
        }
        #[cfg(feature = "s3")]
        config::Files::S3(s3) => {
            let options = S3Options {
                endpoint: s3.endpoint,
                region: s3.region,
                access_key: s3.access_key,
                secret_key: s3.secret_key,
                bucket: s3.bucket,
                derived_bucket: s3.derived_bucket,
            };
            Ok(Arc::new(S3Blobs::open(options, tasks).await.map_err(failed)?))
        }
        #[cfg(not(feature = "s3"))]
        config::Files::S3(_) => Err(not_built("S3")),
    }
}

/// Why the chat could not be put together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ComposeError(Box<dyn std::error::Error + Send + Sync>);

/// What the nodes of a chat share for a moment: bus, presence, limits and the dispatch of jobs go through Redis if there
/// is one, and stay in the process otherwise.
async fn share(
    ports: Ports,
    config: &Config,
    node: NodeId,
    tasks: &Tasks,
) -> Result<(Ports, Option<Box<dyn HealthCheck>>), ComposeError> {
    let Some(url) = config.redis() else {
        return Ok((ports, None));
    };
    #[cfg(feature = "redis")]
    {
        let options = RedisOptions {
            prefix: config.redis_prefix.clone(),
            ..RedisOptions::new(url)
        };
        let redis = Redis::connect(options, node, tasks).await.map_err(failed)?;
        let shared = Ports {
            bus: Some(redis.bus()),
            presence: redis.presence(),
            rate_limiter: redis.rate_limiter(),
            queue: redis.queue(ports.queue.clone()),
            ..ports
        };
        Ok((shared, Some(redis.health_check())))
    }
    #[cfg(not(feature = "redis"))]
    {
        let _ = (url, node, tasks);
        Err(not_built("Redis"))
    }
}

impl Composed {
    /// Opens the backends that the configuration asks for, and builds the chat on them. The caller has locked the data
    /// directory.
    pub async fn open(config: &Config, secret: &Secret) -> Result<Composed, ComposeError> {
        let tasks = Tasks::new();
        let node = NodeId::new(&SystemIds::new());
        let (store, stores, queue) = OpenStore::open(config, &tasks).await?;
        let ports = Ports {
            blobs: open_files(config, &tasks).await?,
            ..Ports::of_one_process(stores, queue)
        };
        let (ports, shared_check) = share(ports, config, node, &tasks).await?;
        let store_check = WritesHealth {
            name: store.check_name(),
            sessions: ports.stores.sessions.clone(),
        };
        let mut builder = ChatServer::builder(settings(config, secret), ports.clone())
            .role(config.role)
            .node(node)
            .health_check(Box::new(store_check))
            .health_check(Box::new(FilesHealth(ports.blobs)));
        if let Some(check) = shared_check {
            builder = builder.health_check(check);
        }
        let chat = builder.build(tasks.clone()).await.map_err(failed)?;
        Ok(Composed { chat, tasks, store })
    }

    /// Ends everything that runs for the chat and closes the store.
    pub async fn close(self) {
        self.tasks.stop().await;
        self.store.close().await;
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ComposeError {
    ComposeError(error.into())
}

fn settings(config: &Config, secret: &Secret) -> Settings {
    let bytes = |secret: &Secret| secret.as_str().as_bytes().to_vec();
    let mut settings = Settings::new(bytes(secret));
    settings.previous_secrets = config.jwt_secret_previous.iter().map(bytes).collect();
    settings.access_token_ttl = config.access_token_ttl;
    settings.refresh_token_ttl = config.refresh_token_ttl;
    settings.message_quota = config.rate_limit_ws.map(|rate| Quota {
        capacity: rate.count.saturating_mul(MESSAGE_BURST),
        ..quota(rate)
    });
    settings.room_quota = config.rate_limit_api.map(|rate| Quota {
        capacity: (rate.count / REQUESTS_PER_ROOM).max(1),
        refill_per_sec: quota(rate).refill_per_sec / f64::from(REQUESTS_PER_ROOM),
    });
    settings.contact_quota = config
        .rate_limit_contacts
        .filter(|_| config.rate_limit_api.is_some())
        .map(quota);
    settings.chat.messages_per_second = config.rate_limit_ws.map(per_second);
    settings.api_limits = ApiLimits::by(config.rate_limit_api.map(quota));
    settings.auth_limits = config
        .rate_limit_auth
        .map_or_else(AuthLimits::off, |rate| AuthLimits::by(quota(rate)));
    settings.quotas = Quotas {
        rooms_made_max: config.rooms_per_user_max,
        rooms_joined_max: config.rooms_joined_max,
        rooms_open: config.rooms_open,
        group_members_max: config.group_members_max,
        edit_window: config.message_edit_window,
        blocks_max: config.blocks_per_user_max,
        ..Quotas::default()
    };
    (settings.origins, settings.socket_origins) = origins(&config.cors_origins);
    settings.proxies = TrustedProxies::new(config.trusted_proxies.iter().copied());
    settings.hsts = config.environment == Environment::Production;
    settings.engine.ping_interval = config.ping_interval;
    settings.engine.ping_timeout = config.ping_timeout;
    settings.engine.payload_bytes_max = config.max_payload;
    settings.caps = Caps {
        sessions_max: config.connections_max,
        per_address_max: u32::try_from(config.connections_per_address_max).unwrap_or(u32::MAX),
        ..Caps::default()
    };
    settings.rooms = config.rooms.iter().map(ToString::to_string).collect();
    settings
}

fn quota(rate: Rate) -> Quota {
    Quota::per(rate.count, rate.per)
}

/// As clients are told; at least one, since slower limits have no better word there.
fn per_second(rate: Rate) -> u32 {
    let seconds = u32::try_from(rate.per.as_secs()).unwrap_or(u32::MAX).max(1);
    (rate.count / seconds).max(1)
}

/// The same list for REST and for sockets (S-050).
fn origins(list: &[String]) -> (AllowedOrigins, Cors) {
    if list.iter().any(|origin| origin == "*") {
        return (AllowedOrigins::any(), Cors::Any);
    }
    let values = list.iter().filter_map(|origin| origin.parse().ok());
    let sockets = Cors::List {
        origins: list.to_vec(),
        credentials: false,
    };
    (AllowedOrigins::exactly(values), sockets)
}

/// Whether the store takes writes: asked with one that changes nothing. Nothing goes without.
struct WritesHealth {
    name: &'static str,
    sessions: Arc<dyn SessionStore>,
}

#[async_trait]
impl HealthCheck for WritesHealth {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_vital(&self) -> bool {
        true
    }

    async fn works(&self) -> bool {
        self.sessions.sweep(Timestamp::EPOCH, 1).await.is_ok()
    }
}

/// Whether files can be kept. Messages go without.
struct FilesHealth(Arc<dyn Blobs>);

#[async_trait]
impl HealthCheck for FilesHealth {
    fn name(&self) -> &'static str {
        "storage"
    }

    fn is_vital(&self) -> bool {
        false
    }

    async fn works(&self) -> bool {
        self.0.works().await
    }
}
