use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use super::hindered::{Hindered, Hindrance, PlannedFault};

/// Holds calls back until a test lets them through. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<State>>);

#[derive(Debug, Default)]
struct State {
    closed: bool,
    waiting: usize,
}

/// Counts a call that waits, also when it is dropped while it does.
struct Waiting<'a>(&'a Gate);

impl Gate {
    /// An open gate.
    pub fn new() -> Gate {
        Gate(Arc::new(watch::Sender::default()))
    }

    /// Calls wait from here on.
    pub fn close(&self) {
        self.0.send_modify(|state| state.closed = true);
    }

    /// Calls that wait go on, and later ones don't wait.
    pub fn open(&self) {
        self.0.send_modify(|state| state.closed = false);
    }

    /// Until so many calls wait.
    pub async fn waiting(&self, calls: usize) {
        self.until(|state| state.waiting == calls).await;
    }

    async fn pass(&self) {
        self.0.send_modify(|state| state.waiting += 1);
        let _waiting = Waiting(self);
        self.until(|state| !state.closed).await;
    }

    async fn until(&self, condition: impl FnMut(&State) -> bool) {
        let mut states = self.0.subscribe();
        states
            .wait_for(condition)
            .await
            .expect("the gate holds the sender");
    }
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::new()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.waiting -= 1);
    }
}

impl Hindrance for Gate {
    async fn around<T: Send, E: Send>(
        &self,
        call: impl Future<Output = Result<T, E>> + Send,
        _failed: fn(PlannedFault) -> E,
    ) -> Result<T, E> {
        self.pass().await;
        call.await
    }
}

/// A port whose calls pass a gate before they begin.
pub type Slow<P> = Hindered<P, Gate>;

impl<P> Slow<P> {
    /// The port behind an open gate.
    pub fn new(inner: P) -> (Slow<P>, Gate) {
        let gate = Gate::new();
        let slow = Hindered {
            inner,
            hindrance: gate.clone(),
        };
        (slow, gate)
    }
}
