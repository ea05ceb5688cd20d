//! The pool, whichever way Redis is set up, and the one kind of connection that comes out of it.

use std::time::Duration;

use deadpool_redis::redis::aio::{ConnectionLike, MultiplexedConnection};
use deadpool_redis::redis::cluster_async::ClusterConnection;
use deadpool_redis::redis::cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr};
use deadpool_redis::redis::sentinel::{SentinelClient, SentinelServerType};
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, Pipeline, RedisError, RedisFuture, TlsMode, Value,
};
use deadpool_redis::{PoolError, Runtime, Timeouts, cluster, sentinel};

use super::address::{Address, Kind};

/// How long making a connection may take, greeting included.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// The same by way of sentinels: all are asked at once, each for a second at most, and then there is the primary itself.
const SENTINEL_TIME_MAX: Duration = Duration::from_secs(3);

/// Why a pool is built: the builder fails only without a runtime for its timeouts.
const BUILT: &str = "the pool has a runtime";

/// deadpool's pool for the way in which Redis is set up.
#[derive(Clone)]
pub(super) enum Pool {
    One(deadpool_redis::Pool),
    Sentinel(sentinel::Pool),
    Cluster(cluster::Pool),
}

/// A connection that is taken out of the pool.
pub(super) enum Pooled {
    One(deadpool_redis::Connection),
    Sentinel(sentinel::Connection),
    Cluster(cluster::Connection),
}

/// A shared use of a connection: commands of all users are sent one behind the other without waiting for answers.
#[derive(Clone)]
pub(super) enum Line {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Pool {
    /// At most `size` connections, none of which is made yet.
    pub(super) fn new(address: &Address, size: usize) -> Result<Pool, RedisError> {
        let timeouts = Timeouts {
            wait: Some(CONNECT_TIME_MAX),
            create: Some(connect_time_max(address)),
            recycle: Some(CONNECT_TIME_MAX),
        };
        Ok(match &address.kind {
            Kind::One(info) => {
                // Answers are awaited by `Calls`, each as long as it may take.
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIME_MAX))
                    .set_response_timeout(None);
                let manager = deadpool_redis::Manager::new_with_config(info.clone(), config)?;
                let builder = deadpool_redis::Pool::builder(manager).max_size(size);
                Pool::One(
                    builder
                        .timeouts(timeouts)
                        .runtime(Runtime::Tokio1)
                        .build()
                        .expect(BUILT),
                )
            }
            Kind::Sentinel {
                sentinels,
                master,
                node,
            } => {
                let settings = node.redis_settings();
                let info = sentinel::SentinelNodeConnectionInfo {
                    tls_mode: is_tls(node.addr()).then_some(sentinel::TlsMode::Secure),
                    redis_connection_info: Some(deadpool_redis::RedisConnectionInfo {
                        db: settings.db(),
                        username: settings.username().map(str::to_owned),
                        password: settings.password().map(str::to_owned),
                        ..deadpool_redis::RedisConnectionInfo::default()
                    }),
                };
                let manager = sentinel::Manager::new(
                    sentinels.clone(),
                    master.clone(),
                    Some(info),
                    sentinel::SentinelServerType::Master,
                )?;
                let builder = sentinel::Pool::builder(manager).max_size(size);
                Pool::Sentinel(
                    builder
                        .timeouts(timeouts)
                        .runtime(Runtime::Tokio1)
                        .build()
                        .expect(BUILT),
                )
            }
            Kind::Cluster(nodes) => {
                let manager = cluster::Manager::new(nodes.clone(), false)?;
                let builder = cluster::Pool::builder(manager).max_size(size);
                Pool::Cluster(
                    builder
                        .timeouts(timeouts)
                        .runtime(Runtime::Tokio1)
                        .build()
                        .expect(BUILT),
                )
            }
        })
    }

    /// Takes a connection out, making one if there is none.
    pub(super) async fn take(&self) -> Result<Pooled, PoolError> {
        Ok(match self {
            Pool::One(pool) => Pooled::One(pool.get().await?),
            Pool::Sentinel(pool) => Pooled::Sentinel(pool.get().await?),
            Pool::Cluster(pool) => Pooled::Cluster(pool.get().await?),
        })
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Pool::Cluster(_))
    }
}

/// How long a connection may take to be made.
fn connect_time_max(address: &Address) -> Duration {
    match address.kind {
        Kind::One(_) | Kind::Cluster(_) => CONNECT_TIME_MAX,
        Kind::Sentinel { .. } => SENTINEL_TIME_MAX,
    }
}

impl Pooled {
    /// One more use of it.
    pub(super) fn line(&self) -> Line {
        match self {
            Pooled::One(connection) => Line::Server((**connection).clone()),
            Pooled::Sentinel(connection) => Line::Server((**connection).clone()),
            Pooled::Cluster(connection) => Line::Cluster((**connection).clone()),
        }
    }

    /// Doesn't give it back: its place in the pool is free for a new one.
    pub(super) fn discard(self) {
        match self {
            Pooled::One(connection) => drop(deadpool_redis::Connection::take(connection)),
            Pooled::Sentinel(connection) => drop(sentinel::Connection::take(connection)),
            Pooled::Cluster(connection) => drop(cluster::Connection::take(connection)),
        }
    }
}

impl Line {
    /// Has one server carry out all commands, in order: of a cluster the master of `slot`, whatever their keys.
    pub(super) async fn in_order(self, commands: Pipeline, slot: u16) -> Result<(), RedisError> {
        match self {
            Line::Server(mut connection) => commands.exec_async(&mut connection).await,
            Line::Cluster(mut connection) => {
                let count = commands.len();
                let route = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
                let answers = connection.route_pipeline(commands, 0, count, route).await?;
                answers
                    .into_iter()
                    .try_for_each(|answer| answer.extract_error().map(drop))
            }
        }
    }
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Line::Server(connection) => connection.req_packed_command(command),
            Line::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Line::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Line::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Line::Server(connection) => connection.get_db(),
            Line::Cluster(connection) => connection.get_db(),
        }
    }
}

/// Finds the server on which to listen: the one there is, the present master, or any node of a cluster, each time
/// another (what is published on one node of a cluster comes in on all).
pub(super) struct Listening {
    address: Address,
    attempts: usize,
}

impl Listening {
    pub(super) fn new(address: Address) -> Listening {
        Listening { address, attempts: 0 }
    }

    /// How long finding it and connecting to it may take.
    pub(super) fn time_max(&self) -> Duration {
        connect_time_max(&self.address)
    }

    /// A client of that server. No answer is waited for beyond the caller's patience.
    pub(super) async fn client(&mut self) -> Result<Client, RedisError> {
        let attempt = self.attempts;
        self.attempts = attempt.wrapping_add(1);
        match &self.address.kind {
            Kind::One(info) => Client::open(info.clone()),
            Kind::Cluster(nodes) => Client::open(nodes[attempt % nodes.len()].clone()),
            Kind::Sentinel {
                sentinels,
                master,
                node,
            } => {
                let mut info = deadpool_redis::redis::sentinel::SentinelNodeConnectionInfo::default()
                    .set_redis_connection_info(node.redis_settings().clone());
                if is_tls(node.addr()) {
                    info = info.set_tls_mode(TlsMode::Secure);
                }
                let kind = SentinelServerType::Master;
                SentinelClient::build(sentinels.clone(), master, Some(info), kind)?
                    .async_get_client()
                    .await
            }
        }
    }
}

fn is_tls(address: &ConnectionAddr) -> bool {
    matches!(address, ConnectionAddr::TcpTls { .. })
}
