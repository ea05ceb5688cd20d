//! The server: reads its configuration, runs until a signal, says with its exit code how that went.

use std::io::{self, Write};
use std::process::ExitCode;

use chatterbox_server::config::{self, Inputs};
use chatterbox_server::{run, telemetry};

/// The configuration is wrong: starting again would not help.
const EXIT_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let matches = clap::Command::new("chatterbox-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The ChatterBox chat server. Runs without any argument; docs/CONFIGURATION.md explains each variable.")
        .args(config::flags())
        .get_matches();
    let (flags, file) = config::given(&matches);
    let loaded = config::load(&Inputs::of_process(flags, file));

    // Nothing better could be done if the error output is gone.
    let mut errors = io::stderr().lock();
    let Some(config) = loaded.config else {
        for problem in loaded.problems {
            let _ = writeln!(errors, "{problem}");
        }
        return ExitCode::from(EXIT_CONFIGURATION);
    };
    drop(errors);
    telemetry::start(&config);
    for warning in loaded.warnings {
        tracing::warn!("{warning}");
    }
    match run::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
