//! The whole server and its namespaces, as handles.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::broadcast::Broadcast;
use super::builder::{Builder, Handlers};
use super::session::SocketIoSession;
use super::socket::Socket;
use super::socket_id::SocketId;
use crate::engine::sio::{EncodeError, NamespaceId, Rules, ToArgs};
use crate::hub::{Hub, Link};
use crate::realtime::application::{Application, Handshake};
use crate::tasks::Tasks;

/// A Socket.IO server. Cheap to clone; clones are the same server. See the [module](super).
#[derive(Debug, Clone)]
pub struct SocketIo(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) rules: Arc<Rules>,
    /// By the index of their ids.
    namespaces: Box<[Members]>,
    pub(super) hub: Hub<RoomKey>,
    pub(super) tasks: Tasks,
    pub(super) unknown_acks: AtomicU64,
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Answers of clients that nobody waited for: too late, twice, or made up. They are dropped (THREATS.md B4).
    pub unknown_acks: u64,
}

/// A room of a namespace; no room: everybody in the namespace.
pub(super) type RoomKey = (NamespaceId, Option<Arc<str>>);

#[derive(Debug)]
pub(super) struct Members {
    pub(super) name: Arc<str>,
    pub(super) handlers: Handlers,
    sockets: Mutex<HashMap<SocketId, Socket>>,
}

impl Members {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<SocketId, Socket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketIo {
    /// Begins with no namespace at all.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn new(rules: Rules, handlers: Vec<Handlers>, tasks: Tasks) -> SocketIo {
        let namespaces = rules
            .namespaces()
            .zip(handlers)
            .map(|((_, name), handlers)| Members {
                name: name.into(),
                handlers,
                sockets: Mutex::default(),
            })
            .collect();
        SocketIo(Arc::new(Inner {
            rules: Arc::new(rules),
            namespaces,
            hub: Hub::new(),
            tasks,
            unknown_acks: AtomicU64::new(0),
        }))
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        Counters {
            unknown_acks: self.0.unknown_acks.load(Ordering::Relaxed),
        }
    }

    /// The namespace of this name, if it was defined.
    pub fn namespace(&self, name: &str) -> Option<Namespace> {
        let id = self.0.rules.find(name)?;
        Some(Namespace {
            server: self.clone(),
            id,
        })
    }

    /// Waits until the handlers that outlived their connections have ended, and takes no further ones. For the end of
    /// a program, after its drivers have stopped.
    pub async fn stop(&self) {
        self.0.tasks.stop().await;
    }

    pub(super) fn members(&self, id: NamespaceId) -> &Members {
        &self.0.namespaces[id.index()]
    }
}

impl Application for SocketIo {
    type Session = SocketIoSession;

    fn open(self: &Arc<Self>, link: Link, handshake: Handshake, _now: Instant) -> SocketIoSession {
        SocketIoSession::new(SocketIo::clone(self), link, handshake)
    }
}

/// A namespace, for use outside of handlers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Namespace {
    pub(super) server: SocketIo,
    pub(super) id: NamespaceId,
}

impl Namespace {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.server.members(self.id).name
    }

    /// Sends an event to everybody in it. Returns for how many sockets it was queued.
    pub fn emit(&self, name: &str, args: impl ToArgs) -> Result<usize, EncodeError> {
        self.everyone().emit(name, args)
    }

    /// Everybody in it, for a [`Broadcast`] with exceptions.
    pub fn everyone(&self) -> Broadcast {
        Broadcast::new(self.clone(), None)
    }

    /// Everybody in one of its rooms.
    pub fn to(&self, room: &str) -> Broadcast {
        Broadcast::new(self.clone(), Some(room.into()))
    }

    /// How many sockets are in it.
    pub fn count(&self) -> usize {
        self.server.0.hub.watchers(&self.key(None))
    }

    /// How many sockets are in one of its rooms.
    pub fn count_in(&self, room: &str) -> usize {
        self.server.0.hub.watchers(&self.key(Some(room.into())))
    }

    /// The socket of this public id, if it is here.
    pub fn socket(&self, id: &str) -> Option<Socket> {
        let id = id.parse().ok()?;
        self.server.members(self.id).lock().get(&id).cloned()
    }

    /// All sockets, in no order.
    pub fn sockets(&self) -> Vec<Socket> {
        self.server.members(self.id).lock().values().cloned().collect()
    }

    pub(super) fn key(&self, room: Option<Arc<str>>) -> RoomKey {
        (self.id, room)
    }
}
