//! Socket.IO for embedders: namespaces, rooms, handlers and acks on top of the protocol engine.
//!
//! ```text
//! Builder ──▶ SocketIo ◀── the drivers open a session on it per connection
//!               │ namespace("/chat")                       SocketIoSession (one connection)
//!               ▼                                            engine::sio::Sockets
//!            Namespace ── emit, to(room) ──▶ Hub ──▶ links     └ Lane per joined namespace: runs handlers in order
//!               │ sockets                                          │
//!               ▼                                                  ▼
//!            Socket ── emit, emit_with_ack, join, leave, disconnect, data
//! ```
//!
//! ```
//! use chatterbox_core::realtime::socketio::{Args, Refusal, SocketIo, Value};
//!
//! #[derive(serde::Deserialize)]
//! struct Login {
//!     name: String,
//! }
//!
//! let io = SocketIo::builder()
//!     .namespace("/", |root| {
//!         root.on("echo", |socket, args: Args, ack| async move {
//!             let _ = socket.emit("echo-back", &args);
//!             let _ = ack.send(args);
//!         })
//!     })
//!     .namespace("/chat", |chat| {
//!         chat.admit(|request| async move {
//!             let login: Login = request.auth().map_err(|_| Refusal::new("who are you?"))?;
//!             request.insert_data(login);
//!             Ok(())
//!         })
//!         .on_connect(|socket| async move {
//!             socket.join("lobby");
//!             let name = socket.data::<Login>().map(|login| login.name.clone());
//!             let _ = socket.to("lobby").emit("joined", (name,));
//!         })
//!         .on("say", |socket, (room, words): (String, Value), _ack| async move {
//!             let _ = socket.to(&room).emit("said", words);
//!         })
//!         .on_disconnect(|socket, reason| async move {
//!             let _ = socket.namespace().to("lobby").emit("left", (socket.id(), reason.as_str()));
//!         })
//!     })
//!     .build();
//!
//! // Anywhere, at any time:
//! let chat = io.namespace("/chat").expect("it is defined above");
//! chat.to("lobby").emit("news", ("the doors are open", 20))?;
//! assert_eq!(chat.count(), 0);
//! # Ok::<(), chatterbox_core::realtime::socketio::EncodeError>(())
//! ```
//!
//! # What to rely on
//!
//! - **Order.** The CONNECT answer comes first, then what the connect handler emits. The handlers of one socket
//!   *start* in the order in which the events arrived, each running to its first `.await` before the next starts, the
//!   connect handler to its end before all others. Up to 32 of them run at once; further events wait, while acks are
//!   still taken in. So a handler that must be done before the next event does its work before its first `.await`, or
//!   the application serialises it. The disconnect handler starts after all events that came before.
//! - **Isolation.** A panic in a handler is logged and ends that handler only; in an admission check it refuses.
//! - **Ends.** However a socket ends, it is out of its rooms and of the count, and its pending acks are answered with
//!   [`AckError::Disconnected`], before the disconnect handler runs. Handlers that are running go on to their end,
//!   also when the client has gone; after a disconnect by the server, events that wait are dropped.
//! - **Delivery** is at most once, in order. A client that reads too slowly is closed. There is no connection state
//!   recovery: a client that comes back is a new socket.
//! - **Bounds** per socket: 32 running handlers, 1,024 waiting events or 1 MiB of them (then the client has to wait),
//!   1,024 outstanding acks, 4,096 rooms.

mod ack;
mod broadcast;
mod builder;
mod connect;
mod data;
mod lane;
mod server;
mod session;
mod socket;
mod socket_id;
#[cfg(test)]
mod tests;

pub use crate::engine::CloseReason;
pub use crate::engine::sio::{Args, ArgsError, Binary, EncodeError, FromArg, FromArgs, ToArg, ToArgs, Value};
pub use ack::{Ack, AckError, Answer};
pub use broadcast::Broadcast;
pub use builder::{Builder, NamespaceBuilder};
pub use connect::{ConnectRequest, Refusal};
pub use server::{Counters, Namespace, SocketIo};
pub use session::SocketIoSession;
pub use socket::{EmitError, ROOMS_MAX, Socket};
pub use socket_id::{InvalidSocketId, SocketId};
