use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::{CallFuture, CallService};
use crate::app::{Call, Outcome, Reply};
use crate::error::Error;

/// What a layer does around every call; the frame that tower wants of it is the same for all, [`AroundLayer`].
pub trait Around: Clone + Send + Sync + 'static {
    /// Answers the call with the help of `inner`.
    fn around<S: CallService>(&self, inner: &mut S, call: Call) -> CallFuture;
}

/// Puts something around every call.
#[derive(Debug, Clone, Copy)]
pub struct AroundLayer<A>(pub A);

impl<S, A: Around> Layer<S> for AroundLayer<A> {
    type Service = Surrounded<S, A>;

    fn layer(&self, inner: S) -> Surrounded<S, A> {
        Surrounded {
            inner,
            around: self.0.clone(),
        }
    }
}

/// See [`AroundLayer`].
#[derive(Debug, Clone)]
pub struct Surrounded<S, A> {
    inner: S,
    around: A,
}

impl<S: CallService, A: Around> Service<Call> for Surrounded<S, A> {
    type Response = Outcome<Reply>;
    type Error = Error;
    type Future = CallFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, call: Call) -> CallFuture {
        self.around.around(&mut self.inner, call)
    }
}
