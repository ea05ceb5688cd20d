//! The Node peer's files and packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result, TryingTo as _};

/// Which of the peer's packages a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packages {
    /// The server alone.
    Server,
    /// The SQLite binding too, which is compiled here and takes two minutes.
    ServerAndStore,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/node")
}

pub(super) fn server_script() -> PathBuf {
    folder().join("server.js")
}

pub(super) fn installed(package: &str) -> Result<()> {
    if folder().join("node_modules").join(package).is_dir() {
        Ok(())
    } else {
        Err(Error::Missing(format!(
            "the package {package} is not installed in {}",
            folder().display()
        )))
    }
}

/// Runs `npm ci` unless the packages are there.
pub(crate) fn install(packages: Packages) -> Result<()> {
    let (wanted, arguments): (_, &[&str]) = match packages {
        Packages::Server => ("socket.io", &["ci", "--omit=optional"]),
        Packages::ServerAndStore => ("better-sqlite3", &["ci"]),
    };
    if installed(wanted).is_ok() {
        return Ok(());
    }
    let status = Command::new("npm")
        .args(arguments)
        .current_dir(folder())
        // Compiles the SQLite binding instead of downloading one that was compiled elsewhere.
        .env("npm_config_build_from_source", "true")
        .status()
        .trying_to(|| "run npm".to_owned())?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Missing(format!(
            "npm could not install the packages of {}",
            folder().display()
        )))
    }
}
