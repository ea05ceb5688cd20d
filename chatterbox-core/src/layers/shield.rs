use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::{CallFuture, CallService};
use crate::app::{Call, Outcome, Reply};
use crate::error::Error;
use crate::tasks::Tasks;

/// Runs calls of several steps as tasks of their own: a caller that stops waiting doesn't tear them in half.
#[derive(Debug, Clone)]
pub struct ShieldLayer {
    tasks: Tasks,
}

impl ShieldLayer {
    /// Spawns through `tasks`.
    pub fn new(tasks: Tasks) -> ShieldLayer {
        ShieldLayer { tasks }
    }
}

impl<S> Layer<S> for ShieldLayer {
    type Service = Shield<S>;

    fn layer(&self, inner: S) -> Shield<S> {
        Shield {
            inner,
            tasks: self.tasks.clone(),
        }
    }
}

/// See [`ShieldLayer`].
#[derive(Debug, Clone)]
pub struct Shield<S> {
    inner: S,
    tasks: Tasks,
}

impl<S: CallService> Service<Call> for Shield<S> {
    type Response = Outcome<Reply>;
    type Error = Error;
    type Future = CallFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, call: Call) -> CallFuture {
        let several_steps = call.command.takes_several_steps();
        let answer = self.inner.call(call);
        if !several_steps {
            return answer;
        }
        let task = self.tasks.spawn(answer);
        Box::pin(async move {
            task.await
                .unwrap_or_else(|error| Err(Error::Internal(Box::new(error))))
        })
    }
}
