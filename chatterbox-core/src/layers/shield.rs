use super::{Around, CallFuture, CallService};
use crate::app::Call;
use crate::error::Error;
use crate::tasks::Tasks;

/// Runs calls of several steps as tasks of their own: a caller that stops waiting doesn't tear them in half.
#[derive(Debug, Clone)]
pub struct Shield {
    tasks: Tasks,
}

impl Shield {
    /// Spawns through `tasks`.
    pub fn new(tasks: Tasks) -> Shield {
        Shield { tasks }
    }
}

impl Around for Shield {
    fn around<S: CallService>(&self, inner: &mut S, call: Call) -> CallFuture {
        let several_steps = call.command.takes_several_steps();
        let answer = inner.call(call);
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
