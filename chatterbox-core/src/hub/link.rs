//! The sending side of one connection, as everything above the engine holds it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::task::AtomicWaker;

use crate::engine::eio::queue::{QueueLimits, SendQueue};
use crate::engine::{CloseReason, Packet};

/// Identifies a connection within this process. Not a secret, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    fn next() -> ConnectionId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Sends to one connection and wakes what runs on it. Cheap to clone; clones are the same connection.
///
/// Everything here returns at once and may be called from any thread. After the connection's end all of it is
/// without effect.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

/// A [`Link`] that does not keep the connection's memory alive.
#[derive(Debug, Clone, Default)]
pub struct WeakLink(Weak<Inner>);

#[derive(Debug)]
struct Inner {
    id: ConnectionId,
    limits: QueueLimits,
    state: Mutex<State>,
    /// A copy of the queue's size, readable without its lock.
    queued_bytes: AtomicUsize,
    /// Set by the first close, before anybody is told of it.
    closed: AtomicBool,
    /// The connection's task.
    task: AtomicWaker,
}

#[derive(Debug, Default)]
struct State {
    queue: SendQueue,
    reason: Option<CloseReason>,
    writable: bool,
    joined: bool,
}

impl Link {
    /// This connection's number.
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// Queues a packet behind everything sent before. If the queue would grow over its bound (1 MiB by default), the
    /// connection is closed with [`CloseReason::SlowReader`].
    pub fn send(&self, packet: Packet) {
        let mut state = self.0.lock();
        match state.queue.push(packet, self.0.limits) {
            Ok(()) => self.0.note_size(&state),
            Err(_full) => {
                state.queue.discard();
                self.0.close(&mut state, CloseReason::SlowReader);
            }
        }
    }

    /// Sends a packet only if the client can take it right now: a GET is held, or the websocket's earlier data went
    /// out (PROTOCOL.md section 11). Returns whether it was queued.
    pub fn send_volatile(&self, packet: Packet) -> bool {
        let mut state = self.0.lock();
        let queued = state.writable && !self.is_closed() && state.queue.push(packet, self.0.limits).is_ok();
        self.0.note_size(&state);
        queued
    }

    /// Queues a packet that may get lost (typing, presence): dropped while the queue is above a quarter of its bound.
    /// Returns whether it was queued.
    pub fn send_droppable(&self, packet: Packet) -> bool {
        let mut state = self.0.lock();
        let room = state.queue.bytes() <= self.0.limits.bytes_max / 4;
        let queued = room && !self.is_closed() && state.queue.push(packet, self.0.limits).is_ok();
        self.0.note_size(&state);
        queued
    }

    /// Ends the connection after what is queued; nothing more can be queued. The first reason counts.
    pub fn close(&self, reason: CloseReason) {
        let mut state = self.0.lock();
        self.0.close(&mut state, reason);
    }

    /// Whether the connection is over or about to be: nothing sent now arrives any more.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Makes the connection's task call [`Session::poll`](crate::realtime::application::Session::poll) soon.
    pub fn wake(&self) {
        self.0.task.wake();
    }

    /// A namespace was joined: the connect time-out no longer applies (PROTOCOL.md section 6).
    pub fn joined(&self) {
        self.0.lock().joined = true;
    }

    /// Bytes that are queued and not yet taken by the kernel or a GET.
    pub fn queued_bytes(&self) -> usize {
        self.0.queued_bytes.load(Ordering::Relaxed)
    }

    /// A form that doesn't keep the connection's memory alive.
    pub fn downgrade(&self) -> WeakLink {
        WeakLink(Arc::downgrade(&self.0))
    }
}

impl WeakLink {
    /// The link, if anybody still holds the connection.
    pub fn upgrade(&self) -> Option<Link> {
        self.0.upgrade().map(Link)
    }
}

impl PartialEq for Link {
    fn eq(&self, other: &Link) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Link {}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.0.id)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_size(&self, state: &State) {
        self.queued_bytes.store(state.queue.bytes(), Ordering::Relaxed);
    }

    fn close(&self, state: &mut State, reason: CloseReason) {
        if state.reason.is_none() {
            self.closed.store(true, Ordering::Release);
            state.reason = Some(reason);
            state.queue.seal();
            self.note_size(state);
            self.task.wake();
        }
    }
}

/// A connection without a socket, for tests of what runs on links.
#[cfg(any(test, feature = "testkit"))]
#[derive(Debug)]
pub struct Detached(Link);

#[cfg(any(test, feature = "testkit"))]
impl Detached {
    /// A writable connection with the given bounds.
    pub fn new(limits: QueueLimits) -> Detached {
        Detached(Link(Arc::new(Inner {
            id: ConnectionId::next(),
            limits,
            state: Mutex::new(State {
                writable: true,
                ..State::default()
            }),
            queued_bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            task: AtomicWaker::new(),
        })))
    }

    /// The link to it.
    pub fn link(&self) -> Link {
        self.0.clone()
    }

    /// Takes the frames sent so far, in order.
    pub fn take_sent(&self) -> Vec<crate::engine::Frame> {
        let inner = &self.0.0;
        let mut state = inner.lock();
        let mut frames = Vec::new();
        state.queue.take(&mut frames, usize::MAX, usize::MAX);
        state
            .queue
            .wrote(frames.iter().map(crate::engine::Frame::len).sum());
        inner.note_size(&state);
        frames
    }

    /// Why it was closed, if it was.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.0.0.lock().reason
    }

    /// Whether [`Link::joined`] was called.
    pub fn has_joined(&self) -> bool {
        self.0.0.lock().joined
    }

    /// Says whether volatile packets get through.
    pub fn set_writable(&self, writable: bool) {
        self.0.0.lock().writable = writable;
    }

    /// Registers whom [`Link::wake`] and closing wake, as the connection's task does.
    pub fn on_wake(&self, waker: &std::task::Waker) {
        self.0.0.task.register(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Frame;
    use smallvec::smallvec;

    const SMALL: QueueLimits = QueueLimits {
        bytes_max: 100,
        frames_max: 8,
    };

    fn packet(bytes: usize) -> Packet {
        smallvec![Frame::binary(&vec![0; bytes - 2])]
    }

    #[test]
    fn an_overflow_closes_the_slow_reader_and_frees_its_queue() {
        let connection = Detached::new(SMALL);
        let link = connection.link();
        link.send(packet(60));
        link.send(packet(60));
        assert_eq!(connection.close_reason(), Some(CloseReason::SlowReader));
        assert_eq!(link.queued_bytes(), 0);
        link.send(packet(10));
        assert!(connection.take_sent().is_empty());
    }

    #[test]
    fn what_was_queued_before_close_is_still_sent_and_nothing_after() {
        let connection = Detached::new(SMALL);
        let link = connection.link();
        link.send(packet(10));
        link.close(CloseReason::ForcedClose);
        link.send(packet(20));
        assert!(!link.send_volatile(packet(20)) && !link.send_droppable(packet(20)));
        link.close(CloseReason::Abuse);
        assert_eq!(connection.take_sent().len(), 1);
        assert_eq!(
            connection.close_reason(),
            Some(CloseReason::ForcedClose),
            "the first reason counts"
        );
    }

    #[test]
    fn volatile_packets_need_a_writable_transport() {
        let connection = Detached::new(SMALL);
        connection.set_writable(false);
        assert!(!connection.link().send_volatile(packet(10)));
        connection.set_writable(true);
        assert!(connection.link().send_volatile(packet(10)));
    }

    #[test]
    fn droppable_packets_give_way_above_a_quarter() {
        let connection = Detached::new(SMALL);
        let link = connection.link();
        assert!(
            link.send_droppable(packet(26)),
            "25 bytes or less are queued: there is room"
        );
        assert!(!link.send_droppable(packet(10)));
        link.send(packet(10));
        assert_eq!(link.queued_bytes(), 36);
    }

    #[test]
    fn a_weak_link_does_not_keep_a_connection() {
        let connection = Detached::new(SMALL);
        let weak = connection.link().downgrade();
        assert_eq!(weak.upgrade().map(|link| link.id()), Some(connection.link().id()));
        drop(connection);
        assert!(weak.upgrade().is_none());
    }
}
