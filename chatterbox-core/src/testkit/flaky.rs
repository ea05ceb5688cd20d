use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use super::hindered::{Hindered, Hindrance, PlannedFault};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It goes through.
    None,
    /// It fails and has done nothing.
    Refused,
    /// It is done, but its answer is an error.
    AnswerLost,
}

/// The faults of the next calls.
#[derive(Debug, Default)]
pub struct Plan(Mutex<VecDeque<Fault>>);

impl Hindrance for Plan {
    async fn around<T: Send, E: Send>(
        &self,
        call: impl Future<Output = Result<T, E>> + Send,
        failed: fn(PlannedFault) -> E,
    ) -> Result<T, E> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match next.unwrap_or(Fault::None) {
            Fault::None => call.await,
            Fault::Refused => Err(failed(PlannedFault)),
            Fault::AnswerLost => {
                call.await?;
                Err(failed(PlannedFault))
            }
        }
    }
}

/// A port whose calls meet the planned faults one after another, and go through when none is left.
pub type Flaky<P> = Hindered<P, Plan>;

impl<P> Flaky<P> {
    /// The port, with no fault planned.
    pub fn new(inner: P) -> Flaky<P> {
        Hindered {
            inner,
            hindrance: Plan::default(),
        }
    }

    /// Plans the next faults, behind those planned before.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut plan = self.hindrance.0.lock().unwrap_or_else(PoisonError::into_inner);
        plan.extend(faults);
    }

    /// The port behind, without faults.
    pub fn inner(&self) -> &P {
        &self.inner
    }
}
