//! The control socket: the command language, as the operator, over HTTP on `DATA_DIR/control.sock`.
//!
//! ```text
//! chatterbox-cli ── POST /command {"command":"createRoom","name":"news"} ──▶ server ──▶ command stack
//!                ◀─ {"ok":true,"reply":{…}} or {"ok":false,"error":{"code":…,"message":…}} ──
//! ```
//!
//! Whoever can open the socket is the operator: its mode is 0600, so that is the server's own user and root. Anything
//! that can speak HTTP over a unix socket will do: `curl --unix-socket data/control.sock http://localhost/status`.

mod client;
mod server;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use client::{Client, ClientError};
pub use server::{Handler, serve};

/// Where the control socket of a data directory is.
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// The largest command and the largest answer, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;

/// How the server is, for `GET /status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of the server.
    pub version: String,
    /// Its process id.
    pub process: u32,
    /// Where it listens.
    pub url: String,
    /// `development` or `production`.
    pub environment: String,
    /// Seconds since it became ready.
    pub uptime_secs: u64,
    /// Open Engine.IO sessions.
    pub connections: usize,
}

/// The answer to a command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// The reply, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<serde_json::Value>,
    /// Why not, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refused>,
}

/// Why a command was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// One of the codes of the REST API, or `BAD_COMMAND`.
    pub code: String,
    /// One clear sentence.
    pub message: String,
}

#[cfg(test)]
mod tests;
