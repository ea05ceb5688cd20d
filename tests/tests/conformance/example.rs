//! The example as a child process on a port of its own.

use std::process::Stdio;

use chatterbox_tests::PATIENCE;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// The mount points: the bare Engine.IO echo, and Socket.IO.
pub(crate) const PATHS: [&str; 2] = ["/engine.io/", "/socket.io/"];

/// A running example; killed when dropped.
pub(crate) struct Example {
    child: Child,
    port: u16,
    // Kept open, so that later output has a reader.
    _output: ChildStdout,
}

impl Example {
    /// With the heartbeat that the official suites expect: a ping after 300 ms, 200 ms for the pong. For tests that
    /// do not mind being closed by a busy machine.
    pub(crate) async fn hasty() -> Example {
        Example::start(&[]).await
    }

    /// With a heartbeat that no test lives to see.
    pub(crate) async fn calm() -> Example {
        Example::with_heartbeat(60_000, 60_000).await
    }

    /// With these times, in milliseconds.
    pub(crate) async fn with_heartbeat(interval_ms: u32, timeout_ms: u32) -> Example {
        Example::start(&[("PING_INTERVAL", interval_ms), ("PING_TIMEOUT", timeout_ms)]).await
    }

    async fn start(environment: &[(&str, u32)]) -> Example {
        let program = chatterbox_tests::binary("examples/socketio_conformance");
        // The port is the system's choice; the other address family may have given it away a moment ago.
        for _ in 0..10 {
            let mut child = Command::new(&program)
                .env_clear()
                .env("PORT", "0")
                .envs(environment.iter().map(|(name, value)| (name, value.to_string())))
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let mut output = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            timeout(PATIENCE, output.read_line(&mut line))
                .await
                .expect("the example says where it listens")
                .unwrap();
            if let Some((_, port)) = line.trim().rsplit_once(':') {
                return Example {
                    child,
                    port: port.parse().unwrap(),
                    _output: output.into_inner(),
                };
            }
        }
        panic!("the example found no free port")
    }

    /// A URL of it, such as `http://127.0.0.1:1234/socket.io/?EIO=4`.
    pub(crate) fn url(&self, path: &str, query: &str) -> String {
        format!("http://127.0.0.1:{}{path}?{query}", self.port)
    }

    /// The same over IPv6.
    pub(crate) fn url_v6(&self, path: &str, query: &str) -> String {
        format!("http://[::1]:{}{path}?{query}", self.port)
    }

    /// A bare connection.
    pub(crate) async fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// What of it is in memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().expect("it runs"));
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }
}
