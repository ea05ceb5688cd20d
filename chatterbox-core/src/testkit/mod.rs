//! What tests of the chat, of adapters and of embedders are made of.
//!
//! * [`ManualClock`] and [`SeededIds`] in place of the real sources of time and ids,
//! * [`samples`]: domain objects with one line each,
//! * [`Flaky`], [`Slow`] and [`FaultyBus`]: ports that fail, wait, lose and reorder on command,
//! * [`conformance`]: for every port the behaviours that its adapters have in common, each a test,
//! * [`fuzz`]: the bodies of the fuzz targets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is test code; a failure is to end the test, here as in `#[cfg(test)]`"
)]

pub mod conformance;
pub mod fuzz;
pub mod samples;

mod clock;
mod faulty_bus;
mod flaky;
mod hindered;
mod ids;
mod slow;

pub use clock::ManualClock;
pub use faulty_bus::FaultyBus;
pub use flaky::{Fault, Flaky, Plan};
pub use hindered::{Hindered, Hindrance, PlannedFault};
pub use ids::SeededIds;
pub use slow::{Gate, Slow};
