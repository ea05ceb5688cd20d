use std::task::{Context, Poll};
use std::time::Duration;

use tower::{Layer, Service};

use super::{CallFuture, CallService};
use crate::app::{Call, Outcome, Reply};
use crate::error::Error;

/// Answers `UNAVAILABLE` when a call takes too long. What it began goes on (see the shield below).
#[derive(Debug, Clone)]
pub struct TimeoutLayer {
    limit: Duration,
}

impl TimeoutLayer {
    /// At most `limit`.
    pub fn new(limit: Duration) -> TimeoutLayer {
        TimeoutLayer { limit }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout {
            inner,
            limit: self.limit,
        }
    }
}

/// See [`TimeoutLayer`].
#[derive(Debug, Clone)]
pub struct Timeout<S> {
    inner: S,
    limit: Duration,
}

impl<S: CallService> Service<Call> for Timeout<S> {
    type Response = Outcome<Reply>;
    type Error = Error;
    type Future = CallFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, call: Call) -> CallFuture {
        let answer = tokio::time::timeout(self.limit, self.inner.call(call));
        Box::pin(async move { answer.await.unwrap_or(Err(Error::Unavailable(None))) })
    }
}
