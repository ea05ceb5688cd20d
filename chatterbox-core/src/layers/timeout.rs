use std::time::Duration;

use super::{Around, CallFuture, CallService};
use crate::app::Call;
use crate::error::Error;

/// Answers `UNAVAILABLE` when a call takes too long. What it began goes on (see the shield below).
#[derive(Debug, Clone, Copy)]
pub struct Timeout {
    limit: Duration,
}

impl Timeout {
    /// At most `limit`.
    pub fn new(limit: Duration) -> Timeout {
        Timeout { limit }
    }
}

impl Around for Timeout {
    fn around<S: CallService>(&self, inner: &mut S, call: Call) -> CallFuture {
        let answer = tokio::time::timeout(self.limit, inner.call(call));
        Box::pin(async move { answer.await.unwrap_or(Err(Error::Unavailable(None))) })
    }
}
