//! The sessions of this process: found by their sid, capped in total and per address, counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::engine::CloseReason;
use crate::engine::eio::{Session, Sid};
use crate::hub::{Link, WeakLink};

/// How many sessions there may be; one more is answered 503 with Retry-After.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// In this process. Default 100,000.
    pub sessions_max: usize,
    /// From one address; of IPv6, one /64. Applies where the address is known
    /// ([`ClientAddress`](super::ClientAddress)). Default 1,000.
    pub per_address_max: u32,
    /// From one address, of those that have not joined a namespace ([`Link::joined`]); applies where there is a
    /// connect time-out. Default 200.
    pub unjoined_per_address_max: u32,
}

impl Default for Caps {
    fn default() -> Caps {
        Caps {
            sessions_max: 100_000,
            per_address_max: 1_000,
            unjoined_per_address_max: 200,
        }
    }
}

/// What has happened so far, and how many sessions there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions now, those being closed included.
    pub sessions: usize,
    /// Sessions opened ever.
    pub opened: u64,
    /// Requests with a sid we don't know (code 1). Many of them behind a balancer mean that stickiness is missing.
    pub unknown_sids: u64,
    /// Requests refused with any other code.
    pub refused: u64,
    /// Handshakes turned away with 503.
    pub turned_away: u64,
    /// Sessions that moved from polling to websocket.
    pub upgraded: u64,
}

const SHARDS: usize = 64;

/// Stages of [`Sessions`], in order.
const OPEN: u8 = 0;
const CLOSING: u8 = 1;
const ABORTED: u8 = 2;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Sessions {
    by_sid: Box<[Mutex<HashMap<Sid, WeakLink>>]>,
    caps: Caps,
    /// Whether sessions that have not joined a namespace are counted apart.
    joining: bool,
    count: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, OfAddress>>,
    stage: AtomicU8,
    /// Told when the last session is gone.
    emptied: Notify,
    opened: AtomicU64,
    pub(super) unknown_sids: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) turned_away: AtomicU64,
    pub(super) upgraded: AtomicU64,
}

#[derive(Debug, Default)]
struct OfAddress {
    sessions: u32,
    unjoined: u32,
}

/// The place of one session; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    sessions: Arc<Sessions>,
    sid: Option<Sid>,
    address: Option<IpAddr>,
    joined: bool,
}

impl Sessions {
    pub(super) fn new(caps: Caps, joining: bool) -> Sessions {
        Sessions {
            by_sid: (0..SHARDS).map(|_| Mutex::default()).collect(),
            caps,
            joining,
            count: AtomicUsize::new(0),
            addresses: Mutex::default(),
            stage: AtomicU8::new(OPEN),
            emptied: Notify::new(),
            opened: AtomicU64::new(0),
            unknown_sids: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            upgraded: AtomicU64::new(0),
        }
    }

    /// Takes a place for one more session, if there is one.
    pub(super) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let place = self.try_enter(address.map(network_of));
        if place.is_none() {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
        }
        place
    }

    fn try_enter(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        if self.stage.load(Ordering::Acquire) != OPEN {
            return None;
        }
        if self.count.fetch_add(1, Ordering::AcqRel) >= self.caps.sessions_max {
            self.count.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        // From here on the place gives back what it took.
        let mut place = Place {
            sessions: Arc::clone(self),
            sid: None,
            address: None,
            joined: !self.joining,
        };
        if let Some(address) = address {
            let mut addresses = lock(&self.addresses);
            let of_address = addresses.entry(address).or_default();
            let unjoined_full = self.joining && of_address.unjoined >= self.caps.unjoined_per_address_max;
            if of_address.sessions >= self.caps.per_address_max || unjoined_full {
                if of_address.sessions == 0 {
                    addresses.remove(&address);
                }
                drop(addresses);
                return None;
            }
            of_address.sessions += 1;
            of_address.unjoined += u32::from(self.joining);
            place.address = Some(address);
        }
        Some(place)
    }

    pub(super) fn find(&self, sid: &Sid) -> Option<Link> {
        lock(self.shard(sid)).get(sid).and_then(WeakLink::upgrade)
    }

    /// All sessions there are at the moment.
    fn all(&self) -> Vec<Link> {
        self.by_sid
            .iter()
            .flat_map(|shard| {
                lock(shard)
                    .values()
                    .filter_map(WeakLink::upgrade)
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Waits until there is no session.
    pub(super) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// No further sessions. Those there are should be closed.
    pub(super) fn close(&self) -> Vec<Link> {
        self.stage.fetch_max(CLOSING, Ordering::AcqRel);
        self.all()
    }

    /// The process ends: all sessions are gone from now on.
    pub(super) fn abort(&self) {
        self.stage.store(ABORTED, Ordering::Release);
        self.all().iter().for_each(abort);
    }

    /// A session was registered. Whoever closes all of them either saw it or is seen here.
    pub(super) fn catch_up(&self, link: &Link) {
        match self.stage.load(Ordering::Acquire) {
            OPEN => {}
            CLOSING => link.close(CloseReason::ShuttingDown),
            _ => abort(link),
        }
    }

    pub(super) fn counters(&self) -> Counters {
        Counters {
            sessions: self.count.load(Ordering::Relaxed),
            opened: self.opened.load(Ordering::Relaxed),
            unknown_sids: self.unknown_sids.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            turned_away: self.turned_away.load(Ordering::Relaxed),
            upgraded: self.upgraded.load(Ordering::Relaxed),
        }
    }

    fn shard(&self, sid: &Sid) -> &Mutex<HashMap<Sid, WeakLink>> {
        &self.by_sid[sid.spread() % SHARDS]
    }
}

impl Place {
    /// The session can be found under this sid from now on.
    pub(super) fn register(&mut self, sid: Sid, link: &Link) {
        lock(self.sessions.shard(&sid)).insert(sid, link.downgrade());
        self.sid = Some(sid);
        self.sessions.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// The session has joined a namespace.
    pub(super) fn joined(&mut self) {
        if !std::mem::replace(&mut self.joined, true)
            && let Some(address) = self.address
            && let Some(of_address) = lock(&self.sessions.addresses).get_mut(&address)
        {
            of_address.unjoined -= 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.sessions.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.sessions.emptied.notify_waiters();
        }
        if let Some(sid) = &self.sid {
            let mut shard = lock(self.sessions.shard(sid));
            shard.remove(sid);
            if shard.len() < shard.capacity() / 8 {
                shard.shrink_to_fit();
            }
        }
        if let Some(address) = self.address {
            let mut addresses = lock(&self.sessions.addresses);
            if let Some(of_address) = addresses.get_mut(&address) {
                of_address.sessions -= 1;
                of_address.unjoined -= u32::from(!self.joined);
                if of_address.sessions == 0 {
                    addresses.remove(&address);
                }
            }
        }
    }
}

fn abort(link: &Link) {
    link.with(Session::abort);
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 customer has at least.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps {
        sessions_max: 4,
        per_address_max: 3,
        unjoined_per_address_max: 2,
    };

    fn address(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn sessions_are_capped_in_total_and_places_come_back() {
        let sessions = Arc::new(Sessions::new(CAPS, false));
        let mut places: Vec<_> = (0..4).map(|_| sessions.enter(None).unwrap()).collect();
        assert!(sessions.enter(None).is_none());
        places.pop();
        assert!(sessions.enter(None).is_some());
        assert_eq!(sessions.counters().turned_away, 1);
    }

    #[test]
    fn one_address_takes_only_its_share() {
        let sessions = Arc::new(Sessions::new(CAPS, false));
        let places: Vec<_> = (0..3)
            .map(|_| sessions.enter(address("192.0.2.1")).unwrap())
            .collect();
        assert!(sessions.enter(address("192.0.2.1")).is_none());
        assert!(
            sessions.enter(address("::ffff:192.0.2.1")).is_none(),
            "the same written as IPv6"
        );
        assert!(sessions.enter(address("192.0.2.2")).is_some());
        drop(places);
        assert!(lock(&sessions.addresses).is_empty());
        assert_eq!(sessions.counters().sessions, 0);
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let sessions = Arc::new(Sessions::new(CAPS, false));
        let _places: Vec<_> = (0..3)
            .map(|host| sessions.enter(address(&format!("2001:db8::{host}"))).unwrap())
            .collect();
        assert!(sessions.enter(address("2001:db8::ffff:1:2:3")).is_none());
        assert!(sessions.enter(address("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn those_that_joined_make_room_for_those_that_have_not() {
        let sessions = Arc::new(Sessions::new(CAPS, true));
        let mut places: Vec<_> = (0..2)
            .map(|_| sessions.enter(address("192.0.2.1")).unwrap())
            .collect();
        assert!(sessions.enter(address("192.0.2.1")).is_none());
        places[0].joined();
        places[0].joined();
        assert!(sessions.enter(address("192.0.2.1")).is_some());
        // Those that go without having joined make room as well; one that joined keeps the address known.
        places.pop();
        let again: Vec<_> = (0..2)
            .map(|_| sessions.enter(address("192.0.2.1")).unwrap())
            .collect();
        assert_eq!(again.len(), 2);
    }

    #[test]
    fn after_closing_nobody_enters() {
        let sessions = Arc::new(Sessions::new(CAPS, true));
        sessions.close();
        assert!(sessions.enter(None).is_none());
    }
}
