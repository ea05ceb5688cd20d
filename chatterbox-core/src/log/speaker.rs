//! What goes out to the bus: in order, all that waits in one go, and never waited for by those who said it.
//!
//! What did not get out is in the log. The other nodes don't know that, so they are asked to look, as soon as the bus
//! takes that word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::delivery::Deliveries;
use super::envelope::Envelope;
use super::relay::{EVERY_NODE, Subject};
use crate::ports::bus::Bus;

/// Orders carried out in one go.
const AT_ONCE: usize = 256;
/// How often the word that something was missed is tried.
const ADMIT_EVERY: Duration = Duration::from_secs(1);

pub(super) enum Order {
    Publish { channel: String, envelope: Envelope },
    StopListening { subject: Subject },
}

pub(super) struct Speaker {
    bus: Arc<dyn Bus>,
    orders: mpsc::Receiver<Order>,
    /// Something did not get out, and the others don't know yet.
    missed: Arc<AtomicBool>,
    deliveries: Arc<Deliveries>,
}

impl Speaker {
    pub(super) fn new(
        bus: Arc<dyn Bus>,
        orders: mpsc::Receiver<Order>,
        missed: Arc<AtomicBool>,
        deliveries: Arc<Deliveries>,
    ) -> Speaker {
        Speaker {
            bus,
            orders,
            missed,
            deliveries,
        }
    }

    pub(super) async fn run(mut self) {
        let mut batch = Vec::new();
        let mut admit_at = Instant::now();
        loop {
            tokio::select! {
                count = self.orders.recv_many(&mut batch, AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    self.carry_out(&mut batch).await;
                }
                () = tokio::time::sleep_until(admit_at), if self.missed.load(Ordering::Acquire) => {
                    self.admit().await;
                    admit_at = Instant::now() + ADMIT_EVERY;
                }
            }
        }
    }

    async fn carry_out(&mut self, batch: &mut Vec<Order>) {
        let mut messages = Vec::new();
        let mut unneeded = Vec::new();
        for order in batch.drain(..) {
            match order {
                Order::Publish { channel, envelope } => messages.push((channel, envelope.encode())),
                Order::StopListening { subject } => unneeded.push(subject),
            }
        }
        if !messages.is_empty()
            && let Err(error) = self.bus.publish_all(messages).await
        {
            self.missed.store(true, Ordering::Release);
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the bus did not take everything; the log heals"
            );
        }
        for subject in unneeded {
            self.stop_listening(subject).await;
        }
    }

    /// Somebody may need it again since this was ordered, and may while it is done.
    async fn stop_listening(&self, subject: Subject) {
        if self.deliveries.needs(subject) {
            return;
        }
        if let Err(error) = self.bus.unsubscribe(&subject.channel()).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a channel of the bus is listened to without need"
            );
        }
        if self.deliveries.needs(subject) {
            self.deliveries.listen_again(subject).await;
        }
    }

    async fn admit(&self) {
        self.missed.store(false, Ordering::Release);
        if self
            .bus
            .publish(EVERY_NODE, Envelope::Missed.encode())
            .await
            .is_err()
        {
            self.missed.store(true, Ordering::Release);
        }
    }
}
