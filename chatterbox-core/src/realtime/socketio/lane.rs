//! Runs the handlers of one socket.
//!
//! ```text
//! connect handler │ waiting events, in order ▶ up to 32 running ▶ done
//!  (to its end)                                 ▲ started first to last
//! ```

use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use super::builder::Running;
use super::socket::Socket;
use crate::engine::CloseReason;
use crate::engine::sio::Event;

/// Handlers of one socket that run at once.
const RUNNING_MAX: usize = 32;
/// Events of one socket that wait for a handler to end, in number and bytes; then the client waits.
const WAITING_MAX: usize = 1024;
const WAITING_BYTES_MAX: usize = 1024 * 1024;

pub(super) struct Lane {
    socket: Socket,
    connecting: Option<Running>,
    waiting: VecDeque<Step>,
    waiting_bytes: usize,
    running: FuturesUnordered<Running>,
    /// The socket has left; no further event comes.
    over: bool,
}

enum Step {
    Event(Event),
    Disconnected(CloseReason),
}

impl Lane {
    /// For a socket that has just joined.
    pub(super) fn new(socket: Socket) -> Lane {
        let handler = socket
            .server()
            .members(socket.namespace_id())
            .handlers
            .connect
            .as_ref();
        let connecting =
            handler.map(|handler| isolated("connect".to_owned(), &socket, handler(socket.clone())));
        Lane {
            socket,
            connecting,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            running: FuturesUnordered::new(),
            over: false,
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether another event may come.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX && self.waiting_bytes < WAITING_BYTES_MAX
    }

    /// Nothing runs and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.connecting.is_none() && self.waiting.is_empty() && self.running.is_empty()
    }

    /// Whether every event was handled. A connect handler may run on: the client asked it for nothing.
    pub(super) fn has_answered(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    pub(super) fn push(&mut self, event: Event) {
        self.waiting_bytes += event.args.wire_bytes();
        self.waiting.push_back(Step::Event(event));
    }

    /// The socket is out; what is left is to run. After a disconnect by the server nothing more of the client's is.
    pub(super) fn finish(&mut self, reason: CloseReason) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        if reason == CloseReason::ServerDisconnect {
            self.waiting.clear();
        }
        let handlers = &self.socket.server().members(self.socket.namespace_id()).handlers;
        if handlers.disconnect.is_some() {
            self.waiting.push_back(Step::Disconnected(reason));
        }
    }

    /// Starts and continues handlers, until all of them wait for something.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(connecting) = &mut self.connecting {
            if connecting.as_mut().poll(context).is_pending() {
                return;
            }
            self.connecting = None;
        }
        loop {
            while self.running.len() < RUNNING_MAX
                && let Some(step) = self.waiting.pop_front()
            {
                if let Some(started) = self.start(step) {
                    // Polled first to last: the queue of what is ready is one of first in, first out.
                    self.running.push(started);
                }
            }
            match self.running.poll_next_unpin(context) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    fn start(&mut self, step: Step) -> Option<Running> {
        let handlers = &self.socket.server().members(self.socket.namespace_id()).handlers;
        match step {
            Step::Event(event) => {
                self.waiting_bytes = self.waiting_bytes.saturating_sub(event.args.wire_bytes());
                let handler = handlers.event(event.name())?;
                let name = event.name().to_owned();
                Some(isolated(name, &self.socket, handler(self.socket.clone(), event)))
            }
            Step::Disconnected(reason) => {
                let handler = handlers.disconnect.as_ref()?;
                Some(isolated(
                    "disconnect".to_owned(),
                    &self.socket,
                    handler(self.socket.clone(), reason),
                ))
            }
        }
    }
}

/// Runs lanes to their end, for connections that are gone.
pub(super) struct Afterlife(pub(super) Vec<Lane>);

impl Future for Afterlife {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.retain_mut(|lane| {
            lane.poll(context);
            !lane.is_idle()
        });
        if self.0.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// A handler whose panic ends nothing but itself.
fn isolated(event: String, socket: &Socket, handler: Running) -> Running {
    let socket = socket.clone();
    Box::pin(AssertUnwindSafe(handler).catch_unwind().map(move |done| {
        if done.is_err() {
            let (namespace, id) = (socket.namespace_name(), socket.id());
            tracing::error!(namespace, socket = %id, event, "a handler panicked");
        }
    }))
}
