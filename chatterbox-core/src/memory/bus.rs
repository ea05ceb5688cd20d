use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{AtItsBound, lock};
use crate::ports::bus::{Bus, BusError, BusEvent, PAYLOAD_BYTES_MAX};

/// Messages that may wait for a node.
const WAITING_MAX: usize = 1024;

/// A bus between the nodes of one process.
///
/// A node that does not keep up loses messages and hears [`BusEvent::Reconnected`] behind those that did reach it.
#[derive(Debug, Clone, Default)]
pub struct MemoryBus {
    hub: Arc<Mutex<Hub>>,
}

#[derive(Debug, Default)]
struct Hub {
    next_node: u64,
    nodes: HashMap<u64, Inbox>,
    subscribers: HashMap<String, Vec<u64>>,
}

#[derive(Debug)]
struct Inbox {
    events: mpsc::Sender<BusEvent>,
    /// Something was lost, and `Reconnected` waits in the last slot.
    lossy: bool,
}

/// One node's end of a [`MemoryBus`]; dropping it takes the node off the bus.
#[derive(Debug)]
pub struct MemoryBusNode {
    number: u64,
    hub: Arc<Mutex<Hub>>,
    events: Mutex<Option<mpsc::Receiver<BusEvent>>>,
}

impl MemoryBus {
    /// A bus without nodes.
    pub fn new() -> MemoryBus {
        MemoryBus::default()
    }

    /// A new node on the bus.
    pub fn node(&self) -> Arc<MemoryBusNode> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX + 1);
        let mut hub = lock(&self.hub);
        let number = hub.next_node;
        hub.next_node += 1;
        hub.nodes.insert(
            number,
            Inbox {
                events: sender,
                lossy: false,
            },
        );
        Arc::new(MemoryBusNode {
            number,
            hub: Arc::clone(&self.hub),
            events: Mutex::new(Some(receiver)),
        })
    }
}

impl Inbox {
    /// The last slot is never given to a message, so there is always room to say that one was lost.
    fn deliver(&mut self, event: BusEvent) {
        if self.events.capacity() > 1 {
            self.lossy = false;
            // Fails only when the receiver is gone: nobody is left to miss it.
            let _ = self.events.try_send(event);
        } else {
            self.lose();
        }
    }

    fn lose(&mut self) {
        if !self.lossy {
            self.lossy = self.events.try_send(BusEvent::Reconnected).is_ok() && self.events.capacity() == 0;
        }
    }
}

#[async_trait]
impl Bus for MemoryBusNode {
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<(), BusError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(BusError(Box::new(AtItsBound {
                what: "bus message",
                entries: PAYLOAD_BYTES_MAX,
            })));
        }
        let mut hub = lock(&self.hub);
        let Hub {
            nodes, subscribers, ..
        } = &mut *hub;
        for number in subscribers.get(channel).into_iter().flatten() {
            if *number != self.number
                && let Some(inbox) = nodes.get_mut(number)
            {
                inbox.deliver(BusEvent::Message {
                    channel: channel.to_owned(),
                    payload: payload.clone(),
                });
            }
        }
        Ok(())
    }

    async fn subscribe(&self, channel: &str) -> Result<(), BusError> {
        let mut hub = lock(&self.hub);
        let subscribers = hub.subscribers.entry(channel.to_owned()).or_default();
        if !subscribers.contains(&self.number) {
            subscribers.push(self.number);
        }
        Ok(())
    }

    async fn unsubscribe(&self, channel: &str) -> Result<(), BusError> {
        let mut hub = lock(&self.hub);
        if let Some(subscribers) = hub.subscribers.get_mut(channel) {
            subscribers.retain(|number| *number != self.number);
            if subscribers.is_empty() {
                hub.subscribers.remove(channel);
            }
        }
        Ok(())
    }

    fn events(&self) -> Option<mpsc::Receiver<BusEvent>> {
        lock(&self.events).take()
    }
}

impl Drop for MemoryBusNode {
    fn drop(&mut self) {
        let mut hub = lock(&self.hub);
        hub.nodes.remove(&self.number);
        hub.subscribers.retain(|_, numbers| {
            numbers.retain(|number| *number != self.number);
            !numbers.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_does_not_keep_up_is_told_so_once() {
        let bus = MemoryBus::new();
        let (from, to) = (bus.node(), bus.node());
        let mut events = to.events().unwrap();
        to.subscribe("news").await.unwrap();
        for round in 0..2 {
            for _ in 0..WAITING_MAX + 10 {
                from.publish("news", Bytes::from_static(b"x")).await.unwrap();
            }
            for _ in 0..WAITING_MAX {
                assert!(matches!(events.try_recv().unwrap(), BusEvent::Message { .. }));
            }
            assert_eq!(events.try_recv().unwrap(), BusEvent::Reconnected, "round {round}");
            assert!(events.try_recv().is_err());
        }
    }
}
