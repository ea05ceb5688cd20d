//! What the chat needs of the outside world, one trait a need.
//!
//! Each trait is object-safe, is shaped by the invariant it keeps, and says what is atomic, what is ordered and what
//! may happen twice. Each has an in-memory twin in [`crate::memory`] and a conformance suite in `testkit`; every
//! adapter, ours or a third party's, passes the same named tests.

pub mod audience;
pub mod blob;
pub mod bus;
pub mod presence;
pub mod queue;
pub mod rate_limit;
pub mod storage;
