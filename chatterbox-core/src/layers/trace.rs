use tracing::Instrument;

use super::{Around, CallFuture, CallService};
use crate::app::{Actor, Call};

/// Puts a span around every call and logs the server's own faults, once, where they leave the stack.
#[derive(Debug, Clone, Copy)]
pub struct Trace;

impl Around for Trace {
    fn around<S: CallService>(&self, inner: &mut S, call: Call) -> CallFuture {
        let name = call.command.name();
        let span = tracing::debug_span!("call", command = name, user.id = tracing::field::Empty);
        if let Actor::User(principal) = &call.actor {
            span.record("user.id", tracing::field::display(principal.user));
        }
        let answer = inner.call(call);
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
