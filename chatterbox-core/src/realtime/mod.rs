//! The drivers of the protocol engine: polling over hyper, websocket over tokio-tungstenite, behind one
//! `tower::Service`; and what can be put on top of them: the Engine.IO layer alone, Socket.IO with namespaces and
//! handlers, or the chat.

pub mod application;
pub mod socketio;
