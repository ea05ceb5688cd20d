//! What a process costs, as the kernel counts it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::Duration;

use crate::error::{Result, TryingTo as _};

/// CPU time of all threads of a process, in the kernel's nanoseconds.
///
/// A thread that ends takes what it did since the last reading with it; over a measured window none of the servers
/// ends one that has worked.
pub(crate) struct CpuClock {
    pid: u32,
    threads: HashMap<String, u64>,
}

impl CpuClock {
    pub(crate) fn start(pid: u32) -> Result<Self> {
        Ok(Self {
            pid,
            threads: read_threads(pid)?,
        })
    }

    /// CPU time used since the start.
    pub(crate) fn elapsed(&self) -> Result<Duration> {
        let used_ns = read_threads(self.pid)?
            .into_iter()
            .map(|(thread, now_ns)| now_ns.saturating_sub(self.threads.get(&thread).copied().unwrap_or(0)))
            .sum();
        Ok(Duration::from_nanos(used_ns))
    }
}

fn read_threads(pid: u32) -> Result<HashMap<String, u64>> {
    let read = || -> io::Result<_> {
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let entry = entry?;
            // A thread may end between the listing and the reading.
            if let Ok(line) = fs::read_to_string(entry.path().join("schedstat")) {
                let on_cpu_ns = line
                    .split_whitespace()
                    .next()
                    .and_then(|field| field.parse().ok());
                let on_cpu_ns = on_cpu_ns.ok_or_else(|| io::Error::other("schedstat holds no number"))?;
                threads.insert(entry.file_name().to_string_lossy().into_owned(), on_cpu_ns);
            }
        }
        Ok(threads)
    };
    read().trying_to(|| format!("read the CPU time of process {pid}"))
}

/// Memory of a process that stands in RAM.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let read = || -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        text.lines()
            .find_map(|line| {
                line.strip_prefix("Rss:")?
                    .trim()
                    .strip_suffix(" kB")?
                    .trim()
                    .parse::<u64>()
                    .ok()
            })
            .map(|kib| kib * 1024)
            .ok_or_else(|| io::Error::other("smaps_rollup names no Rss"))
    };
    read().trying_to(|| format!("read the memory of process {pid}"))
}
