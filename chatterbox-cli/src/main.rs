//! Administration from a terminal, through the same commands as everything else, as the operator.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong configuration or arguments.

mod arguments;
mod configuration;
mod door;
mod jobs;
mod output;
mod rooms;
mod users;

use std::process::ExitCode;

use chatterbox_server::config::{self, Config, Inputs, Loaded};
use clap::FromArgMatches;

use arguments::{Area, Arguments};
use door::Door;
use output::{Failure, Output};

fn main() -> ExitCode {
    let matches = arguments::command().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let output = Output::new(arguments.json);
    let (flags, file) = config::given(&matches);
    let loaded = config::load(&Inputs::of_process(flags, file));
    let done = match arguments.area {
        Area::Config(what) => configuration::run(&what, &loaded, output),
        Area::User(_) | Area::Session(_) | Area::Room(_) | Area::Jobs(_) | Area::Status => configured(loaded)
            .and_then(|config| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(administrate(arguments.area, &config, output))
            }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output::failed(&failure),
    }
}

fn configured(loaded: Loaded) -> Result<Config, Failure> {
    let problems = loaded.problems;
    loaded.config.ok_or(Failure::Configuration(problems))
}

async fn administrate(area: Area, config: &Config, output: Output) -> Result<(), Failure> {
    if let Area::Status = area {
        return output.record(&door::status(config).await?);
    }
    let mut door = Door::open(config).await?;
    let done = match area {
        Area::User(what) => users::users(what, &mut door, output).await,
        Area::Session(what) => users::sessions(what, &mut door, output).await,
        Area::Room(what) => rooms::run(what, &mut door, output).await,
        Area::Jobs(what) => jobs::run(&what, &mut door, output).await,
        Area::Status | Area::Config(_) => Ok(()),
    };
    door.close().await;
    done
}
