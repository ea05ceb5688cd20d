//! Random numbers from a seed that is printed, so that a failure can be run again.

/// A small generator (xorshift64*): good enough to pick moments, the same on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From `TEST_SEED`, or a seed of the moment. Either is printed.
    pub fn from_environment() -> Random {
        let given = std::env::var("TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(of_the_moment);
        println!("TEST_SEED={seed}");
        Random::from_seed(seed)
    }

    /// From a seed of one's own.
    pub fn from_seed(seed: u64) -> Random {
        Random(seed | 1)
    }

    /// Where nothing has to be run again: names, ports.
    pub(crate) fn unseeded() -> Random {
        Random(of_the_moment() | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % end
    }
}

fn of_the_moment() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8)
}
