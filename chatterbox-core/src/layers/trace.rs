use std::task::{Context, Poll};

use tower::{Layer, Service};
use tracing::Instrument;

use super::{CallFuture, CallService};
use crate::app::{Actor, Call, Outcome, Reply};
use crate::error::Error;

/// Puts a span around every call and logs the server's own faults, once, where they leave the stack.
#[derive(Debug, Clone, Copy)]
pub struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner }
    }
}

/// See [`TraceLayer`].
#[derive(Debug, Clone)]
pub struct Trace<S> {
    inner: S,
}

impl<S: CallService> Service<Call> for Trace<S> {
    type Response = Outcome<Reply>;
    type Error = Error;
    type Future = CallFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, call: Call) -> CallFuture {
        let name = call.command.name();
        let span = tracing::debug_span!("call", command = name, user.id = tracing::field::Empty);
        if let Actor::User(principal) = &call.actor {
            span.record("user.id", tracing::field::display(principal.user));
        }
        let answer = self.inner.call(call);
        Box::pin(
            async move {
                let result = answer.await;
                if let Err(error) = &result
                    && error.is_fault()
                {
                    tracing::error!(error = error as &dyn std::error::Error, "{name} failed: {error}");
                }
                result
            }
            .instrument(span),
        )
    }
}
