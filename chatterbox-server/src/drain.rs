//! How the process ends: a first signal drains, a second one ends it at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// The signals that end the server. Registered before the server says it is ready, so that none is missed.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Exit code after a second signal: the drain was cut short.
pub const EXIT_CUT_SHORT: i32 = 130;

impl Signals {
    /// From now on these signals no longer end the process by themselves.
    pub fn register() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next of them.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Runs `drain` for as long as `grace` allows; a second signal ends the process on the spot.
    pub async fn drain(mut self, grace: std::time::Duration, drain: impl Future<Output = ()>) {
        tokio::select! {
            () = drain => info!("drained, goodbye"),
            () = tokio::time::sleep(grace) => {
                warn!("calls were still running after SHUTDOWN_GRACE ({grace:?}); goodbye all the same");
            }
            name = self.next() => {
                warn!("second signal ({name}): ending at once");
                std::process::exit(EXIT_CUT_SHORT);
            }
        }
    }
}
