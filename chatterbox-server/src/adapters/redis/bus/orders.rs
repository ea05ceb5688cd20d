//! Wishes on their way to the listener.
//!
//! ```text
//! subscribe ─▶ up to 16,384 that wait, each with its caller ─▶ listener
//!        └───▶ beyond that: what is wished for last of each channel, its caller turned down ─▶ when all others are taken
//! ```
//! So none is forgotten, and what is remembered is bounded by the channels there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::super::calls::Failure;

/// Wishes that wait with their callers.
const ORDERS_MAX: usize = 16_384;

/// What a node wants of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Hear,
    Ignore,
}

/// A wish and who waits for it to be so.
pub(super) struct Order {
    pub(super) channel: String,
    pub(super) wish: Wish,
    pub(super) done: oneshot::Sender<Result<(), Failure>>,
}

type Spilled = Arc<Mutex<HashMap<String, Wish>>>;

/// Where orders go in.
pub(super) struct Counter {
    orders: mpsc::Sender<Order>,
    spilled: Spilled,
}

/// Where the listener takes them.
pub(super) struct Orders {
    incoming: mpsc::Receiver<Order>,
    spilled: Spilled,
}

pub(super) fn orders() -> (Counter, Orders) {
    orders_of(ORDERS_MAX)
}

fn orders_of(max: usize) -> (Counter, Orders) {
    let (orders, incoming) = mpsc::channel(max);
    let spilled = Spilled::default();
    let counter = Counter {
        orders,
        spilled: spilled.clone(),
    };
    (counter, Orders { incoming, spilled })
}

impl Counter {
    /// Whether the listener answers; the wish is remembered in either case, unless there is no listener any more.
    pub(super) fn take(&self, order: Order) -> bool {
        // Held until the order has its place: behind all that came before it.
        let mut spilled = self.spilled.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = if spilled.is_empty() {
            match self.orders.try_send(order) {
                Ok(()) => return true,
                Err(mpsc::error::TrySendError::Full(order)) => order,
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
            }
        } else {
            order
        };
        spilled.insert(refused.channel, refused.wish);
        false
    }
}

impl Orders {
    pub(super) async fn recv(&mut self) -> Option<Order> {
        self.incoming.recv().await
    }

    pub(super) async fn recv_many(&mut self, batch: &mut Vec<Order>, limit: usize) -> usize {
        self.incoming.recv_many(batch, limit).await
    }

    /// Nobody orders any more.
    pub(super) fn is_over(&self) -> bool {
        self.incoming.is_closed() && self.incoming.is_empty()
    }

    /// Wishes whose callers were turned down, once all that came before them are taken.
    pub(super) fn spilled(&mut self) -> HashMap<String, Wish> {
        let mut spilled = self.spilled.lock().unwrap_or_else(PoisonError::into_inner);
        if self.incoming.is_empty() {
            std::mem::take(&mut *spilled)
        } else {
            HashMap::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(channel: &str, wish: Wish) -> Order {
        Order {
            channel: channel.to_owned(),
            wish,
            done: oneshot::channel().0,
        }
    }

    /// However they come, the last word about a channel is the last that the listener hears.
    #[tokio::test]
    async fn what_finds_no_place_is_remembered_behind_the_rest() {
        let (counter, mut orders) = orders_of(2);
        let taken: Vec<bool> = [
            ("a", Wish::Hear),
            ("b", Wish::Hear),
            ("a", Wish::Ignore),
            ("c", Wish::Ignore),
            ("c", Wish::Hear),
        ]
        .into_iter()
        .map(|(channel, wish)| counter.take(order(channel, wish)))
        .collect();
        assert_eq!(taken, [true, true, false, false, false]);
        assert_eq!(orders.spilled(), HashMap::new(), "others come first");
        assert_eq!(orders.recv().await.unwrap().channel, "a");
        // There is room, but not in front of those who wait for longer.
        assert!(!counter.take(order("b", Wish::Ignore)));
        assert_eq!(orders.recv().await.unwrap().channel, "b");
        let expected = [("a", Wish::Ignore), ("b", Wish::Ignore), ("c", Wish::Hear)];
        let expected: HashMap<String, Wish> = expected.map(|(name, wish)| (name.to_owned(), wish)).into();
        assert_eq!(orders.spilled(), expected);
        assert!(counter.take(order("d", Wish::Hear)));
    }
}
