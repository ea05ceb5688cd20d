//! What a node knows of a conversation that somebody watches: how far it was delivered, what came too early, and for
//! whom live entries wait behind a replay.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::announce::{Announced, Crossing};
use crate::domain::entry::Seq;
use crate::engine::{Frame, Packet};
use crate::hub::{ConnectionId, Link};
use crate::ids::{ConversationId, UserId};

/// Entries parked per conversation, by number and size; above, all are dropped and read from the log.
const PARKED_MAX: usize = 256;
const PARKED_BYTES_MAX: usize = 1 << 20;
/// Live entries that wait behind one connection's replay; above, they are dropped and read from the log.
const HELD_BYTES_MAX: usize = 256 << 10;

/// A watched conversation. There may be one for each pair of people, so it is small while nothing happens.
pub(super) struct Watched {
    pub(super) conversation: ConversationId,
    progress: Mutex<Progress>,
}

#[derive(Default)]
pub(super) struct Progress {
    /// The last entry delivered; unknown until somebody has begun.
    pub(super) last: Option<Seq>,
    /// The node's count of deliveries when that was ([`Deliveries::hints`](super::Deliveries)).
    pub(super) moved: u64,
    /// Somebody is about to read a gap.
    pub(super) healing: bool,
    /// Nobody watches any more; a newcomer begins anew.
    pub(super) over: bool,
    aside: Option<Box<Aside>>,
}

/// What is there for moments only.
#[derive(Default)]
struct Aside {
    parked: BTreeMap<Seq, Announced>,
    parked_bytes: usize,
    held: Vec<Held>,
}

/// Live entries for a connection that hears older ones first.
struct Held {
    link: Link,
    user: UserId,
    packets: Vec<Packet>,
    bytes: usize,
    state: Holding,
}

/// How a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    /// Everything is here.
    Whole,
    /// There was too much: it is to be read from the log.
    Overflown,
    /// The last packet is the one that ended the membership.
    Ended,
}

impl Watched {
    pub(super) fn new(conversation: ConversationId, last: Option<Seq>) -> Watched {
        let progress = Progress {
            last,
            ..Progress::default()
        };
        Watched {
            conversation,
            progress: Mutex::new(progress),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Puts an entry on the shelf that came too early.
    pub(super) fn park(&mut self, seq: Seq, entry: Announced) {
        let aside = self.aside.get_or_insert_default();
        let bytes = size(&entry.packet);
        if aside.parked.len() >= PARKED_MAX || aside.parked_bytes + bytes > PARKED_BYTES_MAX {
            // The newest stays so that the gap is known and read; the rest comes from the log.
            aside.parked.clear();
            aside.parked_bytes = 0;
        }
        if aside.parked.insert(seq, entry).is_none() {
            aside.parked_bytes += bytes;
        }
    }

    pub(super) fn has_parked(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| !aside.parked.is_empty())
    }

    /// The next entry in line, if it is on the shelf. Old ones are let go of.
    pub(super) fn unpark_next(&mut self) -> Option<(Seq, Announced)> {
        let last = self.last?;
        let aside = self.aside.as_mut()?;
        let found = loop {
            let Some((seq, _)) = aside.parked.first_key_value() else {
                break None;
            };
            if *seq > last.next() {
                break None;
            }
            let (seq, entry) = aside.parked.pop_first()?;
            aside.parked_bytes -= size(&entry.packet);
            if seq > last {
                break Some((seq, entry));
            }
        };
        self.tidy();
        found
    }

    /// From now on what is published waits for `link`, until it is [taken](Progress::release).
    pub(super) fn hold(&mut self, link: &Link, user: UserId) {
        self.release(link.id());
        self.aside.get_or_insert_default().held.push(Held {
            link: link.clone(),
            user,
            packets: Vec::new(),
            bytes: 0,
            state: Holding::Whole,
        });
    }

    /// Ends a hold: what has waited.
    pub(super) fn release(&mut self, connection: ConnectionId) -> Option<(Holding, Vec<Packet>)> {
        let held = &mut self.aside.as_mut()?.held;
        let at = held.iter().position(|held| held.link.id() == connection)?;
        let held = held.swap_remove(at);
        self.tidy();
        Some((held.state, held.packets))
    }

    /// Whether somebody waits behind a replay.
    pub(super) fn has_holds(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| !aside.held.is_empty())
    }

    /// Lets an entry wait for those who hear older ones first.
    pub(super) fn add_to_holds(&mut self, entry: &Announced) {
        let Some(aside) = &mut self.aside else { return };
        for held in aside.held.iter_mut().filter(|held| held.state == Holding::Whole) {
            held.bytes += size(&entry.packet);
            if held.bytes > HELD_BYTES_MAX {
                held.packets = Vec::new();
                held.state = Holding::Overflown;
                continue;
            }
            held.packets.push(entry.packet.clone());
            if entry.crossing == Some(Crossing::Out(held.user)) {
                held.state = Holding::Ended;
            }
        }
    }

    fn tidy(&mut self) {
        if self
            .aside
            .as_ref()
            .is_some_and(|aside| aside.parked.is_empty() && aside.held.is_empty())
        {
            self.aside = None;
        }
    }
}

fn size(packet: &Packet) -> usize {
    packet.iter().map(Frame::len).sum()
}
