//! MongoDB's wire protocol in front of DocumentDB, an engine for MongoDB's commands inside PostgreSQL. Tests only: no
//! authentication, no TLS, loopback.
//!
//! ```text
//! driver ──OP_MSG──▶ wire ▸ command ──▶ dispatch ──▶ local: hello, ping, endSessions, gatewaySeen
//!                                          │
//!                                          ├──▶ sessions: one at a time per session; transactions, answers of retried writes
//!                                          └──▶ execute ──▶ SQL function of the extension, over the pool
//! ```
//!
//! The extension's functions take and return whole BSON documents, so a command is passed on with what belongs to the
//! transport taken off. What is kept here is what a MongoDB server keeps beside its data: transactions by session, answers of
//! retryable writes, cursors; each is bounded and expires. Read and write concerns, which a single PostgreSQL has no use for,
//! are checked and recorded, so that a test can ask what reached the server (`gatewaySeen`, see [`seen`]).
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]

mod command;
mod cursors;
mod dispatch;
mod execute;
mod failure;
mod ping;
mod pool;
mod seen;
mod serve;
mod sessions;
mod wire;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::net::TcpListener;

use crate::dispatch::Gateway;

/// MongoDB's wire protocol in front of DocumentDB on PostgreSQL; for tests only.
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen; loopback only, since nobody is asked who they are.
    #[arg(long, default_value = "127.0.0.1:27090")]
    listen: SocketAddr,
    /// PostgreSQL with the extension, as libpq writes it.
    #[arg(
        long,
        default_value = "host=127.0.0.1 port=5490 user=postgres dbname=postgres"
    )]
    postgres: String,
    /// Connections to PostgreSQL at most.
    #[arg(long, default_value_t = 200)]
    connections: usize,
    /// Asks the gateway at this address whether it and its PostgreSQL answer, and ends.
    #[arg(long)]
    ping: Option<SocketAddr>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("mongo-gateway: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), String> {
    if let Some(address) = options.ping {
        return ping::ping(address).await;
    }
    if !options.listen.ip().is_loopback() {
        return Err(format!(
            "{} is not loopback; this server asks nobody who they are",
            options.listen
        ));
    }
    let postgres = options
        .postgres
        .parse()
        .map_err(|error| format!("--postgres: {error}"))?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| format!("{} can't be listened on: {error}", options.listen))?;
    println!("listens on {}", options.listen);
    let gateway = Arc::new(Gateway::new(postgres, options.connections));
    tokio::join!(gateway.sweep(), serve::serve(listener, Arc::clone(&gateway)));
    Ok(())
}
