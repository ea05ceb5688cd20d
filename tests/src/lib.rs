//! What the black-box stories need: the real binary, people who talk to it over REST and a socket of their own making,
//! and the command-line tool.
//!
//! Nothing in here knows the server's types: what a story sees is what a client sees.
#![expect(clippy::panic, reason = "a story fails by panicking")]
#![expect(clippy::print_stdout, reason = "seeds and logs belong to a failure's report")]

mod cli;
mod cluster;
mod person;
mod proxy;
mod pushes;
mod random;
mod rest;
mod server;
mod services;
mod socket;

pub use cli::{Ran, chatterbox_cli};
pub use cluster::{ClusterSetup, NODES, RedisSort, TestCluster};
pub use person::{PASSWORD, Person};
pub use proxy::Proxy;
pub use pushes::Pushes;
pub use random::Random;
pub use rest::{Reply, Rest};
pub use server::{Ended, Setup, TestServer, run_to_end};
pub use services::{Backend, backend, database_uri, redis_says, unique};
pub use socket::{Lost, Socket};

use std::path::PathBuf;
use std::time::Duration;

/// How long anything may take before a story fails: far beyond what a busy machine needs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A binary of this workspace, as cargo built it beside the test that runs.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test
        .ancestors()
        .find(|path| path.file_name().is_some_and(|name| name == "deps"))
        .and_then(std::path::Path::parent)
        .expect("cargo puts tests into target/PROFILE/deps");
    let path = profile.join(name);
    assert!(
        path.exists(),
        "{} is missing: build the binaries first (cargo build --workspace --all-targets), as ./test does",
        path.display()
    );
    path
}
