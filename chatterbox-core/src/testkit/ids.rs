use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::{IdSource, RawId};

/// Ids that are the same in every run, in growing order; sources with different seeds never give the same id.
#[derive(Debug)]
pub struct SeededIds {
    seed: u32,
    count: AtomicU64,
}

impl SeededIds {
    /// The ids of this seed.
    pub fn new(seed: u32) -> SeededIds {
        SeededIds {
            seed,
            count: AtomicU64::new(0),
        }
    }
}

impl IdSource for SeededIds {
    fn next(&self) -> RawId {
        // Seconds (4 bytes), seed (4), count (4): the seconds go on before the count runs over.
        const FIRST_SECOND: u64 = 1_700_000_000;
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&(FIRST_SECOND + (count >> 32)).to_be_bytes()[4..]);
        bytes[4..8].copy_from_slice(&self.seed.to_be_bytes());
        bytes[8..].copy_from_slice(&count.to_be_bytes()[4..]);
        RawId(bytes)
    }
}
