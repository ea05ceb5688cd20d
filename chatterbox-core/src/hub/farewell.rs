use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::engine::{CloseReason, Packet};

/// The end of a connection that may still have answers to wait for; see [`Link::finish`](super::Link::finish).
#[derive(Debug, Clone)]
pub struct Farewell {
    /// Sent last, behind the answers.
    pub packets: SmallVec<[Packet; 2]>,
    /// Why it ends.
    pub reason: CloseReason,
    /// How long answers are waited for at most.
    pub patience: Duration,
}

/// A [`Farewell`] that waits for answers.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) farewell: Farewell,
    pub(super) by: Instant,
}
