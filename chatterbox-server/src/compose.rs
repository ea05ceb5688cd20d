//! Which backend stands behind which port. The only file that names concrete backends.

use std::sync::Arc;

use chatterbox_core::domain::secret::Secret;
use chatterbox_core::http::HealthCheck;
use chatterbox_core::ids::{NodeId, SystemIds};
use chatterbox_core::ports::blob::Blobs;
use chatterbox_core::ports::queue::Queue;
use chatterbox_core::ports::storage::Stores;
use chatterbox_core::server::{ChatServer, Ports};
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
use crate::config::{self, Config};
use crate::health::{FilesHealth, WritesHealth};
use crate::settings::settings;

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
    fn check(&self) -> WritesHealth {
        match self {
            #[cfg(feature = "embedded")]
            OpenStore::Embedded(store) => WritesHealth {
                name: "sqlite",
                sessions: store.stores().sessions,
            },
            #[cfg(feature = "mongo")]
            OpenStore::Mongo(store) => WritesHealth {
                name: "mongodb",
                sessions: store.checked(),
            },
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
        let mut builder = ChatServer::builder(settings(config, secret), ports.clone())
            .role(config.role)
            .node(node)
            .health_check(Box::new(store.check()))
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
