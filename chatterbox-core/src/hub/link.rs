//! The sending side of one connection, as everything above the engine holds it.
//!
//! ```text
//! Link ──▶ state { Engine.IO session with its queue, write half of the socket, requests to answer }
//!   who comes here              for what
//!   any thread                  send, close, wake
//!   the shard's flusher         takes frames and writes them (flusher.rs)
//!   the shard's wheel           deadlines (wheel.rs)
//!   the connection's task       hands in what it read, learns of the end (realtime::connection)
//!   HTTP requests               GETs, POSTs, probing websockets (realtime::polling, realtime::upgrade)
//! ```
//! Each takes the state's lock for a moment and never while it waits for anything.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::Instant;

use futures_util::task::AtomicWaker;

use super::driver::{Arrival, Requests, Wire};
use super::farewell::{Farewell, Pending};
use super::flusher::{Shard, now};
use crate::engine::eio::{Output, Outputs, Session};
use crate::engine::{CloseReason, Message, Packet};
use crate::ids::UserId;

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
    /// `None`: no driver, see [`Detached`].
    shard: Option<Arc<Shard>>,
    state: Mutex<State>,
    /// A copy of the queue's size, readable without the lock.
    queued_bytes: AtomicUsize,
    /// Set by the first close, before anybody is told of it.
    closed: AtomicBool,
    owner: OnceLock<UserId>,
    /// The connection's task.
    task: AtomicWaker,
}

/// What the lock guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) session: Session,
    pub(super) wire: Wire,
    pub(super) requests: Requests,
    /// On the shard's dirty list.
    pub(super) dirty: bool,
    /// The kernel's buffer is full; the connection's task waits until it has room.
    pub(super) blocked: bool,
    joined: bool,
    reason: Option<CloseReason>,
    /// How it is to end once the application has answered.
    farewell: Option<Box<Pending>>,
    /// When the wheel looks here next.
    timer_at: Option<Instant>,
    /// When the application wants to be called.
    application_deadline: Option<Instant>,
    /// A websocket that has just become the transport, for the connection's task.
    arrival: Option<Box<Arrival>>,
}

/// What the connection's task learns when it looks.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each read once")]
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) arrival: Option<Box<Arrival>>,
    pub(crate) closed: Option<CloseReason>,
    /// Why the connection is to end as soon as the application has answered, and when at the latest.
    pub(crate) finishing: Option<(CloseReason, Instant)>,
    pub(crate) gone: bool,
    pub(crate) joined: bool,
    pub(crate) blocked: bool,
    pub(crate) has_packets: bool,
}

impl Link {
    /// This connection's number.
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// Whose device it is, once that is known: several connections of one person count as one where people are counted.
    pub fn owner(&self) -> Option<UserId> {
        self.0.owner.get().copied()
    }

    /// Says whose device it is; the first time counts.
    pub fn set_owner(&self, user: UserId) {
        let _ = self.0.owner.set(user);
    }

    /// Queues a packet behind everything sent before. If the queue would grow over its bound (1 MiB by default), the
    /// connection is closed with [`CloseReason::SlowReader`].
    pub fn send(&self, packet: Packet) {
        self.send_all([packet]);
    }

    /// Queues several packets one behind the other, each as by [`send`](Link::send).
    pub fn send_all(&self, packets: impl IntoIterator<Item = Packet>) {
        let mut state = self.lock();
        for packet in packets {
            if state.session.send(packet).is_err() {
                tracing::info!(connection.id = %self.id(), "connection {} reads too slowly, closing it", self.id());
                let mut out = Outputs::new();
                state.session.overflow(now(), &mut out);
                return self.settle(&mut state, out);
            }
        }
        self.after_queueing(&mut state);
    }

    /// Sends a packet only if the client can take it right now: a GET is held, or the kernel has taken all of the
    /// websocket's earlier data (PROTOCOL.md section 11). However many are sent in a row, they leave three quarters of
    /// the queue to others, so a flood of them ends nobody. Returns whether it was queued.
    pub fn send_volatile(&self, packet: Packet) -> bool {
        let mut state = self.lock();
        let writable = match &state.wire {
            Wire::None => state.session.holds_get(),
            // What the flusher has not looked at yet goes out in the same write.
            Wire::Tcp(_) | Wire::Task => !state.blocked,
        };
        let queued = writable && state.session.has_slack() && state.session.send(packet).is_ok();
        self.after_queueing(&mut state);
        queued
    }

    /// Queues a packet that may get lost (typing, presence): dropped while the queue is above a quarter of its bound.
    /// Returns whether it was queued.
    pub fn send_droppable(&self, packet: Packet) -> bool {
        let mut state = self.lock();
        let queued = state.session.has_slack() && state.session.send(packet).is_ok();
        self.after_queueing(&mut state);
        queued
    }

    /// Ends the connection after what is queued; nothing more can be queued. The first reason counts.
    pub fn close(&self, reason: CloseReason) {
        self.with(|session, now, out| session.close(reason, now, out));
    }

    /// Ends the connection in good order: nothing more is taken from the client, the application answers what it has
    /// begun ([`Session::is_idle`](crate::realtime::application::Session::is_idle)), then the farewell is sent and the
    /// connection closed. The first farewell counts.
    pub fn finish(&self, farewell: Farewell) {
        let by = now() + farewell.patience;
        self.lock()
            .farewell
            .get_or_insert_with(|| Box::new(Pending { farewell, by }));
        self.wake();
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
        let mut state = self.lock();
        state.session.joined();
        state.joined = true;
        self.wake();
    }

    /// Whether a namespace was joined.
    pub(crate) fn has_joined(&self) -> bool {
        self.lock().joined
    }

    /// Bytes that are queued and not yet taken by the kernel or a GET.
    pub fn queued_bytes(&self) -> usize {
        self.0.queued_bytes.load(Ordering::Relaxed)
    }

    /// A form that doesn't keep the connection's memory alive.
    pub fn downgrade(&self) -> WeakLink {
        WeakLink(Arc::downgrade(&self.0))
    }

    // ---- for the drivers ----

    pub(crate) fn open(session: Session, shard: Option<Arc<Shard>>) -> Link {
        let link = Link(Arc::new(Inner {
            id: ConnectionId::next(),
            shard,
            state: Mutex::new(State {
                session,
                wire: Wire::None,
                requests: Requests::default(),
                dirty: false,
                blocked: false,
                joined: false,
                reason: None,
                farewell: None,
                timer_at: None,
                application_deadline: None,
                arrival: None,
            }),
            queued_bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            owner: OnceLock::new(),
            task: AtomicWaker::new(),
        }));
        link.reschedule(&mut link.lock());
        link
    }

    /// Feeds the session, and does what it asks for.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Session, Instant, &mut Outputs) -> T) -> T {
        let (mut state, mut out) = (self.lock(), Outputs::new());
        let answer = act(&mut state.session, now(), &mut out);
        self.settle(&mut state, out);
        answer
    }

    /// Like [`with`](Link::with), with the requests to be answered besides.
    pub(crate) fn with_requests<T>(
        &self,
        act: impl FnOnce(&mut Session, &mut Requests, Instant, &mut Outputs) -> T,
    ) -> T {
        let (mut guard, mut out) = (self.lock(), Outputs::new());
        let state = &mut *guard;
        let answer = act(&mut state.session, &mut state.requests, now(), &mut out);
        self.settle(state, out);
        answer
    }

    /// The next message of a POST, for the connection's task.
    pub(crate) fn next_message(&self) -> Option<Message> {
        self.with(Session::next_message)
    }

    /// From now on the session sends over this wire, and its task reads what arrived.
    pub(crate) fn attach(&self, wire: Wire, arrival: Arrival) {
        let mut state = self.lock();
        state.wire = wire;
        state.arrival = Some(Box::new(arrival));
        self.settle(&mut state, Outputs::new());
        self.wake();
    }

    /// What the connection's task has to know; `waker` is woken when that changes.
    pub(crate) fn look(&self, waker: &Waker) -> Look {
        self.0.task.register(waker);
        let mut state = self.lock();
        Look {
            arrival: state.arrival.take(),
            closed: state.reason,
            finishing: state
                .farewell
                .as_ref()
                .map(|pending| (pending.farewell.reason, pending.by)),
            gone: state.session.is_gone(),
            joined: state.joined,
            blocked: state.blocked,
            has_packets: state.session.has_packets(),
        }
    }

    /// The application has answered, or had its time: see [`finish`](Link::finish).
    pub(crate) fn say_farewell(&self) {
        let pending = self.lock().farewell.take();
        if let Some(pending) = pending {
            let Farewell { packets, reason, .. } = pending.farewell;
            packets.into_iter().for_each(|packet| self.send(packet));
            self.close(reason);
        }
    }

    /// The kernel has room again.
    pub(crate) fn unblock(&self) {
        let mut state = self.lock();
        state.blocked = false;
        self.settle(&mut state, Outputs::new());
    }

    /// The stream takes nothing more for now.
    pub(crate) fn set_blocked(&self) {
        self.lock().blocked = true;
    }

    /// When the application wants to be called.
    pub(crate) fn set_application_deadline(&self, at: Option<Instant>) {
        let mut state = self.lock();
        state.application_deadline = at;
        self.reschedule(&mut state);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_size(&self, state: &State) {
        self.0
            .queued_bytes
            .store(state.session.queued_bytes(), Ordering::Relaxed);
    }

    /// After anything was queued: see to it that it is written.
    fn after_queueing(&self, state: &mut State) {
        self.note_size(state);
        if state.session.queue().is_empty() || state.blocked {
            return;
        }
        match &state.wire {
            Wire::None if !state.session.holds_get() => {}
            Wire::Task => self.wake(),
            Wire::None | Wire::Tcp(_) => {
                if let Some(shard) = &self.0.shard
                    && !std::mem::replace(&mut state.dirty, true)
                {
                    shard.mark_dirty(self.clone());
                }
            }
        }
    }

    /// After an input: carries out what came of it.
    pub(super) fn settle(&self, state: &mut State, mut out: Outputs) {
        while !out.is_empty() {
            for output in std::mem::take(&mut out) {
                match output {
                    Output::Closed(reason) => {
                        self.0.closed.store(true, Ordering::Release);
                        state.reason = Some(reason);
                        self.wake();
                    }
                    Output::Gone => {
                        state.wire = Wire::None;
                        self.wake();
                    }
                    Output::AnswerGet(..)
                    | Output::AnswerPost(_)
                    | Output::Refuse(..)
                    | Output::AnswerProbe(..)
                    | Output::EndProbe(_)
                    | Output::Upgraded(_) => {
                        state.requests.answer(output, &mut state.session, now(), &mut out);
                    }
                }
            }
        }
        if state.session.has_packets() {
            self.wake();
        }
        self.after_queueing(state);
        self.reschedule(state);
    }

    /// Asks the wheel to look here when the next deadline comes, unless it does so earlier anyway.
    fn reschedule(&self, state: &mut State) {
        let Some(shard) = &self.0.shard else { return };
        let deadlines = [state.session.deadline(), state.application_deadline];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            return;
        };
        if state.timer_at.is_none_or(|at| next < at) {
            state.timer_at = Some(next);
            shard.wheel.schedule(self.downgrade(), next);
        }
    }

    /// The wheel's turn.
    pub(super) fn fire(&self, now: Instant) {
        let (mut state, mut out) = (self.lock(), Outputs::new());
        if state.timer_at.is_some_and(|at| at > now) {
            // An entry that an earlier one has overtaken.
            return;
        }
        state.timer_at = None;
        if state.session.deadline().is_some_and(|deadline| deadline <= now) {
            state.session.handle_timeout(now, &mut out);
        }
        if state.application_deadline.is_some_and(|deadline| deadline <= now) {
            // The task calls the application and sets the next deadline.
            state.application_deadline = None;
            self.wake();
        }
        self.settle(&mut state, out);
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

/// A connection without a socket, for tests of what runs on links.
#[cfg(any(test, feature = "testkit"))]
#[derive(Debug)]
pub struct Detached(Link);

#[cfg(any(test, feature = "testkit"))]
impl Detached {
    /// A writable connection with the given bounds on its queue.
    pub fn new(queue: crate::engine::eio::QueueLimits) -> Detached {
        use crate::engine::eio::{Config, TransportKind};
        let config = Config {
            queue,
            ..Config::default()
        };
        let session = Session::new(Arc::new(config), TransportKind::WebSocket, now());
        let link = Link::open(session, None);
        link.lock().wire = Wire::Task;
        Detached(link)
    }

    /// The link to it.
    pub fn link(&self) -> Link {
        self.0.clone()
    }

    /// Takes the frames sent so far, in order; without the close frame that an end adds.
    pub fn take_sent(&self) -> Vec<crate::engine::Frame> {
        let mut state = self.0.lock();
        let mut frames = Vec::new();
        state.session.queue().take(&mut frames, usize::MAX, usize::MAX);
        let bytes = frames.iter().map(crate::engine::Frame::len).sum();
        state.session.queue().wrote(bytes);
        self.0.note_size(&state);
        frames.retain(|frame| frame.kind() != crate::engine::frame::FrameKind::Control);
        frames
    }

    /// Why it was closed, if it was.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.0.lock().reason
    }

    /// Whether [`Link::joined`] was called.
    pub fn has_joined(&self) -> bool {
        self.0.lock().joined
    }

    /// Says whether volatile packets get through.
    pub fn set_writable(&self, writable: bool) {
        self.0.lock().blocked = !writable;
    }

    /// Registers whom [`Link::wake`] and closing wake, as the connection's task does.
    pub fn on_wake(&self, waker: &Waker) {
        self.0.0.task.register(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Frame;
    use crate::engine::eio::QueueLimits;
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
        assert!(link.queued_bytes() < 20, "only the close frame is left");
        link.send(packet(10));
        assert!(connection.take_sent().is_empty());
    }

    #[test]
    fn several_packets_go_out_in_order_and_end_at_the_one_too_much() {
        let connection = Detached::new(SMALL);
        let link = connection.link();
        link.send_all([10, 20, 30].map(packet));
        let sizes: Vec<usize> = connection.take_sent().iter().map(Frame::len).collect();
        assert_eq!(sizes, [10, 20, 30]);
        link.send_all([60, 60, 10].map(packet));
        assert_eq!(connection.close_reason(), Some(CloseReason::SlowReader));
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
    fn a_flood_of_volatile_packets_leaves_room_for_others() {
        // By bytes, and by frames: three of eight small ones are in the queue when it has no more slack.
        for (bytes, sent) in [(13, 2), (2, 3)] {
            let connection = Detached::new(SMALL);
            let link = connection.link();
            let queued = (0..50).filter(|_| link.send_volatile(packet(bytes))).count();
            assert_eq!(queued, sent);
            link.send(packet(10));
            assert_eq!(connection.close_reason(), None);
            assert_eq!(connection.take_sent().len(), sent + 1);
        }
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
