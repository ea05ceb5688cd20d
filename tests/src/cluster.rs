//! Several server processes on one MongoDB, one Redis and one S3, and what can happen to them.

use std::mem;

use crate::server::Stopped;
use crate::{Backend, Proxy, Setup, TestServer, backend, database_uri, unique};

/// Shared by all nodes of all tests.
const SECRET: &str = "pWk3vR8sT1yB6nM4cX9zL2qF7hJ5gD0a";

/// What a cluster is started with.
#[derive(Debug, Default)]
pub struct ClusterSetup {
    environment: Vec<(String, String)>,
    own_database: bool,
    redis: RedisSort,
    nodes: Option<usize>,
}

/// How a cluster's Redis is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedisSort {
    /// One server; between each node and it there is a proxy.
    #[default]
    One,
    /// A primary and its replica, named by a sentinel.
    Sentinel,
    /// Three masters with a replica each.
    Cluster,
}

impl ClusterSetup {
    /// Three nodes, a Redis of their own, and the database and S3 that stand for all tests.
    pub fn new() -> ClusterSetup {
        ClusterSetup::default()
    }

    /// With a variable set on all nodes.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> ClusterSetup {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// With a database server of its own, to be killed.
    pub fn with_own_database(mut self) -> ClusterSetup {
        self.own_database = true;
        self
    }

    /// With another sort of Redis.
    pub fn with_redis(mut self, redis: RedisSort) -> ClusterSetup {
        self.redis = redis;
        self
    }

    /// With another number of nodes.
    pub fn with_nodes(mut self, nodes: usize) -> ClusterSetup {
        self.nodes = Some(nodes);
        self
    }

    /// Starts it.
    pub async fn start(self) -> TestCluster {
        let name = unique("failures");
        let redis = match self.redis {
            RedisSort::One => Backend::redis().await,
            RedisSort::Sentinel => Backend::redis_sentinel().await,
            RedisSort::Cluster => Backend::redis_cluster().await,
        };
        let (database, uri) = if self.own_database {
            let database = Backend::documentdb().await;
            let uri = format!("mongodb://{}/{name}", database.address());
            (Some(database), uri)
        } else {
            (None, database_uri(&name))
        };
        let mut cluster = TestCluster {
            nodes: Vec::new(),
            proxies: Vec::new(),
            redis,
            database,
        };
        for _ in 0..self.nodes.unwrap_or(NODES) {
            let url = match self.redis {
                RedisSort::One => {
                    let proxy = Proxy::before(cluster.redis.address()).await;
                    let url = format!("redis://{}", proxy.address());
                    cluster.proxies.push(proxy);
                    url
                }
                // Nodes learn the addresses of servers from others than us.
                RedisSort::Sentinel => format!(
                    "redis+sentinel://{}/main?sentinel-password=only-for-tests-on-loopback",
                    cluster.redis.address()
                ),
                RedisSort::Cluster => format!("redis+cluster://{}", cluster.redis.address()),
            };
            let mut setup = Setup::new()
                .with("JWT_SECRET", SECRET)
                .with("ACCESS_TOKEN_TTL", "24h")
                .with("MONGODB_URI", &uri)
                .with("REDIS_URL", url)
                .with("S3_ENABLED", "true")
                .with("S3_BUCKET", &name);
            for variable in ["S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_REGION"] {
                setup = setup.with(variable, backend(variable));
            }
            for (name, value) in &self.environment {
                setup = setup.with(name, value);
            }
            cluster.nodes.push(Node::Running(Box::new(setup.start().await)));
        }
        cluster
    }
}

/// Nodes of a cluster.
pub const NODES: usize = 3;

/// Three nodes and their backends; all ended when dropped.
#[derive(Debug)]
pub struct TestCluster {
    nodes: Vec<Node>,
    proxies: Vec<Proxy>,
    /// Their Redis.
    pub redis: Backend,
    /// Their database, if it is their own.
    pub database: Option<Backend>,
}

#[derive(Debug)]
enum Node {
    Running(Box<TestServer>),
    Stopped(Stopped),
    /// Between the two.
    Changing,
}

impl TestCluster {
    /// A node that runs.
    #[track_caller]
    pub fn node(&self, number: usize) -> &TestServer {
        match &self.nodes[number] {
            Node::Running(server) => server,
            Node::Stopped(_) | Node::Changing => panic!("node {number} does not run"),
        }
    }

    /// Where the nodes are; none for one that is down.
    pub fn urls(&self) -> Vec<Option<String>> {
        let url = |node: &Node| match node {
            Node::Running(server) => Some(server.url().to_owned()),
            Node::Stopped(_) | Node::Changing => None,
        };
        self.nodes.iter().map(url).collect()
    }

    /// What stands between a node and a Redis of one server.
    pub fn way_to_redis(&self, number: usize) -> &Proxy {
        &self.proxies[number]
    }

    /// The database; only if it is the cluster's own.
    #[track_caller]
    pub fn database(&self) -> &Backend {
        self.database
            .as_ref()
            .expect("asked for with `with_own_database`")
    }

    /// SIGKILL to a node.
    pub async fn kill(&mut self, number: usize) {
        if let Node::Running(server) = mem::replace(&mut self.nodes[number], Node::Changing) {
            self.nodes[number] = Node::Stopped(server.killed().await);
        }
    }

    /// SIGTERM to a node, which must end in good order.
    pub async fn drain(&mut self, number: usize) {
        if let Node::Running(server) = mem::replace(&mut self.nodes[number], Node::Changing) {
            server.signal("TERM").await;
            let (ended, stopped) = server.ended().await;
            assert_eq!(ended.code, Some(0), "node {number} drains: {}", ended.log);
            self.nodes[number] = Node::Stopped(stopped);
        }
    }

    /// Starts a node that is down.
    pub async fn restart(&mut self, number: usize) {
        if let Node::Stopped(stopped) = mem::replace(&mut self.nodes[number], Node::Changing) {
            self.nodes[number] = Node::Running(Box::new(stopped.restarted().await));
        }
    }
}
