//! Entries that are in the journal and not yet in their place, in memory for whoever reads or appends.
//!
//! ```text
//! conversation   settled: rows of `entries`    unsettled: here, and rows of `journal`
//!      A         1 2 3 4 5 6 7                 8 9 10
//!      B                                       1 2
//! ```
//! Entries settle in the order of their conversation, so what is here is always the end of a log, without a gap.
//!
//! **Why no reader misses an entry or sees it twice.** A reader looks here first and reads the database afterwards.
//! Let `first` be the lowest number that it found here. What is below was settled and taken out of here before it
//! looked, by a transaction that was committed before that, so the database it reads then has all of it; what is at
//! or above `first` it takes from here and asks the database for nothing of it. If it found nothing, all that was
//! acknowledged before it looked is in the database. Entries here never change (whoever changes an entry settles it
//! first), so it doesn't matter when they are settled meanwhile.
//!
//! Entries of a transaction that is not committed yet are here as well, behind `visible`: the writer sees them, so that
//! it finds duplicates within a group, and readers don't.

use std::collections::vec_deque as deque;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chatterbox_core::domain::entry::{ClientMessageId, Entry, Seq};
use chatterbox_core::ids::{ConversationId, EntryId, UserId};
use chatterbox_core::ports::storage::Head;

/// The place of an entry in the journal.
pub(super) type Arrival = i64;

/// See the [module](self). Clones share the entries.
#[derive(Clone, Default)]
pub(in super::super) struct Unsettled(Arc<Mutex<Memory>>);

#[derive(Default)]
pub(super) struct Memory {
    tails: HashMap<ConversationId, Tail>,
    by_id: HashMap<EntryId, (ConversationId, Seq)>,
    by_key: HashMap<(ConversationId, UserId, ClientMessageId), Seq>,
    /// All entries here in the order of their arrival; some that are settled already stand between them, no more than
    /// there are others.
    arrivals: VecDeque<(Arrival, ConversationId)>,
    /// The last arrival that is committed.
    visible: Arrival,
    last: Arrival,
    bytes: usize,
    /// Conversations of which the running transaction settles entries, and those entries in all.
    settling: Vec<ConversationId>,
    settling_entries: usize,
    settling_bytes: usize,
}

/// The unsettled end of one log.
#[derive(Default)]
struct Tail {
    entries: VecDeque<Waiting>,
    /// So many at the front are settled by the running transaction.
    settling: usize,
}

struct Waiting {
    arrival: Arrival,
    /// What it takes here, about.
    bytes: usize,
    entry: Arc<Entry>,
}

/// Entries that the running transaction is to settle.
#[derive(Default)]
pub(super) struct Taken {
    /// Where they are in the journal; those of one conversation in order of seq.
    pub(super) arrivals: Vec<Arrival>,
    /// Whose they are.
    pub(super) conversations: Vec<ConversationId>,
    /// The greatest of their ids.
    pub(super) newest: Option<EntryId>,
}

/// What the reading of a log finds here: its number where the unsettled end begins, if it has one, and those entries
/// of the end that were asked for.
pub(super) struct Found {
    pub(super) first: Option<Seq>,
    pub(super) entries: Vec<Arc<Entry>>,
}

impl Found {
    /// The last number that is for the database.
    pub(super) fn last_settled(&self) -> Seq {
        self.first
            .map_or(Seq(u32::MAX), |first| Seq(first.0.saturating_sub(1)))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.entries.iter().map(|entry| Entry::clone(entry))
    }
}

/// Which entries are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Each.
    All,
    /// Those that history shows.
    Shown,
}

impl Which {
    fn has(self, entry: &Entry) -> bool {
        match self {
            Which::All => true,
            Which::Shown => entry.kind.is_shown(),
        }
    }
}

/// Some of the entries.
pub(super) struct View<'a> {
    memory: &'a Memory,
    whose: Whose,
}

#[derive(Clone, Copy)]
enum Whose {
    Reader,
    Writer,
}

impl Unsettled {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As the last commit left them, for readers.
    pub(super) fn committed<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        self.look(Whose::Reader, look)
    }

    /// As the running transaction has them, for the writer: with what it added, without what it settled and may have
    /// changed since.
    pub(super) fn running<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        self.look(Whose::Writer, look)
    }

    fn look<T>(&self, whose: Whose, look: impl FnOnce(&View<'_>) -> T) -> T {
        let memory = &*self.lock();
        look(&View { memory, whose })
    }

    /// The heads of those of these logs that have an unsettled end.
    pub(in super::super) fn heads(&self, conversations: &[ConversationId]) -> HashMap<ConversationId, Head> {
        self.committed(|view| {
            let heads = conversations.iter().map(|id| Some((*id, view.head(*id)?)));
            heads.flatten().collect()
        })
    }

    /// The last entries that history shows of those of these logs that have one in their unsettled end.
    pub(in super::super) fn last_shown(
        &self,
        conversations: &[ConversationId],
    ) -> HashMap<ConversationId, Arc<Entry>> {
        self.committed(|view| {
            let last = |id: &ConversationId| {
                let found = view.last_of(*id, Which::Shown, Seq(u32::MAX), 1);
                Some((*id, found.entries.into_iter().next()?))
            };
            conversations.iter().filter_map(last).collect()
        })
    }

    /// For the journal, which keeps this and its table the same.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(&mut self.lock())
    }
}

impl View<'_> {
    /// The end of the log in order, without a gap.
    fn tail(&self, conversation: ConversationId) -> Option<(Seq, deque::Iter<'_, Waiting>)> {
        let tail = self.memory.tails.get(&conversation)?;
        let entries = match self.whose {
            Whose::Reader => {
                let visible = |waiting: &Waiting| waiting.arrival <= self.memory.visible;
                tail.entries.range(..tail.entries.partition_point(visible))
            }
            Whose::Writer => tail.entries.range(tail.settling..),
        };
        let first = entries.clone().next()?.entry.seq;
        Some((first, entries))
    }

    fn at(&self, conversation: ConversationId, seq: Seq) -> Option<Arc<Entry>> {
        let (first, mut entries) = self.tail(conversation)?;
        let index = seq.0.checked_sub(first.0)?;
        entries.nth(index as usize).map(|waiting| waiting.entry.clone())
    }

    pub(super) fn head(&self, conversation: ConversationId) -> Option<Head> {
        let (_, mut entries) = self.tail(conversation)?;
        entries.next_back().map(|waiting| Head::of(&waiting.entry))
    }

    /// The entry of this id, in whatever conversation.
    pub(super) fn by_id(&self, id: EntryId) -> Option<Arc<Entry>> {
        let (conversation, seq) = self.memory.by_id.get(&id)?;
        self.at(*conversation, *seq)
    }

    pub(super) fn by_key(
        &self,
        conversation: ConversationId,
        sender: UserId,
        key: &ClientMessageId,
    ) -> Option<Arc<Entry>> {
        // The empty map is the common case of a reader.
        if self.memory.by_key.is_empty() {
            return None;
        }
        let seq = self.memory.by_key.get(&(conversation, sender, key.clone()))?;
        self.at(conversation, *seq)
    }

    /// The first `limit` unsettled entries above `above`.
    pub(super) fn first_of(
        &self,
        conversation: ConversationId,
        which: Which,
        above: Seq,
        limit: usize,
    ) -> Found {
        self.found(conversation, |first, entries| {
            let passed = above.0.saturating_add(1).saturating_sub(first.0) as usize;
            let wanted = entries.skip(passed).filter(|waiting| which.has(&waiting.entry));
            wanted.take(limit).map(|waiting| waiting.entry.clone()).collect()
        })
    }

    /// The last `limit` unsettled entries up to `last`.
    pub(super) fn last_of(
        &self,
        conversation: ConversationId,
        which: Which,
        last: Seq,
        limit: usize,
    ) -> Found {
        self.found(conversation, |first, entries| {
            let upto = last.0.saturating_add(1).saturating_sub(first.0) as usize;
            let wanted = entries
                .take(upto)
                .rev()
                .filter(|waiting| which.has(&waiting.entry));
            let wanted = wanted.take(limit).map(|waiting| waiting.entry.clone());
            let mut wanted: Vec<Arc<Entry>> = wanted.collect();
            wanted.reverse();
            wanted
        })
    }

    /// The unsettled ones among those with these numbers, in order.
    pub(super) fn among(&self, conversation: ConversationId, seqs: &BTreeSet<Seq>) -> Found {
        self.found(conversation, |first, entries| {
            let index = |seq: &Seq| (seq.0 - first.0) as usize;
            let wanted = seqs.range(first..).map(|seq| entries.clone().nth(index(seq)));
            wanted.flatten().map(|waiting| waiting.entry.clone()).collect()
        })
    }

    /// Some of the unsettled end, whose first number is given.
    fn found(
        &self,
        conversation: ConversationId,
        pick: impl FnOnce(Seq, deque::Iter<'_, Waiting>) -> Vec<Arc<Entry>>,
    ) -> Found {
        let Some((first, entries)) = self.tail(conversation) else {
            return Found {
                first: None,
                entries: Vec::new(),
            };
        };
        Found {
            first: Some(first),
            entries: pick(first, entries),
        }
    }
}

impl Memory {
    /// How many entries will be left if the running transaction is committed.
    pub(super) fn len(&self) -> usize {
        self.by_id.len() - self.settling_entries
    }

    /// What those entries take, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes - self.settling_bytes
    }

    /// Where the next entry arrives.
    pub(super) fn next_arrival(&mut self) -> Arrival {
        self.last += 1;
        self.last
    }

    /// Adds the entry behind the last one of its conversation. It was written with so many bytes.
    pub(super) fn add(&mut self, arrival: Arrival, entry: Entry, written: usize) {
        /// The entry itself and its places in the maps and queues.
        const FIXED: usize = 512;
        let (conversation, bytes) = (entry.conversation, FIXED + written);
        self.bytes += bytes;
        self.by_id.insert(entry.id, (conversation, entry.seq));
        if let Some(key) = &entry.client_message_id {
            self.by_key
                .insert((conversation, entry.sender, key.clone()), entry.seq);
        }
        self.arrivals.push_back((arrival, conversation));
        let entry = Arc::new(entry);
        let waiting = Waiting {
            arrival,
            bytes,
            entry,
        };
        self.tails
            .entry(conversation)
            .or_default()
            .entries
            .push_back(waiting);
    }

    /// Takes `at_least` so many entries, if there are as many: of the conversation with the oldest one all, of the
    /// next, and so on. The running transaction settles them.
    pub(super) fn settle_oldest(&mut self, at_least: usize) -> Taken {
        let mut taken = Taken::default();
        for index in 0..self.arrivals.len() {
            if taken.arrivals.len() >= at_least {
                break;
            }
            let oldest = self.arrivals[index];
            if is_unsettled(&self.tails, &oldest) {
                self.take(oldest.1, &mut taken);
            }
        }
        taken
    }

    /// Takes all entries of one conversation.
    pub(super) fn settle(&mut self, conversation: ConversationId) -> Taken {
        let mut taken = Taken::default();
        self.take(conversation, &mut taken);
        taken
    }

    fn take(&mut self, conversation: ConversationId, taken: &mut Taken) {
        let Some(tail) = self.tails.get_mut(&conversation) else {
            return;
        };
        if tail.settling == 0 {
            self.settling.push(conversation);
        }
        taken.conversations.push(conversation);
        for waiting in tail.entries.range(tail.settling..) {
            taken.arrivals.push(waiting.arrival);
            taken.newest = taken.newest.max(Some(waiting.entry.id));
            self.settling_entries += 1;
            self.settling_bytes += waiting.bytes;
        }
        tail.settling = tail.entries.len();
    }

    /// All entries that arrived up to here are settled if the running transaction is committed.
    pub(super) fn settled_upto(&self) -> Arrival {
        self.arrivals
            .iter()
            .find(|arrival| is_unsettled(&self.tails, arrival))
            .map_or(self.last, |(arrival, _)| arrival - 1)
    }

    /// The transaction was committed: what it added is for everybody, what it settled is let go of.
    pub(super) fn committed(&mut self) {
        self.visible = self.last;
        for conversation in std::mem::take(&mut self.settling) {
            let Some(tail) = self.tails.get_mut(&conversation) else {
                continue;
            };
            let settled: Vec<_> = tail.entries.drain(..std::mem::take(&mut tail.settling)).collect();
            if tail.entries.is_empty() {
                self.tails.remove(&conversation);
            }
            for waiting in settled {
                self.forget(&waiting);
            }
        }
        (self.settling_entries, self.settling_bytes) = (0, 0);
        while let Some(front) = self.arrivals.front()
            && !is_unsettled(&self.tails, front)
        {
            self.arrivals.pop_front();
        }
        if self.arrivals.len() > 2 * self.by_id.len() {
            self.arrivals.retain(|arrival| is_unsettled(&self.tails, arrival));
        }
    }

    /// The transaction was rolled back.
    pub(super) fn rolled_back(&mut self) {
        for conversation in std::mem::take(&mut self.settling) {
            if let Some(tail) = self.tails.get_mut(&conversation) {
                tail.settling = 0;
            }
        }
        (self.settling_entries, self.settling_bytes) = (0, 0);
        while let Some((arrival, conversation)) = self.arrivals.back().copied()
            && arrival > self.visible
        {
            self.arrivals.pop_back();
            let Some(tail) = self.tails.get_mut(&conversation) else {
                continue;
            };
            let added = tail.entries.pop_back();
            if tail.entries.is_empty() {
                self.tails.remove(&conversation);
            }
            if let Some(waiting) = added {
                self.forget(&waiting);
            }
        }
    }

    fn forget(&mut self, waiting: &Waiting) {
        let entry = &waiting.entry;
        self.bytes -= waiting.bytes;
        self.by_id.remove(&entry.id);
        if let Some(key) = &entry.client_message_id {
            self.by_key
                .remove(&(entry.conversation, entry.sender, key.clone()));
        }
    }
}

fn is_unsettled(
    tails: &HashMap<ConversationId, Tail>,
    (arrival, conversation): &(Arrival, ConversationId),
) -> bool {
    let tail = tails.get(conversation);
    let first = tail.and_then(|tail| tail.entries.get(tail.settling));
    first.is_some_and(|first| first.arrival <= *arrival)
}
