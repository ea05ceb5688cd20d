use std::sync::Arc;

use chatterbox_core::ports::bus::BusEvent;
use tokio::sync::mpsc;

use super::super::counters::RedisCounters;

/// Events that may wait for the node.
const WAITING_MAX: usize = 1024;

/// What came in and waits for the node. One that doesn't keep up loses messages and hears [`BusEvent::Reconnected`]
/// behind those that did reach it: the log heals, memory doesn't grow.
pub(super) struct Inbox {
    events: mpsc::Sender<BusEvent>,
    /// Something was lost that is not told yet.
    owes_word: bool,
    counters: Arc<RedisCounters>,
}

/// An inbox and the end that the node reads.
pub(super) fn inbox(counters: Arc<RedisCounters>) -> (Inbox, mpsc::Receiver<BusEvent>) {
    let (events, receiver) = mpsc::channel(WAITING_MAX);
    let inbox = Inbox {
        events,
        owes_word: false,
        counters,
    };
    (inbox, receiver)
}

impl Inbox {
    /// Never waits.
    pub(super) fn put(&mut self, event: BusEvent) {
        self.settle();
        match event {
            // Told already by the word that is owed.
            BusEvent::Reconnected if self.owes_word => {}
            BusEvent::Message { .. } if self.owes_word => self.counters.bus_message_dropped(),
            event @ (BusEvent::Message { .. } | BusEvent::Disconnected | BusEvent::Reconnected) => {
                let is_message = matches!(event, BusEvent::Message { .. });
                if self.events.try_send(event).is_err() {
                    self.owes_word = true;
                    if is_message {
                        self.counters.bus_message_dropped();
                    }
                }
            }
        }
    }

    /// Tells that something was lost, as soon as there is room; whether that is done.
    pub(super) fn settle(&mut self) -> bool {
        if self.owes_word {
            self.owes_word = self.events.try_send(BusEvent::Reconnected).is_err();
        }
        !self.owes_word
    }

    /// Until there may be room for the word that is owed; for ever if none is.
    pub(super) async fn room(&self) {
        if !self.owes_word {
            return std::future::pending().await;
        }
        match self.events.reserve().await {
            Ok(_room) => {}
            // Nobody reads any more.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn a_node_that_does_not_keep_up_is_told_so_once() {
        let counters = Arc::new(RedisCounters::default());
        let (mut inbox, mut events) = inbox(counters.clone());
        let message = || BusEvent::Message {
            channel: "news".to_owned(),
            payload: Bytes::from_static(b"x"),
        };
        for round in 1..=2 {
            for _ in 0..WAITING_MAX + 10 {
                inbox.put(message());
            }
            inbox.put(BusEvent::Reconnected);
            for _ in 0..WAITING_MAX {
                assert_eq!(events.try_recv().unwrap(), message(), "round {round}");
            }
            inbox.room().await;
            assert!(inbox.settle());
            assert_eq!(events.try_recv().unwrap(), BusEvent::Reconnected, "round {round}");
            assert!(events.try_recv().is_err());
            assert_eq!(counters.read().bus_messages_dropped, round * 10);
        }
    }
}
