//! In order and without gaps: what each watched conversation of this node has delivered last.
//!
//! The next entry in line is delivered, an older one dropped. One further on is parked, for the bus may be out of
//! order; if the gap is still there after 50 ms it is read from the log. Heads are compared now and then as well, so
//! that an entry whose announcement got lost for good is delivered all the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::announce::{Announced, Announcement, Crossing, Encoder};
use super::relay::Outgoing;
use crate::domain::conversation::Conversation;
use crate::domain::entry::Seq;
use crate::engine::Packet;
use crate::error::Error;
use crate::hub::{Channel, Delivery, Hub, Link};
use crate::ids::{ConversationId, UserId};
use crate::ports::audience::Audience;
use crate::ports::storage::Stores;
use crate::tasks::Tasks;

/// Entries parked per conversation, by number and size; above, all are dropped and read from the log.
const PARKED_MAX: usize = 256;
const PARKED_BYTES_MAX: usize = 1 << 20;
/// How long a gap may last before it is read from the log.
const GAP_PATIENCE: Duration = Duration::from_millis(50);
/// Gaps read at a time on a node.
const READS_AT_ONCE: usize = 16;
/// Entries read at a time.
const READ_LIMIT: usize = 1000;
/// Heads compared in one question to the store.
const HEADS_AT_ONCE: usize = 500;

/// The watched conversations of this node.
pub struct Deliveries {
    hub: Arc<Hub<Channel>>,
    stores: Stores,
    encoder: Encoder,
    outgoing: Option<Outgoing>,
    tasks: Tasks,
    reads: Semaphore,
    watched: Mutex<HashMap<ConversationId, Arc<Watched>>>,
}

struct Watched {
    conversation: Conversation,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// The last entry delivered; unknown until the head was read.
    last: Option<Seq>,
    parked: BTreeMap<Seq, Announced>,
    parked_bytes: usize,
    /// Whether somebody is about to read the gap.
    healing: bool,
    /// Nobody watches any more; a newcomer begins anew.
    over: bool,
}

impl Deliveries {
    /// To the watchers in `hub`. `outgoing` is told which conversations are watched here.
    pub fn new(
        hub: Arc<Hub<Channel>>,
        stores: Stores,
        encoder: Encoder,
        outgoing: Option<Outgoing>,
        tasks: Tasks,
    ) -> Arc<Deliveries> {
        let reads = Semaphore::new(READS_AT_ONCE);
        Arc::new(Deliveries {
            hub,
            stores,
            encoder,
            outgoing,
            tasks,
            reads,
            watched: Mutex::default(),
        })
    }

    /// Whether a connection of this node watches the conversation.
    pub(super) fn is_watched(&self, conversation: ConversationId) -> bool {
        lock(&self.watched).contains_key(&conversation)
    }

    /// Lets the connection have every entry above the returned number, in order, each once.
    pub async fn watch(&self, link: &Link, conversation: ConversationId) -> Result<Seq, Error> {
        loop {
            let watched = self.watched(conversation).await?;
            if lock(&watched.progress).last.is_none() {
                self.begin(&watched).await?;
            }
            let progress = lock(&watched.progress);
            if let Some(last) = progress.last
                && !progress.over
            {
                // Nothing is published while the progress is locked, so nothing falls between.
                self.hub.subscribe(link, &Channel::Conversation(conversation));
                return Ok(last);
            }
        }
    }

    /// Ends what [`watch`](Deliveries::watch) began.
    pub fn unwatch(&self, link: &Link, conversation: ConversationId) {
        self.hub.unsubscribe(link, &Channel::Conversation(conversation));
        self.forget_unwatched(conversation);
    }

    /// Ends all subscriptions of a connection, those to users and sessions included.
    pub fn unwatch_all(&self, link: &Link) {
        let topics = self.hub.topics_of(link);
        self.hub.unsubscribe_all(link);
        for topic in topics {
            if let Channel::Conversation(conversation) = topic {
                self.forget_unwatched(conversation);
            }
        }
    }

    /// Hands an announcement to the watchers, or to the shelf until the entries before it have come.
    pub fn deliver(self: &Arc<Self>, announcement: Announcement) {
        let Some(watched) = lock(&self.watched).get(&announcement.conversation).cloned() else {
            return;
        };
        let mut progress = lock(&watched.progress);
        let mut seq = announcement.first;
        for entry in announcement.entries {
            match progress.last {
                Some(last) if seq <= last => {}
                Some(last) if seq == last.next() => self.publish(&mut progress, &watched, seq, &entry),
                Some(_) | None => progress.park(seq, entry),
            }
            seq = seq.next();
        }
        self.publish_parked(&mut progress, &watched);
        if !progress.parked.is_empty() && progress.last.is_some() {
            self.heal_later(&mut progress, &watched);
        }
    }

    /// Compares the heads of all watched conversations with what was delivered, and delivers what is missing.
    pub async fn compare_heads(self: &Arc<Self>) -> Result<(), Error> {
        let all: Vec<Arc<Watched>> = lock(&self.watched).values().cloned().collect();
        // Whoever was removed last left the conversation without watchers.
        for watched in &all {
            self.forget_unwatched(watched.conversation.id);
        }
        for some in all.chunks(HEADS_AT_ONCE) {
            let ids: Vec<ConversationId> = some.iter().map(|watched| watched.conversation.id).collect();
            let heads = self.stores.log.heads(&ids).await?;
            for (watched, head) in some.iter().zip(heads) {
                let is_behind = lock(&watched.progress).last.is_some_and(|last| last < head.seq);
                if is_behind {
                    self.heal(watched).await?;
                }
            }
        }
        Ok(())
    }

    async fn watched(&self, conversation: ConversationId) -> Result<Arc<Watched>, Error> {
        if let Some(watched) = lock(&self.watched).get(&conversation) {
            return Ok(watched.clone());
        }
        let row = self
            .stores
            .conversations
            .get(conversation)
            .await?
            .ok_or(Error::NotFound("conversation"))?;
        if let Some(outgoing) = &self.outgoing {
            // Before the head is read: an entry appended in between is on the bus or in the head.
            outgoing.listen(conversation).await;
        }
        let fresh = Arc::new(Watched {
            conversation: row,
            progress: Mutex::default(),
        });
        Ok(lock(&self.watched).entry(conversation).or_insert(fresh).clone())
    }

    async fn begin(&self, watched: &Watched) -> Result<(), Error> {
        let head = self.stores.log.head(watched.conversation.id).await?;
        let mut progress = lock(&watched.progress);
        if progress.last.is_none() {
            progress.last = Some(head.seq);
            self.publish_parked(&mut progress, watched);
        }
        Ok(())
    }

    fn forget_unwatched(&self, conversation: ConversationId) {
        let mut all = lock(&self.watched);
        let Some(watched) = all.get(&conversation) else {
            return;
        };
        let mut progress = lock(&watched.progress);
        if self.hub.watchers(&Channel::Conversation(conversation)) > 0 {
            return;
        }
        progress.over = true;
        drop(progress);
        all.remove(&conversation);
        drop(all);
        if let Some(outgoing) = &self.outgoing {
            outgoing.stop_listening(conversation);
        }
    }

    fn publish(&self, progress: &mut Progress, watched: &Watched, seq: Seq, entry: &Announced) {
        let topic = Channel::Conversation(watched.conversation.id);
        if let Some(Crossing::In(user)) = entry.crossing {
            for link in self.links_of(user) {
                self.hub.subscribe(&link, &topic);
            }
        }
        self.hub.publish(&topic, &entry.packet, Delivery::Reliable, None);
        if let Some(Crossing::Out(user)) = entry.crossing {
            for link in self.links_of(user) {
                self.hub.unsubscribe(&link, &topic);
            }
        }
        progress.last = Some(seq);
    }

    fn links_of(&self, user: UserId) -> Vec<Link> {
        self.hub
            .with_topic(&Channel::User(user), |topic| topic.links().to_vec())
    }

    /// Publishes what follows without a gap, and lets go of what is old.
    fn publish_parked(&self, progress: &mut Progress, watched: &Watched) {
        while let (Some(last), Some((seq, entry))) = (progress.last, progress.first_parked()) {
            match seq {
                seq if seq <= last => progress.unpark(),
                seq if seq == last.next() => {
                    progress.unpark();
                    self.publish(progress, watched, seq, &entry);
                }
                _ => return,
            }
        }
    }

    fn heal_later(self: &Arc<Self>, progress: &mut Progress, watched: &Arc<Watched>) {
        if std::mem::replace(&mut progress.healing, true) {
            return;
        }
        let (deliveries, watched) = (self.clone(), watched.clone());
        self.tasks.spawn_until_stopped(async move {
            tokio::time::sleep(GAP_PATIENCE).await;
            let still_there = {
                let mut progress = lock(&watched.progress);
                progress.healing = false;
                !progress.parked.is_empty()
            };
            if still_there && let Err(error) = deliveries.heal(&watched).await {
                let id = watched.conversation.id;
                tracing::warn!(conversation.id = %id, error = &error as &dyn std::error::Error,
                    "a gap in conversation {id} could not be read; it is tried again when heads are compared");
            }
        });
    }

    /// Reads from the log what lies behind the last delivered entry, and delivers it.
    async fn heal(self: &Arc<Self>, watched: &Watched) -> Result<(), Error> {
        let _place = self.reads.acquire().await.map_err(|_| Error::Unavailable(None))?;
        loop {
            let Some(last) = lock(&watched.progress).last else {
                return Ok(());
            };
            let entries = self
                .stores
                .log
                .read_after(watched.conversation.id, last, READ_LIMIT)
                .await?;
            if entries.is_empty() {
                return Ok(());
            }
            let read_all = entries.len() < READ_LIMIT;
            let conversation = self
                .stores
                .conversations
                .get(watched.conversation.id)
                .await?
                .ok_or(Error::NotFound("conversation"))?;
            self.deliver(self.encoder.encode(&conversation, &entries).await?);
            if read_all {
                return Ok(());
            }
        }
    }
}

impl Progress {
    fn park(&mut self, seq: Seq, entry: Announced) {
        let bytes = size(&entry.packet);
        if self.parked.len() >= PARKED_MAX || self.parked_bytes + bytes > PARKED_BYTES_MAX {
            // The newest stays so that the gap is known and read; the rest comes from the log.
            self.parked.clear();
            self.parked_bytes = 0;
        }
        if self.parked.insert(seq, entry).is_none() {
            self.parked_bytes += bytes;
        }
    }

    fn first_parked(&self) -> Option<(Seq, Announced)> {
        self.parked
            .first_key_value()
            .map(|(seq, entry)| (*seq, entry.clone()))
    }

    fn unpark(&mut self) {
        if let Some((_, entry)) = self.parked.pop_first() {
            self.parked_bytes -= size(&entry.packet);
        }
    }
}

fn size(packet: &Packet) -> usize {
    packet.iter().map(crate::engine::Frame::len).sum()
}

impl Audience for Deliveries {
    fn watchers(&self, conversation: ConversationId) -> u64 {
        self.hub.watchers(&Channel::Conversation(conversation)) as u64
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
