//! Engine.IO over real sockets on loopback, against the public API only.

mod cors;
mod limits;
mod load;
mod polling;
mod support;
mod upgrade;
mod websocket;
