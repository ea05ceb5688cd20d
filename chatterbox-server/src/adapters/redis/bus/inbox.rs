use std::sync::Arc;

use chatterbox_core::ports::bus::BusEvent;
use tokio::sync::mpsc;

use super::super::counters::RedisCounters;

/// Events that may wait for the node.
const WAITING_MAX: usize = 1024;

/// What came in and waits for the node. One that doesn't keep up loses messages and hears [`BusEvent::Reconnected`]
/// behind those that did reach it: the log heals, memory doesn't grow. How the connection is reaches it in any case, as it
/// was last.
pub(super) struct Inbox {
    events: mpsc::Sender<BusEvent>,
    /// What could not be told yet, and nothing may be told before.
    owed: Option<Owed>,
    counters: Arc<RedisCounters>,
}

/// A word that found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    /// Something was lost.
    Gap,
    /// Nothing comes in any more.
    Away,
}

impl Owed {
    fn event(self) -> BusEvent {
        match self {
            Owed::Gap => BusEvent::Reconnected,
            Owed::Away => BusEvent::Disconnected,
        }
    }
}

/// An inbox and the end that the node reads.
pub(super) fn inbox(counters: Arc<RedisCounters>) -> (Inbox, mpsc::Receiver<BusEvent>) {
    let (events, receiver) = mpsc::channel(WAITING_MAX);
    let inbox = Inbox {
        events,
        owed: None,
        counters,
    };
    (inbox, receiver)
}

impl Inbox {
    /// Never waits.
    pub(super) fn put(&mut self, event: BusEvent) {
        self.settle();
        if self.owed.is_none() {
            let Err(refused) = self.events.try_send(event) else {
                return;
            };
            self.owe(&refused.into_inner());
        } else {
            self.owe(&event);
        }
    }

    /// Remembers what `event` means to a node that can't hear it now. The last word about the connection counts.
    fn owe(&mut self, event: &BusEvent) {
        self.owed = Some(match (event, self.owed) {
            (BusEvent::Message { .. }, owed) => {
                self.counters.bus_message_dropped();
                owed.unwrap_or(Owed::Gap)
            }
            (BusEvent::Disconnected, _) => Owed::Away,
            (BusEvent::Reconnected, _) => Owed::Gap,
        });
    }

    /// Tells what is owed, as soon as there is room; whether that is done.
    pub(super) fn settle(&mut self) -> bool {
        if let Some(owed) = self.owed
            && self.events.try_send(owed.event()).is_ok()
        {
            self.owed = None;
        }
        self.owed.is_none()
    }

    /// Until there may be room for the word that is owed; for ever if none is.
    pub(super) async fn room(&self) {
        if self.owed.is_none() {
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
    /// A node that did not keep up when the connection was lost: it is alone, and thought to have missed a little.
    #[tokio::test]
    async fn a_node_that_does_not_keep_up_learns_that_it_is_alone() {
        let message = || BusEvent::Message {
            channel: "news".to_owned(),
            payload: Bytes::from_static(b"x"),
        };
        for (told, expected) in [
            (&[BusEvent::Disconnected][..], BusEvent::Disconnected),
            (
                &[BusEvent::Disconnected, BusEvent::Reconnected],
                BusEvent::Reconnected,
            ),
            (
                &[
                    BusEvent::Disconnected,
                    BusEvent::Reconnected,
                    BusEvent::Disconnected,
                ],
                BusEvent::Disconnected,
            ),
        ] {
            for extra in [0, 1] {
                let (mut inbox, mut events) = inbox(Arc::default());
                for _ in 0..WAITING_MAX + extra {
                    inbox.put(message());
                }
                for event in told {
                    inbox.put(event.clone());
                }
                for _ in 0..WAITING_MAX {
                    assert_eq!(events.try_recv().unwrap(), message());
                }
                inbox.room().await;
                assert!(inbox.settle());
                assert_eq!(events.try_recv().unwrap(), expected, "{told:?}, {extra} lost");
                assert!(events.try_recv().is_err());
            }
        }
    }
}
