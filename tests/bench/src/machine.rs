//! The machine the run happens on.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::error::{Result, TryingTo as _};

/// Allows as many open files as the system does, here and in the servers, and keeps the runner on its core.
pub(crate) fn prepare(core: usize) -> Result<()> {
    let files = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: files.maximum,
            maximum: files.maximum,
        },
    )
    .trying_to(|| "raise the limit of open files".to_owned())?;
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).trying_to(|| format!("keep to core {core}"))
}

/// What a reader has to know about it to judge the figures.
pub(crate) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, name)| name);
    let cores = processors
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?");
    let mut text = format!("{cores} cores, {model}, Linux {}, load {load}.", kernel.trim());
    if load.parse::<f64>().is_ok_and(|load| load > 0.5) {
        text.push_str(" Others are at work here: expect noise.");
    }
    text
}
