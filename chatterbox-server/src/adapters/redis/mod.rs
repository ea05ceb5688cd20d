//! What the nodes of a cluster share for a moment, on Redis 7: bus, presence, token buckets, dispatch of jobs.
//!
//! ```text
//! Redis::connect ─▶ lines (calls.rs): a few connections of the pool, shared, each call bounded in time ─┬─ rate_limit.rs
//!               │                                                                                      ├─ presence/
//!               │                                                                                      ├─ queue/  rows + stream
//!               └─▶ listener (bus/): one connection of its own, for all subscriptions ──────────────────┴─ bus/    publish
//! ```
//! Nothing here is the truth: the log, sessions and jobs are rows of the store. A Redis that is away, answers late or
//! has forgotten everything costs promptness, never a message. So every port answers within its limit or with an
//! error at once, and its caller knows what to do without.

mod address;
mod bus;
mod calls;
mod counters;
mod keys;
mod pool;
mod presence;
mod queue;
mod rate_limit;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chatterbox_core::domain::secret::Secret;
use chatterbox_core::http::HealthCheck;
use chatterbox_core::ids::NodeId;
use chatterbox_core::ports::bus::Bus;
use chatterbox_core::ports::presence::Presence;
use chatterbox_core::ports::queue::Queue;
use chatterbox_core::ports::rate_limit::RateLimiter;
use chatterbox_core::tasks::Tasks;
use deadpool_redis::redis::{RedisError, cmd};

use address::{Address, InvalidAddress};
use bus::RedisBus;
use calls::{Calls, Lines};
pub use counters::{RedisCounters, RedisCounts};
use keys::Keys;
use pool::Listening;
use presence::RedisPresence;
use queue::RedisQueue;
use rate_limit::RedisRateLimiter;

/// How long a call may take that nobody's message waits for.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a worker looks for rows that no stream carries, because Redis was away or forgot.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How long a start waits for the first connection before it goes on without.
const FIRST_CONNECTION: Duration = Duration::from_secs(1);

/// Where Redis is and how it is used.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// `redis://…`, `rediss://…`, `redis+sentinel://…` or `redis+cluster://…` (docs/DEPLOYMENT.md).
    pub url: Secret,
    /// Connections of this process beside the one that listens, 1 to 64. Each is shared: a few are enough.
    pub connections: u32,
    /// What all names in Redis begin with: letters, digits, `-`, `_`, `.` and `:`. Chats that share a Redis differ in it.
    pub prefix: String,
}

impl RedisOptions {
    /// The defaults: 4 connections, prefix `chatterbox`.
    pub fn new(url: Secret) -> RedisOptions {
        RedisOptions {
            url,
            connections: 4,
            prefix: "chatterbox".to_owned(),
        }
    }

    /// One server without TLS, as `REDIS_HOST`, `REDIS_PORT` and `REDIS_PASSWORD` tell it.
    pub fn at(host: &str, port: u16, password: Option<&Secret>) -> RedisOptions {
        let host = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let login = password.map_or_else(String::new, |password| {
            format!(":{}@", percent_encoded(password.as_str()))
        });
        RedisOptions::new(format!("redis://{login}{host}:{port}").into())
    }
}

/// Everything but letters and digits as `%XX`.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Why Redis can't be used as it was set up. A Redis that only is not there is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOpenError {
    /// The address is none.
    #[error(
        "REDIS_URL is no address of Redis: {0}; write redis://[user:password@]host[:port][/db] (docs/DEPLOYMENT.md)"
    )]
    Url(String),
    /// The prefix has characters that mean something in Redis.
    #[error("the prefix of names in Redis may have letters, digits, '-', '_', '.' and ':' only")]
    Prefix,
    /// The driver does not take the settings.
    #[error("Redis can't be used with these settings: {0}")]
    Settings(String),
}

impl From<InvalidAddress> for RedisOpenError {
    fn from(error: InvalidAddress) -> RedisOpenError {
        RedisOpenError::Url(error.to_string())
    }
}

/// One node's use of Redis. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    node: NodeId,
    keys: Keys,
    lines: Arc<Lines>,
    bus: Arc<RedisBus>,
}

impl Redis {
    /// Connects as `node`, and goes on doing so until `tasks` end. Waits at most a second: a Redis that isn't there is
    /// warned of, and used as soon as it is.
    pub async fn connect(
        options: RedisOptions,
        node: NodeId,
        tasks: &Tasks,
    ) -> Result<Redis, RedisOpenError> {
        let address = Address::parse(&options.url)?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if options.prefix.is_empty() || !options.prefix.chars().all(is_plain) {
            return Err(RedisOpenError::Prefix);
        }
        let size = options.connections.clamp(1, 64) as usize;
        let lines = Lines::start(address.clone(), size, tasks)
            .map_err(|error: RedisError| RedisOpenError::Settings(error.category().to_owned()))?;
        let keys = Keys::new(&options.prefix, address.database());
        let publishing = Calls::new(lines.clone(), PATIENCE);
        let bus = RedisBus::start(node, &keys, publishing, Listening::new(address), tasks);
        let lines_are = lines.connected_within(FIRST_CONNECTION);
        tokio::join!(lines_are, bus.listens_within(FIRST_CONNECTION));
        Ok(Redis {
            node,
            keys,
            lines,
            bus: Arc::new(bus),
        })
    }

    /// Wakes up the other nodes.
    pub fn bus(&self) -> Arc<dyn Bus> {
        self.bus.clone()
    }

    /// Who is online.
    pub fn presence(&self) -> Arc<dyn Presence> {
        Arc::new(RedisPresence::new(
            &self.keys,
            Calls::new(self.lines.clone(), PATIENCE),
        ))
    }

    /// Token buckets that all nodes take from. Gives up within 90 ms.
    pub fn rate_limiter(&self) -> Arc<dyn RateLimiter> {
        Arc::new(RedisRateLimiter::new(&self.keys, self.lines.clone()))
    }

    /// `rows`, dispatched by a stream: workers are told of jobs rather than looking for them. The rows stay the truth.
    pub fn queue(&self, rows: Arc<dyn Queue>) -> Arc<dyn Queue> {
        self.queue_swept(rows, SWEEP_EVERY)
    }

    /// As [`queue`](Redis::queue), looking so often for rows that no stream carries. Zero looks at every claim, for
    /// tests whose time does not pass.
    pub fn queue_swept(&self, rows: Arc<dyn Queue>, every: Duration) -> Arc<dyn Queue> {
        let calls = Calls::new(self.lines.clone(), PATIENCE);
        Arc::new(RedisQueue::new(self.node, &self.keys, calls, rows, every))
    }

    /// What went wrong so far.
    pub fn counters(&self) -> Arc<RedisCounters> {
        self.lines.counters.clone()
    }

    /// Looks whether Redis answers, for `/api/health`. Without it messages still go.
    pub fn health_check(&self) -> Box<dyn HealthCheck> {
        Box::new(RedisHealth(Calls::new(self.lines.clone(), PATIENCE)))
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis")
            .field("address", self.lines.address())
            .finish_non_exhaustive()
    }
}

struct RedisHealth(Calls);

#[async_trait]
impl HealthCheck for RedisHealth {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn is_vital(&self) -> bool {
        false
    }

    async fn works(&self) -> bool {
        let ping = async |mut line| cmd("PING").query_async::<()>(&mut line).await;
        self.0.run(ping).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s039_host_port_and_password_make_an_address() {
        let password = Secret::from("p@ss/w:rd%");
        for (options, expected) in [
            (
                RedisOptions::at("localhost", 6379, None),
                "redis://localhost:6379",
            ),
            (
                RedisOptions::at("::1", 6390, Some(&password)),
                "redis://:p%40ss%2Fw%3Ard%25@[::1]:6390",
            ),
        ] {
            assert_eq!(options.url.as_str(), expected);
            let address = Address::parse(&options.url).unwrap();
            let address::Kind::One(info) = address.kind else {
                panic!("one server");
            };
            if expected.contains('@') {
                assert_eq!(info.redis_settings().password(), Some("p@ss/w:rd%"));
            }
        }
        assert!(!format!("{:?}", RedisOptions::at("a", 1, Some(&password))).contains("p@ss"));
    }

    #[tokio::test]
    async fn what_can_not_be_meant_is_refused_at_once() {
        let tasks = Tasks::new();
        let node = NodeId::from_bytes([1; 12]);
        let options = RedisOptions::new("redis://:hunter2@a,b".into());
        let error = Redis::connect(options, node, &tasks)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("several hosts"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let options = RedisOptions {
            prefix: "a{b}".to_owned(),
            ..RedisOptions::at("localhost", 1, None)
        };
        assert!(matches!(
            Redis::connect(options, node, &tasks).await,
            Err(RedisOpenError::Prefix)
        ));
    }
}
