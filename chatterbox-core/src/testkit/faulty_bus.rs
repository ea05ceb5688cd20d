use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::ports::bus::{Bus, BusError, BusEvent};

/// A node's bus that loses, holds back, doubles and reorders what the node publishes, on command.
pub struct FaultyBus {
    inner: Arc<dyn Bus>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    drop_next: usize,
    double_next: usize,
    holding: bool,
    held: Vec<(String, Bytes)>,
}

impl FaultyBus {
    /// The bus, faultless so far.
    pub fn new(inner: Arc<dyn Bus>) -> FaultyBus {
        FaultyBus {
            inner,
            state: Mutex::default(),
        }
    }

    /// The next so many messages get lost.
    pub fn drop_next(&self, messages: usize) {
        self.with(|state| state.drop_next = messages);
    }

    /// The next so many messages are sent twice.
    pub fn double_next(&self, messages: usize) {
        self.with(|state| state.double_next = messages);
    }

    /// Messages wait from here on.
    pub fn hold(&self) {
        self.with(|state| state.holding = true);
    }

    /// Sends what waits in the order it was published, and no longer holds back.
    pub async fn release(&self) -> Result<(), BusError> {
        let held = self.stop_holding();
        self.send(held).await
    }

    /// Sends what waits with the newest first, and no longer holds back.
    pub async fn release_reversed(&self) -> Result<(), BusError> {
        let mut held = self.stop_holding();
        held.reverse();
        self.send(held).await
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stop_holding(&self) -> Vec<(String, Bytes)> {
        self.with(|state| {
            state.holding = false;
            std::mem::take(&mut state.held)
        })
    }

    async fn send(&self, messages: Vec<(String, Bytes)>) -> Result<(), BusError> {
        for (channel, payload) in messages {
            self.inner.publish(&channel, payload).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Bus for FaultyBus {
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<(), BusError> {
        let message = (channel.to_owned(), payload);
        let now = self.with(|state| {
            if state.drop_next > 0 {
                state.drop_next -= 1;
                return Vec::new();
            }
            let mut copies = vec![message];
            if state.double_next > 0 {
                state.double_next -= 1;
                copies.push(copies[0].clone());
            }
            if state.holding {
                state.held.append(&mut copies);
            }
            copies
        });
        self.send(now).await
    }

    async fn subscribe(&self, channel: &str) -> Result<(), BusError> {
        self.inner.subscribe(channel).await
    }

    async fn unsubscribe(&self, channel: &str) -> Result<(), BusError> {
        self.inner.unsubscribe(channel).await
    }

    fn events(&self) -> Option<mpsc::Receiver<BusEvent>> {
        self.inner.events()
    }
}
