//! Logs: lines for people in development, one JSON object a line in production, always to the standard error output.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat};

/// Starts logging for this process. A second call leaves the first one in place.
pub fn start(config: &Config) {
    // The configuration was checked with the same parser.
    let filter = EnvFilter::try_new(&config.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false);
    // Fails only if a subscriber is set already, as in an embedding program that has its own.
    let _ = match config.log_format {
        LogFormat::Text => lines
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .finish()
            .try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_target(true)
            .finish()
            .try_init(),
    };
}
