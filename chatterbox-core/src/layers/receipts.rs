use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use super::Carry;
use crate::app::{Effect, ReadReceipt};
use crate::clock::Timestamp;
use crate::domain::entry::Seq;
use crate::engine::chat::encode;
use crate::hub::{Channel, Delivery, Hub};
use crate::ids::{ConversationId, UserId};
use crate::log::{Outgoing, Reach};
use crate::tasks::Tasks;

/// How often others hear how far one user has read one conversation.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// Receipts that are minded so that the next one waits; above, they are told at once.
const MINDED_MAX: usize = 10_000;

/// Tells who has read how far (S-108): the first receipt at once, those that follow within a second as one.
#[derive(Clone)]
pub struct Receipts(Arc<Inner>);

struct Inner {
    hub: Arc<Hub<Channel>>,
    outgoing: Option<Outgoing>,
    tasks: Tasks,
    /// What was told within the last second, and what has come since.
    minded: Mutex<HashMap<(ConversationId, UserId), Option<ReadReceipt>>>,
}

/// `messages-read`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessagesRead {
    conversation_id: ConversationId,
    user_id: UserId,
    read_seq: Seq,
    read_at: Timestamp,
}

impl Receipts {
    /// To the sockets in `hub` and to other nodes through `outgoing`.
    pub fn new(hub: Arc<Hub<Channel>>, outgoing: Option<Outgoing>, tasks: Tasks) -> Receipts {
        Receipts(Arc::new(Inner {
            hub,
            outgoing,
            tasks,
            minded: Mutex::default(),
        }))
    }

    fn take(&self, receipt: &ReadReceipt) {
        let key = (receipt.conversation, receipt.user);
        {
            let mut minded = self.0.lock();
            let is_full = minded.len() >= MINDED_MAX;
            match minded.get_mut(&key) {
                Some(waiting) => {
                    *waiting = Some(receipt.clone());
                    return;
                }
                None if is_full => {}
                None => {
                    minded.insert(key, None);
                    let inner = self.0.clone();
                    self.0
                        .tasks
                        .spawn_until_stopped(async move { inner.follow(key).await });
                }
            }
        }
        self.0.tell(receipt);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<(ConversationId, UserId), Option<ReadReceipt>>> {
        self.minded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what has come every second, until nothing has.
    async fn follow(&self, key: (ConversationId, UserId)) {
        loop {
            tokio::time::sleep(TOLD_EVERY).await;
            let latest = {
                let mut minded = self.lock();
                let latest = minded.get_mut(&key).and_then(Option::take);
                if latest.is_none() {
                    minded.remove(&key);
                }
                latest
            };
            match latest {
                Some(receipt) => self.tell(&receipt),
                None => return,
            }
        }
    }

    fn tell(&self, receipt: &ReadReceipt) {
        let payload = MessagesRead {
            conversation_id: receipt.conversation,
            user_id: receipt.user,
            read_seq: receipt.seq,
            read_at: receipt.at,
        };
        let packet = encode::event("messages-read", &payload);
        if receipt.to.watchers {
            let channel = Channel::Conversation(receipt.conversation);
            self.hub.publish(&channel, &packet, Delivery::Droppable, None);
            if let Some(outgoing) = &self.outgoing {
                outgoing.signal(receipt.conversation, Reach::Watchers, packet.clone());
            }
        }
        for user in &receipt.to.users {
            self.hub
                .publish(&Channel::User(*user), &packet, Delivery::Droppable, None);
            if let Some(outgoing) = &self.outgoing {
                outgoing.tell(*user, packet.clone());
            }
        }
    }
}

#[async_trait]
impl Carry for Receipts {
    async fn carry(&self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Read(receipt) = effect {
                self.take(receipt);
            }
        }
    }
}
