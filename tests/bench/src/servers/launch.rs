//! Starts a server on a core of its own, waits until it answers, and ends it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Kind, node, rest};
use crate::error::{Error, Result, TryingTo as _};

const READY_MAX: Duration = Duration::from_secs(30);
const LOG_FILE: &str = "server.log";

pub(crate) struct Launcher {
    pub(crate) chatterbox: PathBuf,
    pub(crate) core: usize,
    /// Under it every server gets a directory that is removed afterwards.
    pub(crate) data: PathBuf,
}

/// A running server; dropping it ends it.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    child: Child,
    data: TempDir,
}

impl Launcher {
    /// Says early and in one sentence what is not there.
    pub(crate) fn check(&self, kind: Kind) -> Result<()> {
        match kind {
            Kind::Chatterbox => exists(&self.chatterbox, "cargo build --release -p chatterbox-server"),
            Kind::Bound | Kind::Socketioxide | Kind::SocketioxideSqlite => {
                exists(&peer_binary(kind)?, "cargo build --release -p chatterbox-bench")
            }
            Kind::Node => node::installed("socket.io"),
            Kind::NodeSqlite => node::installed("better-sqlite3"),
        }
    }

    pub(crate) fn start(&self, kind: Kind) -> Result<Server> {
        let data = TempDir::new_in(&self.data).trying_to(|| "make a directory for the server".to_owned())?;
        let port = free_port()?;
        let log =
            File::create(data.path().join(LOG_FILE)).trying_to(|| "create the server's log".to_owned())?;

        let mut command = Command::new("taskset");
        command.arg("-c").arg(self.core.to_string());
        match kind {
            Kind::Chatterbox => {
                command.arg(&self.chatterbox);
                command.env("DATA_DIR", data.path().join("data"));
                // The limits under test elsewhere would stop the load here.
                for limit in ["RATE_LIMIT_API", "RATE_LIMIT_WS", "RATE_LIMIT_AUTH"] {
                    command.env(limit, "0");
                }
                command.env("ROOMS_PER_USER_MAX", "1000");
            }
            Kind::Bound | Kind::Socketioxide | Kind::SocketioxideSqlite => {
                command.arg(peer_binary(kind)?);
            }
            Kind::Node | Kind::NodeSqlite => {
                command.arg("node").arg(node::server_script());
            }
        }
        if matches!(kind, Kind::SocketioxideSqlite | Kind::NodeSqlite) {
            command.env("STORE", data.path().join("messages.sqlite"));
        }
        let child = command
            .env("PORT", port.to_string())
            .current_dir(data.path())
            .stdin(Stdio::null())
            .stdout(
                log.try_clone()
                    .trying_to(|| "share the server's log".to_owned())?,
            )
            .stderr(log)
            .spawn()
            .trying_to(|| format!("start {} with taskset", kind.title()))?;

        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Server {
            kind,
            address,
            child,
            data,
        };
        server.wait_until_ready()?;
        Ok(server)
    }
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "another process announces nothing that could be awaited"
    )]
    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_MAX;
        while !self.answers() {
            let server = self.kind.title().to_owned();
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Error::EndedEarly {
                    server,
                    status: status.to_string(),
                    log: self.log_tail(),
                });
            }
            if Instant::now() > deadline {
                return Err(Error::NotReady {
                    server,
                    seconds: READY_MAX.as_secs(),
                    log: self.log_tail(),
                });
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        match self.kind {
            Kind::Chatterbox => matches!(rest::get_status(self.address, "/api/health/ready"), Ok(200)),
            Kind::Bound | Kind::Socketioxide | Kind::Node | Kind::SocketioxideSqlite | Kind::NodeSqlite => {
                TcpStream::connect(self.address).is_ok()
            }
        }
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.data.path().join(LOG_FILE)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(10)..];
        if tail.is_empty() {
            String::new()
        } else {
            format!("; it last wrote:\n{}", tail.join("\n"))
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The peers are built beside the runner.
fn peer_binary(kind: Kind) -> Result<PathBuf> {
    let runner = std::env::current_exe().trying_to(|| "find the runner's own file".to_owned())?;
    let name = if kind == Kind::Bound {
        "peer-bound"
    } else {
        "peer-socketioxide"
    };
    Ok(runner.with_file_name(name))
}

fn exists(binary: &Path, build: &str) -> Result<()> {
    if binary.is_file() {
        Ok(())
    } else {
        Err(Error::Missing(format!(
            "{} is not there; build it with `{build}`",
            binary.display()
        )))
    }
}

/// A port nobody listens on. A fresh one for each server, so that waiting ports of earlier runs are in nobody's way.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).trying_to(|| "find a free port".to_owned())?;
    Ok(listener
        .local_addr()
        .trying_to(|| "find a free port".to_owned())?
        .port())
}
