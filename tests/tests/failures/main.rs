//! Three nodes, three real backends, and what may break: nothing acknowledged is lost, nothing comes twice, all see one
//! order (I1 to I3, I5, I7, I9). They need `tests/services/up`; `./test quick` leaves them out.
//!
//! ```text
//! ann, six senders, three readers, one who is removed, ghost and leaver  ──▶ nodes 0, 1, 2 ──proxies──▶ Redis (of the test)
//!                    (client.rs)                                              │       └──▶ S3
//!                                                                             └──▶ database (of the test where it breaks)
//! a fault (nodes.rs, redis.rs, database.rs) ──▶ it is over ──▶ everybody goes on ──▶ verdict.rs reads all histories
//! ```
#![expect(clippy::panic, reason = "a test fails by panicking, its helpers too")]
#![expect(
    clippy::print_stdout,
    reason = "seeds and counts belong to every run's report"
)]

mod client;
mod database;
mod failover;
mod nodes;
mod play;
mod redis;
mod sharing;
mod verdict;
