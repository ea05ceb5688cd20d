use std::task::{Context, Poll};

use async_trait::async_trait;
use tower::{Layer, Service};

use super::{CallFuture, CallService};
use crate::app::{Call, Effect, Outcome, Reply};
use crate::error::Error;

/// Carries out the effects of one kind. What is decided is done: a failure here is logged, not told to the caller.
#[async_trait]
pub trait Carry: Clone + Send + Sync + 'static {
    /// Carries out those of the effects that are its own, in order.
    async fn carry(&self, effects: &[Effect]);
}

/// Hands the effects of every call that succeeded to a [`Carry`], before the caller gets its answer.
#[derive(Debug, Clone)]
pub struct CarryLayer<C>(pub C);

impl<S, C: Carry> Layer<S> for CarryLayer<C> {
    type Service = Carried<S, C>;

    fn layer(&self, inner: S) -> Carried<S, C> {
        Carried {
            inner,
            carrier: self.0.clone(),
        }
    }
}

/// See [`CarryLayer`].
#[derive(Debug, Clone)]
pub struct Carried<S, C> {
    inner: S,
    carrier: C,
}

impl<S: CallService, C: Carry> Service<Call> for Carried<S, C> {
    type Response = Outcome<Reply>;
    type Error = Error;
    type Future = CallFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, call: Call) -> CallFuture {
        let answer = self.inner.call(call);
        let carrier = self.carrier.clone();
        Box::pin(async move {
            let outcome = answer.await?;
            if !outcome.effects.is_empty() {
                carrier.carry(&outcome.effects).await;
            }
            Ok(outcome)
        })
    }
}
