//! Real backends: those that stand for all tests (`tests/services/up`), and some of a test's own, to be killed and paused.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::{PATIENCE, Random, binary};

/// The address of a backend that stands for all tests.
///
/// # Panics
///
/// If it is not in the environment: a backend that should be there and isn't fails the test.
pub fn backend(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `eval \"$(tests/services/up)\"` first, as ./test does")
    })
}

/// `MONGODB_URI` with a database of this name.
pub fn database_uri(name: &str) -> String {
    with_database(&backend("MONGODB_URI"), name)
}

fn with_database(uri: &str, name: &str) -> String {
    let (before, options) = uri
        .split_once('?')
        .map_or((uri, None), |(uri, options)| (uri, Some(options)));
    let hosts = before.find("://").map_or(0, |at| at + 3);
    let end = before[hosts..].find('/').map_or(before.len(), |at| hosts + at);
    let options = options.map_or_else(String::new, |options| format!("?{options}"));
    format!("{}/{name}{options}", &before[..end])
}

/// A name that no other run has, for databases and instances.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{}-{number}", std::process::id())
}

/// A backend of a test's own, run by its script in `tests/services`; ended and forgotten when dropped.
#[derive(Debug)]
pub struct Backend {
    script: PathBuf,
    environment: Vec<(&'static str, String)>,
    address: String,
}

impl Backend {
    /// A Redis.
    pub async fn redis() -> Backend {
        let port = free_ports(1);
        Backend::start(
            "redis.sh",
            vec![("REDIS_PORT", port.to_string())],
            format!("127.0.0.1:{port}"),
        )
        .await
    }

    /// A Redis with a replica, and a sentinel, which has the address; `kill` ends the one that is the primary at first.
    pub async fn redis_sentinel() -> Backend {
        // The sentinel's, and behind it those of the servers.
        let port = free_ports(3);
        let environment = vec![("REDIS_SENTINEL_PORT", port.to_string())];
        Backend::start("redis_sentinel.sh", environment, format!("127.0.0.1:{port}")).await
    }

    /// A cluster of three masters and a replica for each; the address is that of a master that `kill` spares. The one that
    /// it ends can't be started again.
    pub async fn redis_cluster() -> Backend {
        // Six, and behind them those on which they talk to each other.
        let port = free_ports(12);
        let environment = vec![
            ("REDIS_CLUSTER_PORT", port.to_string()),
            ("REDIS_CLUSTER_REPLICAS", "1".to_owned()),
        ];
        Backend::start("redis_cluster.sh", environment, format!("127.0.0.1:{}", port + 1)).await
    }

    /// A DocumentDB with its gateway.
    pub async fn documentdb() -> Backend {
        let (port, postgres) = (free_ports(1), free_ports(1));
        let environment = vec![
            ("MONGODB_PORT", port.to_string()),
            ("DOCUMENTDB_PORT", postgres.to_string()),
            ("MONGO_GATEWAY", binary("mongo-gateway").display().to_string()),
        ];
        Backend::start("documentdb.sh", environment, format!("127.0.0.1:{port}")).await
    }

    async fn start(script: &str, mut environment: Vec<(&'static str, String)>, address: String) -> Backend {
        environment.push(("INSTANCE", unique("test")));
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("services")
            .join(script);
        let backend = Backend {
            script,
            environment,
            address,
        };
        backend.run(&["up"]).await;
        backend
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// SIGKILL to all of its processes.
    pub async fn kill(&self) {
        self.run(&["signal", "KILL"]).await;
    }

    /// SIGSTOP: it takes connections and answers nobody.
    pub async fn pause(&self) {
        self.run(&["signal", "STOP"]).await;
    }

    /// Goes on after a pause.
    pub async fn resume(&self) {
        self.run(&["signal", "CONT"]).await;
    }

    /// Starts again what was killed, and waits until it answers.
    pub async fn restart(&self) {
        self.run(&["up"]).await;
    }

    async fn run(&self, arguments: &[&str]) {
        let output = Command::new(&self.script)
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the script can be run");
        assert!(
            output.status.success(),
            "{} {arguments:?}: {}",
            self.script.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // What can't be ended here is ended by `tests/services/down`.
        let _ended = std::process::Command::new(&self.script)
            .arg("forget")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output();
    }
}

/// One command to a Redis; the answer's first bytes.
pub async fn redis_says(address: &str, command: &str) -> String {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await?;
        answer.truncate(length);
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    timeout(PATIENCE, asked)
        .await
        .expect("Redis answers")
        .expect("Redis can be reached")
}

/// The first of some ports in a row, below those that the system gives to clients, so that none of them takes one meanwhile.
fn free_ports(count: u16) -> u16 {
    let mut random = Random::unseeded();
    loop {
        let first = 20_000 + u16::try_from(random.below(10_000)).unwrap_or(0);
        if (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_another_database() {
        for (uri, expected) in [
            ("mongodb://h:1", "mongodb://h:1/x"),
            ("mongodb://h:1/", "mongodb://h:1/x"),
            (
                "mongodb://h:1/chat?replicaSet=rs",
                "mongodb://h:1/x?replicaSet=rs",
            ),
            ("mongodb://u:p@a,b/?w=1", "mongodb://u:p@a,b/x?w=1"),
        ] {
            assert_eq!(with_database(uri, "x"), expected);
        }
    }
}
