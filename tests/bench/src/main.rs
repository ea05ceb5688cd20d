//! The load benchmark: ChatterBox beside a bound, Node and socketioxide in one run.
//!
//! For each scenario every server is started alone on one core, driven over loopback from another, and measured from
//! outside; servers take turns for several rounds. README.md says what the figures mean.
//!
//! ```text
//! scenario ──▶ servers (start, look at) ──┐
//!     │                                   ├──▶ measure ──figures──▶ metric (median) ──▶ table, budget
//!     └──────▶ load (drive, count) ───────┘
//! ```
#![expect(clippy::print_stdout, reason = "the tables are what this program is for")]

mod budget;
mod error;
mod load;
mod machine;
mod measure;
mod metric;
mod scenario;
mod servers;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::error::Result;
use crate::measure::Doubt;
use crate::metric::Figures;
use crate::scenario::{Name, Scenario, Size};
use crate::servers::{Kind, Launcher, Packages};
use crate::table::Table;

/// Measures ChatterBox beside other servers, in one run on one machine.
#[derive(Parser)]
struct Options {
    /// The ChatterBox server to measure
    #[arg(long, default_value = "target/release/chatterbox-server")]
    server: PathBuf,
    /// Servers to measure; all of them when left out
    #[arg(long, value_enum, value_delimiter = ',')]
    servers: Vec<Kind>,
    /// Scenarios to run; all of them when left out
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Name>,
    /// Measurements of each server in each scenario; the table shows medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of a measurement
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// The core the servers get
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core the load generator gets
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Where servers keep their files; a disk, not memory, or storing costs nothing
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    data: PathBuf,
    /// Run everything once and tiny: shows that it works, not how fast
    #[arg(long)]
    smoke: bool,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("The benchmark stopped: {}", explain(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    machine::prepare(options.load_core)?;
    println!("{}", machine::describe());

    let size = if options.smoke {
        Size::tiny()
    } else {
        Size::full(Duration::from_secs(options.seconds))
    };
    let launcher = Launcher {
        // Servers run in a directory of their own.
        chatterbox: std::path::absolute(&options.server).unwrap_or(options.server),
        core: options.server_core,
        data: options.data,
    };
    let servers = available(&launcher, &options.servers, size)?;
    let names = if options.only.is_empty() {
        Name::value_variants()
    } else {
        &options.only
    };
    let rounds = if options.smoke { 1 } else { options.rounds.max(1) };

    let mut verdicts = Vec::new();
    for &name in names {
        let scenario = Scenario::new(name, size);
        let rows = measure_all(&launcher, &scenario, &servers, rounds)?;
        // A tiny run is always doubtful, and says nothing about budgets.
        let (judged, doubts) = if size.tiny {
            Default::default()
        } else {
            (budget::judge(name, &rows.medians), rows.doubts)
        };
        print!(
            "{}",
            Table {
                scenario: &scenario,
                rows: &rows.medians,
                verdicts: &judged,
                doubts: &doubts
            }
        );
        verdicts.extend(judged);
    }
    if !verdicts.is_empty() {
        let met = verdicts.iter().filter(|verdict| verdict.met).count();
        println!("\n{met} of {} budgets met.", verdicts.len());
    }
    Ok(())
}

/// The servers asked for, or all. Only Node's store may be missing unasked: it has to be compiled.
fn available(launcher: &Launcher, asked: &[Kind], size: Size) -> Result<Vec<Kind>> {
    let mut servers = if asked.is_empty() {
        Kind::value_variants().to_vec()
    } else {
        asked.to_vec()
    };
    if servers.contains(&Kind::NodeSqlite) && !(size.tiny && asked.is_empty()) {
        servers::install(Packages::ServerAndStore)?;
    } else if servers.contains(&Kind::Node) {
        servers::install(Packages::Server)?;
    }
    if asked.is_empty() && launcher.check(Kind::NodeSqlite).is_err() {
        println!(
            "Without {}: its store is not installed.",
            Kind::NodeSqlite.title()
        );
        servers.retain(|&kind| kind != Kind::NodeSqlite);
    }
    for &kind in &servers {
        launcher.check(kind)?;
    }
    Ok(servers)
}

/// What a scenario's table shows.
struct Rows {
    medians: Vec<(Kind, Figures)>,
    /// How many rounds gave a reason to doubt a server's figures.
    doubts: Doubts,
}

type Doubts = BTreeMap<(Kind, Doubt), usize>;

/// Servers take turns, so that what slows the machine for a while slows all of them.
fn measure_all(launcher: &Launcher, scenario: &Scenario, servers: &[Kind], rounds: usize) -> Result<Rows> {
    let concerned = servers.iter().copied().filter(|&kind| scenario.concerns(kind));
    let mut measured: Vec<(Kind, Vec<Figures>)> = concerned.map(|kind| (kind, Vec::new())).collect();
    let mut doubts = Doubts::new();
    for _ in 0..rounds {
        for (kind, figures) in &mut measured {
            let server = launcher.start(*kind)?;
            let measurement = measure::measure(&server, scenario)?;
            figures.push(measurement.figures);
            for doubt in measurement.doubts {
                *doubts.entry((*kind, doubt)).or_default() += 1;
            }
        }
    }
    let median = |(kind, rounds): (Kind, Vec<Figures>)| (kind, Figures::median(&rounds));
    Ok(Rows {
        medians: measured.into_iter().map(median).collect(),
        doubts,
    })
}

/// The error with its causes, in one line.
fn explain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", explain(source)),
        None => error.to_string(),
    }
}
