//! An event for many.

use std::sync::Arc;

use super::server::Namespace;
use super::socket::Socket;
use crate::engine::sio::{self, EncodeError, ToArgs};
use crate::hub::{ConnectionId, Delivery};

/// Whom an event goes to: everybody in a namespace or in one of its rooms, perhaps but one.
///
/// The event is encoded once and its bytes are shared by all recipients.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `emit`"]
pub struct Broadcast {
    namespace: Namespace,
    room: Option<Arc<str>>,
    except: Option<ConnectionId>,
    delivery: Delivery,
}

impl Broadcast {
    pub(super) fn new(namespace: Namespace, room: Option<Arc<str>>) -> Broadcast {
        Broadcast {
            namespace,
            room,
            except: None,
            delivery: Delivery::Reliable,
        }
    }

    /// But not to this socket.
    pub fn except(self, socket: &Socket) -> Broadcast {
        Broadcast {
            except: Some(socket.connection_id()),
            ..self
        }
    }

    /// Only to those who can take it right now: no use in it later (PROTOCOL.md section 11).
    pub fn volatile(self) -> Broadcast {
        Broadcast {
            delivery: Delivery::Volatile,
            ..self
        }
    }

    /// Sends. Returns for how many sockets it was queued.
    pub fn emit(&self, name: &str, args: impl ToArgs) -> Result<usize, EncodeError> {
        let packet = sio::event(self.namespace.name(), name, &args)?;
        let key = self.namespace.key(self.room.clone());
        Ok(self
            .namespace
            .server
            .0
            .hub
            .publish(&key, &packet, self.delivery, self.except))
    }
}
