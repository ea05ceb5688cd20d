//! From a configuration to a running server, and down again.
//!
//! ```text
//! lock ─▶ secret ─▶ store, chat, rooms ─▶ listeners ─▶ control socket ─▶ "listens on …" ─▶ signal ─▶ drain
//! ```

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chatterbox_core::app::{Actor, Call, Command, Reply};
use chatterbox_core::error::Error;
use chatterbox_core::server::ChatServer;
use tracing::{info, warn};

use crate::compose::{ComposeError, Composed};
use crate::config::{Config, Environment};
use crate::control::{self, Handler, Status};
use crate::drain::Signals;
use crate::listen::{self, Admission, Serving};
use crate::lock::{Lock, LockError};

/// Why the server did not start. One clear line each.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory is taken or unusable.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store could not be opened or the chat not be built.
    #[error(transparent)]
    Compose(#[from] ComposeError),
}

/// A chat on its locked data directory, without listeners: what the server serves, and what the command-line tool
/// works on when no server runs.
pub struct Node {
    composed: Composed,
    lock: Lock,
}

impl Node {
    /// Takes the data directory and opens everything durable in it.
    pub async fn open(config: &Config) -> Result<Node, StartError> {
        let lock = Lock::take(&config.data_dir)?;
        let (secret, generated) = config.signing_secret()?;
        if let Some(origin) = generated {
            info!("JWT_SECRET is not set: {origin}");
        }
        let composed = Composed::open(config, &secret).await?;
        Ok(Node { composed, lock })
    }

    /// Does a command as the operator.
    pub async fn call(&self, command: Command) -> Result<Reply, Error> {
        as_operator(&self.composed.chat, command).await
    }

    /// Ends everything that runs, closes the store, then gives the directory up.
    pub async fn close(self) {
        self.composed.close().await;
        drop(self.lock);
    }
}

async fn as_operator(chat: &ChatServer, command: Command) -> Result<Reply, Error> {
    chat.stack().run(Call::new(Actor::Operator, command)).await
}

/// Runs a server until a signal ends it.
pub fn run(config: &Config) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(config));
    // What did not end within the grace is not waited for.
    runtime.shutdown_background();
    served
}

async fn serve(config: &Config) -> Result<(), StartError> {
    let signals = Signals::register()?;
    let node = Node::open(config).await?;
    raise_descriptor_limit(config);
    let bound = listen::bind(&config.host, config.port)?;
    let admission = Admission::new(
        config.connections_max,
        config.connections_per_address_max,
        config.trusted_proxies.clone(),
    );
    let (chat, tasks) = (node.composed.chat.clone(), &node.composed.tasks);
    let operator = Operator {
        chat: chat.clone(),
        url: bound.url(),
        environment: config.environment,
        ready: Instant::now(),
    };
    let url = bound.url();
    control::serve(&node.lock, Arc::new(operator), tasks)?;
    let serving = listen::serve(bound, &chat, &admission, tasks);
    greet(&url, config.environment);
    drain_on_signal(signals, serving, node, config).await;
    Ok(())
}

/// How long connections get for the answers they wait for and for the close frame.
const GOODBYE_TIME: Duration = Duration::from_secs(6);

/// The first thing on the screen, and what a script waits for.
fn greet(url: &str, environment: Environment) {
    let mode = match environment {
        Environment::Development => " in development mode",
        Environment::Production => "",
    };
    let mut output = io::stdout().lock();
    // A closed output is no reason not to serve.
    let _ = writeln!(output, "ChatterBox listens on {url}{mode}").and_then(|()| output.flush());
}

async fn drain_on_signal(mut signals: Signals, serving: Serving, node: Node, config: &Config) {
    let grace = config.shutdown_grace;
    let delay = config.drain_delay.min(grace / 2);
    let name = signals.next().await;
    info!("{name}: draining");
    let drain = async move {
        let chat = &node.composed.chat;
        chat.stop_being_ready();
        // Load balancers look, and send new clients elsewhere, before anybody is sent away.
        tokio::time::sleep(delay).await;
        // A millisecond for each: a wave of reconnects that the other processes can take.
        let spread =
            Duration::from_millis(chat.connections().sessions as u64).min(grace.saturating_sub(delay) / 2);
        // Requests are taken meanwhile: those of clients that poll, and those that a balancer still sends here.
        let _ = tokio::time::timeout(spread + GOODBYE_TIME, chat.drain(spread)).await;
        serving.drain().await;
        // Nobody finds a socket that nobody answers on.
        let _ = std::fs::remove_file(control::socket_path(node.lock.directory()));
        node.close().await;
    };
    signals.drain(grace, drain).await;
}

/// A connection is a descriptor, and many systems start a process with 1024.
fn raise_descriptor_limit(config: &Config) {
    let wanted = config.connections_max as u64 + 256;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit < wanted => {
            let max = config.connections_max;
            warn!("the system allows {limit} open files, too few for CONNECTIONS_MAX={max}");
        }
        Ok(_) => {}
        Err(error) => warn!("the limit of open files stays as it is: {error}"),
    }
}

/// What the control socket answers with.
struct Operator {
    chat: ChatServer,
    url: String,
    environment: Environment,
    ready: Instant,
}

#[async_trait]
impl Handler for Operator {
    async fn call(&self, command: Command) -> Result<Reply, Error> {
        as_operator(&self.chat, command).await
    }

    fn status(&self) -> Status {
        let environment = match self.environment {
            Environment::Development => "development",
            Environment::Production => "production",
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            url: self.url.clone(),
            environment: environment.to_owned(),
            uptime_secs: self.ready.elapsed().as_secs(),
            connections: self.chat.connections().sessions,
        }
    }
}
