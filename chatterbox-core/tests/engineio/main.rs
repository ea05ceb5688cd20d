//! Engine.IO over real sockets on loopback, against the public API only.

mod application;
mod cors;
mod limits;
mod load;
mod pipe;
mod polling;
mod support;
mod upgrade;
mod websocket;
