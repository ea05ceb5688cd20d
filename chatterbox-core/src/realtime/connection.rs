//! The one task of a connection: reads its websocket, runs the application's session, ends with the connection.
//!
//! ```text
//! websocket ─▶ Reader ─▶ eio::Session ─▶ message ─▶ Session::handle, while it is ready
//! POST body ────────────────▶ packets ─▶ message ─┘
//! woken ────────────────────────────────────────▶ Session::poll
//! ```
//! It never writes on a plain TCP stream, it only waits until the kernel has room again; other streams it writes
//! itself. While a client is silent the task holds no buffer.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf as _, Bytes};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::application::Session;
use super::sessions::Place;
use crate::engine::eio::Outputs;
use crate::engine::websocket::{Fault, MessageLimits, Reader};
use crate::engine::{Frame, Message};
use crate::hub::Link;
use crate::hub::driver::{Arrival, ReadSide};
use crate::hub::flusher::now;

/// Bytes read at once, on the stack.
const READ_BYTES: usize = 16 << 10;
/// Messages handed up in one go, before other tasks get their turn.
const MESSAGES_PER_TURN: u32 = 256;
/// Bytes per write on streams that the task writes itself.
const WRITE_BYTES: usize = 64 << 10;

/// See the [module](self).
pub(super) struct Connection<S: Session> {
    link: Link,
    limits: MessageLimits,
    session: Option<S>,
    socket: Option<Box<Socket>>,
    application_deadline: Option<Instant>,
    /// The server ends the connection: what comes is not handed up any more, and until then it waits for answers.
    finish_by: Option<Instant>,
    /// Messages that may still be handed up in this turn.
    left_in_turn: u32,
    place: Place,
}

struct Socket {
    stream: ReadSide,
    reader: Reader,
    /// Read, but the application was not ready for it.
    pending: Bytes,
    /// Taken from the queue for a stream that the task writes.
    writing: Bytes,
    /// Written to the stream, which may hold some of it back.
    unflushed: bool,
    within_message: bool,
    /// The client broke the protocol: nothing it sends is looked at any more.
    broken: bool,
}

/// Why reading stopped.
#[derive(PartialEq, Eq)]
enum Stopped {
    /// Nothing more has come.
    Dry,
    /// The application has enough for now, or it is the turn of others.
    Full,
}

impl<S: Session> Connection<S> {
    pub(super) fn new(link: Link, limits: MessageLimits, session: S, place: Place) -> Connection<S> {
        Connection {
            link,
            limits,
            session: Some(session),
            socket: None,
            application_deadline: None,
            finish_by: None,
            left_in_turn: 0,
            place,
        }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    fn is_ready(&self) -> bool {
        let takes_more = self.finish_by.is_some() || self.session.as_ref().is_none_or(Session::ready);
        self.left_in_turn > 0 && takes_more
    }

    fn hand_up(&mut self, message: Message, now: Instant) {
        self.left_in_turn -= 1;
        if self.finish_by.is_none()
            && let Some(session) = &mut self.session
        {
            session.handle(message, now);
        }
    }

    /// Hands up what POSTs brought.
    fn take_packets(&mut self, now: Instant) -> Stopped {
        while self.is_ready() {
            let Some(message) = self.link.next_message() else {
                return Stopped::Dry;
            };
            self.hand_up(message, now);
        }
        Stopped::Full
    }

    /// Reads until nothing comes any more or the application has enough.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Stopped {
        let Some(mut socket) = self.socket.take() else {
            return Stopped::Dry;
        };
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        loop {
            if !socket.pending.is_empty() {
                let pending = std::mem::take(&mut socket.pending);
                let mut rest = &pending[..];
                let stopped = self.digest(&mut socket, &mut rest, now);
                let rest = rest.len();
                socket.pending = pending.slice(pending.len() - rest..);
                if stopped == Stopped::Full {
                    self.socket = Some(socket);
                    return Stopped::Full;
                }
            }
            if !self.is_ready() {
                self.socket = Some(socket);
                return Stopped::Full;
            }
            let mut buffer = ReadBuf::uninit(&mut space);
            let polled = match &mut socket.stream {
                ReadSide::Tcp(read) => Pin::new(read).poll_read(cx, &mut buffer),
                ReadSide::Other(io) => Pin::new(io).poll_read(cx, &mut buffer),
            };
            match polled {
                Poll::Pending => {
                    self.socket = Some(socket);
                    return Stopped::Dry;
                }
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let mut rest = buffer.filled();
                    self.digest(&mut socket, &mut rest, now);
                    if !rest.is_empty() {
                        socket.pending = Bytes::copy_from_slice(rest);
                    }
                }
                Poll::Ready(result) => {
                    // The end; the socket goes with it.
                    self.link
                        .with(|session, now, out| session.websocket_gone(result.is_ok(), now, out));
                    return Stopped::Dry;
                }
            }
        }
    }

    /// Reads messages out of bytes and hands them up.
    fn digest(&mut self, socket: &mut Socket, input: &mut &[u8], now: Instant) -> Stopped {
        if socket.broken {
            *input = &[];
        }
        while !input.is_empty() {
            if !self.is_ready() {
                return Stopped::Full;
            }
            let event = match socket.reader.read(input, self.limits) {
                Ok(None) => break,
                Ok(Some(event)) => Ok(event),
                Err(fault) => {
                    socket.broken = true;
                    if fault == Fault::TooLarge {
                        let (id, bytes_max) = (self.link.id(), self.limits.bytes_max);
                        tracing::info!(
                            connection.id = %id, bytes_max,
                            "connection {id} sent a websocket message over {bytes_max} bytes or of too many fragments"
                        );
                    }
                    *input = &[];
                    Err(fault)
                }
            };
            let message = self
                .link
                .with(|session, now, out| session.websocket_event(event, now, out));
            if let Some(message) = message {
                self.hand_up(message, now);
            }
        }
        let within_message = socket.reader.is_within_message();
        if within_message != socket.within_message {
            socket.within_message = within_message;
            self.link
                .with(|session, now, _| session.receiving(within_message, now));
        }
        Stopped::Dry
    }

    /// Writes on a stream that is not the flusher's, and waits for room in the kernel on one that is.
    fn write(&mut self, cx: &mut Context<'_>, blocked: bool) {
        let Some(socket) = &mut self.socket else { return };
        match &mut socket.stream {
            ReadSide::Tcp(read) => {
                if blocked && read.as_ref().poll_write_ready(cx).is_ready() {
                    self.link.unblock();
                }
            }
            ReadSide::Other(io) => {
                match write_queue(&self.link, io, &mut socket.writing, &mut socket.unflushed, cx) {
                    Poll::Ready(Ok(())) if blocked => self.link.unblock(),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                    Poll::Ready(Err(_broken)) => {
                        self.link
                            .with(|session, now, out| session.websocket_gone(false, now, out));
                        self.socket = None;
                    }
                }
            }
        }
    }

    /// Lets the application go on with what it has begun.
    fn poll_session(&mut self, cx: &mut Context<'_>) {
        let Some(session) = &mut self.session else { return };
        session.poll(cx);
        let deadline = [session.poll_timeout(), self.finish_by]
            .into_iter()
            .flatten()
            .min();
        if deadline != self.application_deadline {
            self.application_deadline = deadline;
            self.link.set_application_deadline(deadline);
        }
    }

    /// The server has ended the connection: closes it when everything is answered, or time is up.
    fn finish(&mut self, now: Instant) {
        let Some(session) = &self.session else { return };
        if self.finish_by.is_some_and(|by| by <= now || session.is_idle()) {
            self.link.say_farewell();
        }
    }
}

fn write_queue(
    link: &Link,
    io: &mut TokioIo<Upgraded>,
    writing: &mut Bytes,
    unflushed: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        if writing.is_empty() {
            *writing = link.with(|session, _, _| {
                let mut frames = Vec::new();
                session.queue().take(&mut frames, 64, WRITE_BYTES);
                match &frames[..] {
                    [only] => only.as_websocket().clone(),
                    _ => frames
                        .iter()
                        .flat_map(|frame: &Frame| frame.as_websocket().iter().copied())
                        .collect(),
                }
            });
            if writing.is_empty() {
                if *unflushed {
                    ready!(Pin::new(&mut *io).poll_flush(cx))?;
                    *unflushed = false;
                    link.with(|session, _, out| session.written(out));
                }
                return Poll::Ready(Ok(()));
            }
        }
        let Poll::Ready(result) = Pin::new(&mut *io).poll_write(cx, writing) else {
            link.set_blocked();
            return Poll::Pending;
        };
        let count = result?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        *unflushed = true;
        writing.advance(count);
        link.with(|session, _, _: &mut Outputs| session.queue().wrote(count));
    }
}

// The application's session is only ever used by reference, never pinned.
impl<S: Session> Unpin for Connection<S> {}

impl<S: Session> Future for Connection<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let now = now();
        this.left_in_turn = MESSAGES_PER_TURN;
        loop {
            let look = this.link.look(cx.waker());
            if let Some(arrival) = look.arrival {
                let Arrival {
                    stream,
                    reader,
                    pending,
                } = *arrival;
                this.socket = Some(Box::new(Socket {
                    stream,
                    reader,
                    pending,
                    writing: Bytes::new(),
                    unflushed: false,
                    within_message: false,
                    broken: false,
                }));
            }
            if let Some(reason) = look.closed
                && let Some(session) = this.session.take()
            {
                session.closed(reason);
            }
            if let Some((reason, by)) = look.finishing
                && this.finish_by.replace(by).is_none()
                && let Some(session) = &mut this.session
            {
                session.finish(reason);
            }
            if look.gone {
                return Poll::Ready(());
            }
            if look.joined {
                this.place.joined();
            }
            if this.application_deadline.is_some_and(|deadline| deadline <= now)
                && let Some(session) = &mut this.session
            {
                this.application_deadline = None;
                if session.poll_timeout().is_some_and(|deadline| deadline <= now) {
                    session.handle_timeout(now);
                }
            }
            let packets = if look.has_packets && this.finish_by.is_none() {
                this.take_packets(now)
            } else {
                Stopped::Dry
            };
            let bytes = this.read(cx, now);
            this.write(cx, look.blocked);
            this.poll_session(cx);
            this.finish(now);
            let stopped = packets == Stopped::Full || bytes == Stopped::Full;
            if stopped && this.left_in_turn == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // Room was made, so that nobody would wake us for what is still here.
            if !(stopped && this.is_ready()) {
                return Poll::Pending;
            }
        }
    }
}

impl<S: Session> Drop for Connection<S> {
    /// The runtime is going down with the task: the application hears of it all the same.
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.closed(crate::engine::CloseReason::ShuttingDown);
        }
    }
}
