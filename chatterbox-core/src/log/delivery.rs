//! In order and without gaps: what each watched conversation of this node has delivered last.
//!
//! The next entry in line is delivered, an older one dropped. One further on is parked, for the bus may be out of
//! order; if the gap is still there after 50 ms it is read from the log. Heads are compared now and then as well, so
//! that an entry whose announcement got lost for good is delivered all the same. Who watches is `subscribe.rs`, what a
//! connection hears that has been away is `resume.rs`.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Notify, Semaphore, watch};

use super::announce::{Announced, Announcement, Crossing, Encoder};
use super::journal::Journal;
use super::relay::{Outgoing, Subject};
use super::watched::{Progress, Watched};
use crate::domain::entry::Seq;
use crate::error::Error;
use crate::hub::{Channel, Hub, Link};
use crate::ids::{ConversationId, UserId};
use crate::live::Typists;
use crate::ports::audience::Audience;
use crate::ports::storage::Stores;
use crate::tasks::Tasks;

/// How long a gap may last before it is read from the log.
const GAP_PATIENCE: Duration = Duration::from_millis(50);
/// Gaps read at a time on a node.
const READS_AT_ONCE: usize = 16;
/// Entries read at a time.
const READ_LIMIT: usize = 1000;
/// Heads compared in one question to the store.
pub(super) const HEADS_AT_ONCE: usize = 500;

/// The watched conversations of this node.
pub struct Deliveries {
    pub(super) hub: Arc<Hub<Channel>>,
    pub(super) stores: Stores,
    pub(super) encoder: Encoder,
    pub(super) outgoing: Option<Outgoing>,
    pub(super) tasks: Tasks,
    pub(super) journal: Journal,
    typists: Typists,
    reads: Semaphore,
    watched: Mutex<HashMap<ConversationId, Arc<Watched>>>,
    /// The rooms among them, and some that nobody watches any more.
    pub(super) rooms: Mutex<BTreeSet<ConversationId>>,
    /// Counts deliveries on this node, of one entry or some.
    moves: AtomicU64,
    /// The bus is away.
    alone: watch::Sender<bool>,
    /// Something may have been missed.
    asked: Notify,
    pub(super) resubscribing: AtomicBool,
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
        Arc::new(Deliveries {
            typists: Typists::start(hub.clone(), outgoing.clone(), &tasks),
            hub,
            stores,
            encoder,
            outgoing,
            tasks,
            journal: Journal::default(),
            reads: Semaphore::new(READS_AT_ONCE),
            watched: Mutex::default(),
            rooms: Mutex::default(),
            moves: AtomicU64::new(0),
            alone: watch::Sender::new(false),
            asked: Notify::new(),
            resubscribing: AtomicBool::new(false),
        })
    }

    /// The bus has gone away or come back.
    pub(super) fn set_alone(&self, alone: bool) {
        self.alone.send_replace(alone);
    }

    /// Whether the bus is away.
    pub(super) fn alone(&self) -> watch::Receiver<bool> {
        self.alone.subscribe()
    }

    /// Has heads compared soon; many calls at once are one.
    pub(super) fn ask_to_compare(&self) {
        self.asked.notify_one();
    }

    /// Until somebody asks.
    pub(super) async fn asked_to_compare(&self) {
        self.asked.notified().await;
    }

    /// Whether somebody here needs what other nodes say of it, or is about to.
    pub(super) fn needs(&self, subject: Subject) -> bool {
        match subject {
            Subject::Conversation(conversation) => self.lock().contains_key(&conversation),
            Subject::User(user) => self.has_connections(&[user]),
        }
    }

    /// Listens to what was given up a moment ago, and finds what was said meanwhile.
    pub(super) async fn listen_again(self: &Arc<Self>, subject: Subject) {
        if let Some(outgoing) = &self.outgoing {
            outgoing.listen(subject).await;
        }
        match subject {
            Subject::Conversation(conversation) => {
                let found = self.lock().get(&conversation).cloned();
                if let Some(watched) = found {
                    self.heal_later(&mut watched.lock(), &watched, Duration::ZERO);
                }
            }
            Subject::User(_) => self.resubscribe_later(),
        }
    }

    /// Who types.
    pub fn typists(&self) -> &Typists {
        &self.typists
    }

    /// Who watches what.
    pub fn hub(&self) -> &Arc<Hub<Channel>> {
        &self.hub
    }

    /// What everyone may see of a user has changed, on this node or on another: it is read anew.
    pub(crate) fn profile_changed(&self, user: UserId) {
        self.encoder.names().forget(user);
    }

    /// The way to the other nodes, if there are any.
    pub fn outgoing(&self) -> Option<&Outgoing> {
        self.outgoing.as_ref()
    }

    /// Where members and entries are kept.
    pub(crate) fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Whether a connection of this node watches the conversation. If not, what is about to be announced is noted as
    /// unheard.
    pub(super) fn is_watched_or_note(&self, conversation: ConversationId) -> bool {
        self.find_or_note(conversation).is_some()
    }

    fn find_or_note(&self, conversation: ConversationId) -> Option<Arc<Watched>> {
        let all = self.lock();
        let found = all.get(&conversation).cloned();
        if found.is_none() {
            // Under the lock: who begins to watch either was here before or finds the note.
            self.journal.note_unheard(conversation);
        }
        found
    }

    /// Hands an announcement to the watchers, or to the shelf until the entries before it have come.
    pub fn deliver(self: &Arc<Self>, announcement: Announcement) {
        let Some(watched) = self.find_or_note(announcement.conversation) else {
            return;
        };
        let numbers = (announcement.first.0..).map(Seq);
        let mut progress = watched.lock();
        let (known, new): (Vec<_>, Vec<_>) = numbers
            .zip(announcement.entries)
            .partition(|(seq, _)| progress.last.is_some_and(|last| *seq <= last));
        let late_comers = known.into_iter().filter_map(|(seq, entry)| match entry.crossing {
            Some(Crossing::In(user)) => Some((user, seq)),
            Some(Crossing::Out(_)) | None => None,
        });
        let is_next = |(seq, _): &(Seq, Announced)| progress.last.is_some_and(|last| *seq == last.next());
        if new.first().is_some_and(is_next) {
            self.publish(&mut progress, &watched, &new);
        } else {
            for (seq, entry) in new {
                progress.park(seq, entry);
            }
        }
        self.publish_parked(&mut progress, &watched);
        if progress.has_parked() && progress.last.is_some() {
            self.heal_later(&mut progress, &watched, GAP_PATIENCE);
        }
        drop(progress);
        for (user, seq) in late_comers {
            self.enter_late(watched.conversation, user, seq);
        }
    }

    /// Whether everything up to an entry was delivered to those who watch the conversation here, if anybody does.
    pub(super) fn has_delivered(&self, conversation: ConversationId, up_to: Seq) -> bool {
        let watched = self.lock().get(&conversation).cloned();
        watched.is_none_or(|watched| watched.lock().last.is_some_and(|last| last >= up_to))
    }

    /// Waits until that is so, reading from the log what does not come.
    pub(super) async fn delivered(self: &Arc<Self>, conversation: ConversationId, up_to: Seq) {
        let mut pause = GAP_PATIENCE / 4;
        while !self.has_delivered(conversation, up_to) {
            tokio::time::sleep(pause).await;
            pause *= 2;
            let watched = self.lock().get(&conversation).cloned();
            if let Some(watched) = watched
                && !self.has_delivered(conversation, up_to)
                && let Err(error) = self.heal(&watched).await
            {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "what is to be delivered could not be read yet"
                );
            }
        }
    }

    /// Compares the heads of all watched conversations with what was delivered, and delivers what is missing. One that
    /// can't be read keeps no other one waiting.
    pub async fn compare_heads(self: &Arc<Self>) {
        let all: Vec<Arc<Watched>> = self.lock().values().cloned().collect();
        // Whoever was removed last left the conversation without watchers.
        for watched in &all {
            self.forget_unwatched(watched.conversation);
        }
        for some in all.chunks(HEADS_AT_ONCE) {
            match self.behind(some).await {
                Ok(behind) => {
                    let healed = behind.iter().map(|watched| async {
                        if let Err(error) = self.heal(watched).await {
                            warn_unread(watched.conversation, &error);
                        }
                    });
                    // Side by side, as many as are read at a time.
                    join_all(healed).await;
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "heads could not be compared; tried again later"
                ),
            }
        }
    }

    /// Those of the conversations (at most [`HEADS_AT_ONCE`]) whose log goes on behind what was delivered.
    pub(super) async fn behind(&self, some: &[Arc<Watched>]) -> Result<Vec<Arc<Watched>>, Error> {
        let ids: Vec<ConversationId> = some.iter().map(|watched| watched.conversation).collect();
        let heads = self.stores.log.heads(&ids).await?;
        let behind = some
            .iter()
            .zip(heads)
            .filter(|(watched, head)| watched.lock().last.is_some_and(|last| last < head.seq));
        Ok(behind.map(|(watched, _)| watched.clone()).collect())
    }

    /// The watched conversations of a connection in which something was delivered since `since`, with the number of
    /// the last entry, and the mark for the next time (S-092). A client that is behind these numbers has lost
    /// something.
    pub fn hints(&self, link: &Link, since: u64) -> (Vec<(ConversationId, Seq)>, u64) {
        // Read first: what is delivered meanwhile is told again rather than never.
        let now = self.moves.load(Ordering::Acquire);
        if now == since {
            return (Vec::new(), now);
        }
        let mut hints = Vec::new();
        for topic in self.hub.topics_of(link) {
            let Channel::Conversation(conversation) = topic else {
                continue;
            };
            let found = self.lock().get(&conversation).cloned();
            if let Some(watched) = found {
                let progress = watched.lock();
                if progress.moved > since
                    && let Some(last) = progress.last
                {
                    hints.push((conversation, last));
                }
            }
        }
        (hints, now)
    }

    /// What is known of the conversation, or the beginning of it: `last` is the entry behind which it is delivered,
    /// if that is known already.
    pub(super) fn find_or_begin(
        &self,
        conversation: ConversationId,
        last: Option<Seq>,
    ) -> (Arc<Watched>, bool) {
        let mut all = self.lock();
        if let Some(watched) = all.get(&conversation) {
            return (watched.clone(), false);
        }
        let fresh = Arc::new(Watched::new(conversation, last));
        all.insert(conversation, fresh.clone());
        (fresh, true)
    }

    /// Delivers from here on, unless somebody was faster.
    pub(super) fn begin_behind(&self, watched: &Watched, seq: Seq) {
        let mut progress = watched.lock();
        if progress.last.is_none() {
            progress.last = Some(seq);
            self.publish_parked(&mut progress, watched);
        }
    }

    pub(super) fn forget_unwatched(&self, conversation: ConversationId) {
        let mut all = self.lock();
        let Some(watched) = all.get(&conversation).cloned() else {
            return;
        };
        let mut progress = watched.lock();
        if self.hub.watchers(&Channel::Conversation(conversation)) > 0 || progress.has_holds() {
            return;
        }
        progress.over = true;
        drop(progress);
        all.remove(&conversation);
        drop(all);
        if let Some(outgoing) = &self.outgoing {
            outgoing.stop_listening(Subject::Conversation(conversation));
        }
    }

    /// Publishes the next entries in line.
    fn publish(&self, progress: &mut Progress, watched: &Watched, entries: &[(Seq, Announced)]) {
        let crosses = |(_, entry): &(Seq, Announced)| entry.crossing.is_some();
        for piece in entries.chunk_by(|one, next| !crosses(one) && !crosses(next)) {
            self.publish_piece(progress, watched, piece);
        }
    }

    /// Publishes an entry by which somebody comes or goes, or several without such: each watcher's queue is visited
    /// once.
    fn publish_piece(&self, progress: &mut Progress, watched: &Watched, piece: &[(Seq, Announced)]) {
        let conversation = watched.conversation;
        let topic = Channel::Conversation(conversation);
        for (_, entry) in piece {
            if let Some(Crossing::In(user)) = entry.crossing {
                for link in self.links_of(user) {
                    self.hub.subscribe(&link, &topic);
                }
            }
            if let Some(author) = entry.author {
                // Watchers hear that somebody has stopped before they hear what was written.
                self.typists.wrote(conversation, author);
            }
        }
        let packets = piece.iter().map(|(_, entry)| &entry.packet);
        self.hub.with_topic(&topic, |topic| topic.publish_all(&packets));
        for (seq, entry) in piece {
            progress.add_to_holds(entry);
            if let Some(Crossing::Out(user)) = entry.crossing {
                self.put_out(conversation, user);
                self.typists.left(conversation, user);
            }
            progress.last = Some(*seq);
        }
        progress.moved = self.moves.fetch_add(1, Ordering::AcqRel) + 1;
    }

    /// Nothing of the conversation reaches the user's connections on this node any more.
    pub(super) fn put_out(&self, conversation: ConversationId, user: UserId) {
        self.journal.note_out(conversation, user);
        for link in self.links_of(user) {
            self.hub.unsubscribe(&link, &Channel::Conversation(conversation));
            self.hub.unsubscribe(&link, &Channel::Looking(conversation));
        }
    }

    pub(super) fn links_of(&self, user: UserId) -> Vec<Link> {
        self.hub
            .with_topic(&Channel::User(user), |topic| topic.links().to_vec())
    }

    /// Publishes what follows without a gap, and lets go of what is old.
    fn publish_parked(&self, progress: &mut Progress, watched: &Watched) {
        while let Some(next) = progress.unpark_next() {
            self.publish_piece(progress, watched, &[next]);
        }
    }

    /// Reads what is missing in a while, in a task of its own.
    pub(super) fn heal_later(
        self: &Arc<Self>,
        progress: &mut Progress,
        watched: &Arc<Watched>,
        patience: Duration,
    ) {
        if std::mem::replace(&mut progress.healing, true) {
            return;
        }
        let (deliveries, watched) = (self.clone(), watched.clone());
        self.tasks.spawn_until_stopped(async move {
            if !patience.is_zero() {
                tokio::time::sleep(patience).await;
            }
            let still_there = {
                let mut progress = watched.lock();
                progress.healing = false;
                patience.is_zero() || progress.has_parked()
            };
            if still_there && let Err(error) = deliveries.heal(&watched).await {
                warn_unread(watched.conversation, &error);
            }
        });
    }

    /// Reads from the log what lies behind the last delivered entry, and delivers it.
    pub(super) async fn heal(self: &Arc<Self>, watched: &Watched) -> Result<(), Error> {
        let _place = self.reads.acquire().await.map_err(|_| Error::Unavailable(None))?;
        loop {
            let Some(last) = watched.lock().last else {
                return Ok(());
            };
            let read = self
                .stores
                .log
                .read_after(watched.conversation, last, READ_LIMIT)
                .await?;
            if read.is_empty() {
                return Ok(());
            }
            let read_all = read.len() < READ_LIMIT;
            let conversation = self
                .stores
                .conversations
                .get(watched.conversation)
                .await?
                .ok_or(Error::NotFound("conversation"))?;
            self.deliver(self.encoder.encode(&conversation, &read).await?);
            if read_all {
                return Ok(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConversationId, Arc<Watched>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn_unread(id: ConversationId, error: &Error) {
    tracing::warn!(conversation.id = %id, error = error as &dyn std::error::Error,
        "a gap in conversation {id} could not be read; it is tried again when heads are compared");
}

impl Audience for Deliveries {
    fn people(&self, conversation: ConversationId) -> u64 {
        self.people_in(conversation).len() as u64
    }
}
