//! One client in one namespace.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::ack::{AckError, Answer};
use super::broadcast::Broadcast;
use super::connect::ConnectRequest;
use super::server::{Namespace, SocketIo};
use super::session::Command;
use super::socket_id::SocketId;
use crate::engine::sio::{self, Acks, Args, EncodeError, NamespaceId, ToArgs, Value};
use crate::engine::{CloseReason, Packet};
use crate::hub::ConnectionId;

/// Most rooms that one socket can be in.
pub const ROOMS_MAX: usize = 4096;

/// Why something was not sent.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The socket has left its namespace, or is being taken out of it.
    #[error("the socket is disconnected")]
    Disconnected,
    /// The arguments can't be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// A client's presence in a namespace. Cheap to clone; clones are the same socket, usable from any task.
///
/// After its end all of it is without effect.
#[derive(Clone)]
pub struct Socket(pub(super) Arc<Inner>);

pub(super) struct Inner {
    id: SocketId,
    server: SocketIo,
    namespace: NamespaceId,
    request: ConnectRequest,
    state: Mutex<State>,
}

struct State {
    connected: bool,
    rooms: HashSet<Arc<str>>,
    acks: Acks<oneshot::Sender<Args>>,
}

impl Socket {
    pub(super) fn new(
        id: SocketId,
        server: SocketIo,
        namespace: NamespaceId,
        request: ConnectRequest,
    ) -> Socket {
        let state = State {
            connected: true,
            rooms: HashSet::new(),
            acks: Acks::default(),
        };
        Socket(Arc::new(Inner {
            id,
            server,
            namespace,
            request,
            state: Mutex::new(state),
        }))
    }

    /// Its public id.
    pub fn id(&self) -> SocketId {
        self.0.id
    }

    /// Where it is.
    pub fn namespace(&self) -> Namespace {
        Namespace {
            server: self.0.server.clone(),
            id: self.0.namespace,
        }
    }

    /// The server it belongs to.
    pub fn server(&self) -> &SocketIo {
        &self.0.server
    }

    /// The request it was let in with: `auth`, headers, query, address.
    pub fn request(&self) -> &ConnectRequest {
        &self.0.request
    }

    /// The client's `auth` object as it was written, if there was one.
    pub fn auth(&self) -> Option<&Value> {
        self.0.request.auth_value()
    }

    /// Address of the client.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.0.request.remote()
    }

    /// Whether it can still be sent to.
    pub fn is_connected(&self) -> bool {
        self.lock().connected
    }

    /// Attaches a value; one per type, a second one replaces the first.
    pub fn insert_data<T: Send + Sync + 'static>(&self, value: T) {
        self.0.request.data.insert(value);
    }

    /// The attached value of this type.
    pub fn data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.request.data.get()
    }

    /// Takes the attached value of this type away.
    pub fn remove_data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.request.data.remove()
    }

    /// Sends an event.
    pub fn emit(&self, name: &str, args: impl ToArgs) -> Result<(), EmitError> {
        let packet = sio::event(self.namespace_name(), name, &args)?;
        self.send(packet)
    }

    /// Sends an event only if the client can take it right now (PROTOCOL.md section 11). Returns whether it was sent.
    pub fn emit_volatile(&self, name: &str, args: impl ToArgs) -> Result<bool, EmitError> {
        let packet = sio::event(self.namespace_name(), name, &args)?;
        let state = self.lock();
        if !state.connected {
            return Err(EmitError::Disconnected);
        }
        Ok(self.0.request.connection.link.send_volatile(packet))
    }

    /// Sends an event, now, and returns the answer to come.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use chatterbox_core::realtime::socketio::{AckError, Socket};
    /// async fn ask_name(socket: &Socket) -> Option<String> {
    ///     match socket.emit_with_ack("your-name", (), Duration::from_secs(5)).await {
    ///         Ok(answer) => answer.parse().ok().map(|(name,)| name),
    ///         Err(AckError::TimedOut) => None,
    ///         Err(_) => None,
    ///     }
    /// }
    /// ```
    pub fn emit_with_ack(&self, name: &str, args: impl ToArgs, within: Duration) -> Answer {
        let waiting = self.ask(name, &args);
        Answer(Box::pin(async move {
            let (answer, _entry) = waiting?;
            match tokio::time::timeout(within, answer).await {
                Ok(Ok(args)) => Ok(args),
                Ok(Err(_ended)) => Err(AckError::Disconnected),
                Err(_elapsed) => Err(AckError::TimedOut),
            }
        }))
    }

    /// Enters a room. False if the socket is gone or in [`ROOMS_MAX`] rooms already.
    pub fn join(&self, room: &str) -> bool {
        let mut state = self.lock();
        if !state.connected {
            return false;
        }
        if state.rooms.contains(room) {
            return true;
        }
        if state.rooms.len() >= ROOMS_MAX {
            return false;
        }
        let room: Arc<str> = room.into();
        let key = self.namespace().key(Some(Arc::clone(&room)));
        self.0
            .server
            .0
            .hub
            .subscribe(&self.0.request.connection.link, &key);
        state.rooms.insert(room)
    }

    /// Leaves a room. False if it was not in it.
    pub fn leave(&self, room: &str) -> bool {
        let mut state = self.lock();
        let Some(room) = state.rooms.take(room) else {
            return false;
        };
        let key = self.namespace().key(Some(room));
        self.0
            .server
            .0
            .hub
            .unsubscribe(&self.0.request.connection.link, &key)
    }

    /// The rooms it is in, in no order.
    pub fn rooms(&self) -> Vec<Arc<str>> {
        self.lock().rooms.iter().cloned().collect()
    }

    /// Everybody in a room of this namespace but this socket. It need not be in the room.
    pub fn to(&self, room: &str) -> Broadcast {
        self.namespace().to(room).except(self)
    }

    /// Everybody in this namespace but this socket.
    pub fn broadcast(&self) -> Broadcast {
        self.namespace().everyone().except(self)
    }

    /// Takes the socket out of the namespace; its connection stays for others. A JavaScript client reports
    /// "io server disconnect" and does not come back by itself.
    pub fn disconnect(&self) {
        if self.end() {
            self.0.request.connection.command(Command::Leave(self.clone()));
        }
    }

    /// Takes the client out of all its namespaces and closes the connection. It does not come back by itself: for bans
    /// and log-outs.
    pub fn disconnect_connection(&self) {
        self.disconnect();
        self.0.request.connection.command(Command::LeaveAll);
    }

    /// Closes the connection without a word to the namespaces, so that the client comes back by itself: for restarts.
    pub fn close_connection(&self, reason: CloseReason) {
        self.0.request.connection.link.close(reason);
    }

    pub(super) fn namespace_name(&self) -> &str {
        &self.0.server.members(self.0.namespace).name
    }

    pub(super) fn namespace_id(&self) -> NamespaceId {
        self.0.namespace
    }

    pub(super) fn connection_id(&self) -> ConnectionId {
        self.0.request.connection.link.id()
    }

    /// Sends if connected. The lock is held until the packet is queued, so nothing gets behind a disconnect.
    pub(super) fn send(&self, packet: Packet) -> Result<(), EmitError> {
        let state = self.lock();
        if !state.connected {
            return Err(EmitError::Disconnected);
        }
        self.0.request.connection.link.send(packet);
        Ok(())
    }

    /// The client answered.
    pub(super) fn answered(&self, id: u64, args: Args) {
        let waiter = self.lock().acks.take(id);
        if let Some(waiter) = waiter {
            // Nobody waits any more if it was given up just now.
            let _ = waiter.send(args);
        } else {
            let unknown = &self.0.server.0.unknown_acks;
            unknown.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Into the count and within reach of broadcasts, behind the CONNECT answer.
    pub(super) fn enter(&self) {
        self.0
            .server
            .members(self.0.namespace)
            .lock()
            .insert(self.0.id, self.clone());
        self.0
            .server
            .0
            .hub
            .subscribe(&self.0.request.connection.link, &self.namespace().key(None));
    }

    /// Out of everything; the one clean-up for all ways to end. False if that was done before.
    pub(super) fn end(&self) -> bool {
        let (rooms, mut acks) = {
            let mut state = self.lock();
            if !state.connected {
                return false;
            }
            state.connected = false;
            (std::mem::take(&mut state.rooms), std::mem::take(&mut state.acks))
        };
        acks.clear();
        let (namespace, link) = (self.namespace(), &self.0.request.connection.link);
        for room in rooms.into_iter().map(Some).chain([None]) {
            self.0.server.0.hub.unsubscribe(link, &namespace.key(room));
        }
        self.0.server.members(self.0.namespace).lock().remove(&self.0.id);
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(
        &self,
        name: &str,
        args: &impl ToArgs,
    ) -> Result<(oneshot::Receiver<Args>, Outstanding), AckError> {
        let (answer, receiver) = oneshot::channel();
        let id = {
            let mut state = self.lock();
            if !state.connected {
                return Err(AckError::Disconnected);
            }
            state.acks.insert(answer).map_err(|_| AckError::TooMany)?
        };
        let entry = Outstanding {
            socket: self.clone(),
            id,
        };
        let packet = sio::event_with_ack(self.namespace_name(), id, name, args)?;
        self.send(packet).map_err(|_| AckError::Disconnected)?;
        Ok((receiver, entry))
    }
}

/// An entry in the table of acks, which leaves it with whoever waits.
struct Outstanding {
    socket: Socket,
    id: u32,
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.socket.lock().acks.take(self.id.into());
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({} in {})", self.0.id, self.namespace_name())
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Socket) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}
