//! One connection: the machine, the lanes of its sockets, and the orders of handlers.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::FutureExt;
use smallvec::SmallVec;

use super::builder::Running;
use super::connect::{ConnectRequest, Refusal};
use super::data::Data;
use super::lane::{Afterlife, Lane};
use super::server::SocketIo;
use super::socket::Socket;
use super::socket_id::SocketId;
use crate::engine::sio::{NamespaceId, Output, Sockets, Value};
use crate::engine::{CloseReason, Message};
use crate::hub::Link;
use crate::realtime::application::{Handshake, Session};

/// What the sockets of a connection share.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) link: Link,
    pub(super) handshake: Handshake,
    /// At most one per socket and one for all.
    commands: Mutex<Vec<Command>>,
}

/// What a handler, or anybody with a [`Socket`], wants of the connection's task.
#[derive(Debug)]
pub(super) enum Command {
    /// Take this socket, which has ended, out of its namespace.
    Leave(Socket),
    /// Take all sockets out and close.
    LeaveAll,
}

impl Connection {
    pub(super) fn command(&self, command: Command) {
        self.commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(command);
        self.link.wake();
    }

    fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Socket.IO on one connection; the drivers run it.
pub struct SocketIoSession {
    server: SocketIo,
    connection: Arc<Connection>,
    sockets: Sockets,
    admissions: Vec<Admission>,
    /// Of all sockets, and of those that left while handlers of theirs still run.
    lanes: SmallVec<[Lane; 1]>,
}

/// An admission check under way.
struct Admission {
    namespace: NamespaceId,
    request: ConnectRequest,
    check: Running<Result<(), Refusal>>,
}

impl SocketIoSession {
    pub(super) fn new(server: SocketIo, link: Link, handshake: Handshake) -> SocketIoSession {
        let sockets = Sockets::new(Arc::clone(&server.0.rules));
        let connection = Arc::new(Connection {
            link,
            handshake,
            commands: Mutex::default(),
        });
        SocketIoSession {
            server,
            connection,
            sockets,
            admissions: Vec::new(),
            lanes: SmallVec::new(),
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Connect { namespace, auth } => self.connect(namespace, auth),
            Output::Event(event) => {
                if let Some(lane) = self.lane(event.namespace) {
                    lane.push(event);
                }
            }
            Output::Ack(ack) => {
                if let Some(lane) = self.lane(ack.namespace) {
                    lane.socket().answered(ack.id, ack.args);
                }
            }
            Output::Left { namespace } => {
                self.admissions
                    .retain(|admission| admission.namespace != namespace);
                self.end(namespace, CloseReason::ClientDisconnect);
            }
            Output::Send(packet) => self.connection.link.send(packet),
            Output::Close(reason) => self.connection.link.close(reason),
        }
    }

    /// The lane of the socket that is in a namespace now.
    fn lane(&mut self, namespace: NamespaceId) -> Option<&mut Lane> {
        self.lanes
            .iter_mut()
            .find(|lane| !lane.is_over() && lane.socket().namespace_id() == namespace)
    }

    fn end(&mut self, namespace: NamespaceId, reason: CloseReason) {
        if let Some(lane) = self.lane(namespace) {
            // False if the server ended it a moment ago; then the server's reason stands in a command.
            if lane.socket().end() {
                lane.finish(reason);
            } else {
                lane.finish(CloseReason::ServerDisconnect);
            }
        }
    }

    fn connect(&mut self, namespace: NamespaceId, auth: Option<Value>) {
        let members = self.server.members(namespace);
        let request = ConnectRequest {
            namespace: Arc::clone(&members.name),
            auth,
            connection: Arc::clone(&self.connection),
            data: Arc::new(Data::default()),
        };
        match &members.handlers.admit {
            None => self.accept(namespace, request),
            Some(admit) => {
                let check = admit(request.clone());
                let name = Arc::clone(&members.name);
                let check = Box::pin(AssertUnwindSafe(check).catch_unwind().map(move |done| {
                    done.unwrap_or_else(|_panic| {
                        tracing::error!(namespace = &*name, "an admission check panicked");
                        Err(Refusal::new("internal error"))
                    })
                }));
                self.admissions.push(Admission {
                    namespace,
                    request,
                    check,
                });
            }
        }
    }

    /// The answer first, then within reach of broadcasts, then the connect handler, then what the client sent early.
    fn accept(&mut self, namespace: NamespaceId, request: ConnectRequest) {
        let id = SocketId::random();
        let Some(accepted) = self.sockets.accept(namespace, id.as_str()) else {
            return;
        };
        self.connection.link.send(accepted.answer);
        self.connection.link.joined();
        let socket = Socket::new(id, self.server.clone(), namespace, request);
        socket.enter();
        let mut lane = Lane::new(socket);
        accepted.held.into_iter().for_each(|event| lane.push(event));
        self.lanes.push(lane);
    }

    /// Carries out what handlers ordered, before anything further of the client is looked at.
    fn obey(&mut self) {
        for command in self.connection.take_commands() {
            match command {
                Command::Leave(socket) => self.leave(&socket),
                Command::LeaveAll => {
                    let joined: SmallVec<[Socket; 1]> = self
                        .lanes
                        .iter()
                        .filter(|lane| !lane.is_over())
                        .map(|lane| lane.socket().clone())
                        .collect();
                    for socket in joined {
                        socket.end();
                        self.leave(&socket);
                    }
                    self.connection.link.close(CloseReason::ForcedClose);
                }
            }
        }
    }

    fn leave(&mut self, socket: &Socket) {
        // A socket that the client took out in the meantime, perhaps with a successor in its place, is let be.
        let Some(lane) = self
            .lanes
            .iter_mut()
            .find(|lane| !lane.is_over() && lane.socket() == socket)
        else {
            return;
        };
        lane.finish(CloseReason::ServerDisconnect);
        if let Some(goodbye) = self.sockets.disconnect(socket.namespace_id()) {
            self.connection.link.send(goodbye);
        }
    }

    fn poll_admissions(&mut self, context: &mut Context<'_>) {
        let mut decided = SmallVec::<[_; 1]>::new();
        let mut at = 0;
        while at < self.admissions.len() {
            match self.admissions[at].check.as_mut().poll(context) {
                Poll::Pending => at += 1,
                Poll::Ready(verdict) => decided.push((self.admissions.remove(at), verdict)),
            }
        }
        for (
            Admission {
                namespace, request, ..
            },
            verdict,
        ) in decided
        {
            match verdict {
                Ok(()) => self.accept(namespace, request),
                Err(Refusal { message, data }) => {
                    if let Some(refusal) = self.sockets.refuse(namespace, &message, data.as_ref()) {
                        self.connection.link.send(refusal);
                    }
                }
            }
        }
    }
}

impl Session for SocketIoSession {
    fn handle(&mut self, message: Message, now: Instant) {
        self.obey();
        if let Some(output) = self.sockets.handle(message, now) {
            self.output(output);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        self.obey();
        self.poll_admissions(context);
        for lane in &mut self.lanes {
            lane.poll(context);
        }
        // What the handlers ordered just now; it may start disconnect handlers.
        self.obey();
        for lane in self.lanes.iter_mut().filter(|lane| lane.is_over()) {
            lane.poll(context);
        }
        self.lanes.retain(|lane| !(lane.is_over() && lane.is_idle()));
    }

    fn ready(&self) -> bool {
        self.sockets.is_ready() && self.lanes.iter().all(Lane::has_room)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.sockets.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(output) = self.sockets.handle_timeout(now) {
            self.output(output);
        }
    }

    fn is_idle(&self) -> bool {
        self.admissions.is_empty() && self.lanes.iter().all(Lane::has_answered)
    }

    fn closed(mut self, reason: CloseReason) {
        self.obey();
        for lane in self.lanes.iter_mut().filter(|lane| !lane.is_over()) {
            lane.socket().end();
            lane.finish(reason);
        }
        let left: Vec<Lane> = self.lanes.into_iter().filter(|lane| !lane.is_idle()).collect();
        if !left.is_empty() {
            self.server.0.tasks.spawn(Afterlife(left));
        }
    }
}
