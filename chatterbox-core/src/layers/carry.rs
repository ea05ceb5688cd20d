use async_trait::async_trait;

use super::{Around, CallFuture, CallService};
use crate::app::{Call, Effect};

/// Carries out the effects of one kind: those of every call that succeeded, before the caller gets its answer. What is
/// decided is done: a failure here is logged, not told to the caller.
#[async_trait]
pub trait Carry: Clone + Send + Sync + 'static {
    /// Carries out those of the effects that are its own, in order.
    async fn carry(&self, effects: &[Effect]);
}

impl<C: Carry> Around for C {
    fn around<S: CallService>(&self, inner: &mut S, call: Call) -> CallFuture {
        let answer = inner.call(call);
        let carrier = self.clone();
        Box::pin(async move {
            let outcome = answer.await?;
            if !outcome.effects.is_empty() {
                carrier.carry(&outcome.effects).await;
            }
            Ok(outcome)
        })
    }
}
