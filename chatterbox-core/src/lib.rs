//! A chat server as a library.
//!
//! ```text
//! socket ──bytes──▶ engine::eio ──messages──▶ engine::sio ──events──▶ engine::chat ──calls──▶ app
//!        ◀─frames──              ◀───frames───             ◀───acks────             ◀outcomes─
//! REST ───────────────────────────────────── http ─────────────────────────────────▶ app ──▶ log ──▶ hub
//! ```
//!
//!
//! Where to begin:
//!
//! | you want to… | look at |
//! | - | - |
//! | put the whole chat into your server | [`server::ChatServer`], a `tower::Service` |
//! | keep things elsewhere than in memory | [`ports`]: each has a twin in [`memory`] and, with the feature `testkit`, a suite |
//! | run a command as the server itself | [`server::ChatServer::stack`], [`app::Command`] |
//! | use Socket.IO without the chat | [`realtime::socketio`]; Engine.IO alone is [`realtime::EngineIo`] |
//! | speak the protocols without any I/O | [`engine`] |
//!
//! `docs/ARCHITECTURE.md` walks through the parts; each module says what it is for and what it may use.

pub mod app;
pub mod auth;
pub mod clock;
pub mod domain;
pub mod engine;
pub mod error;
pub mod http;
pub mod hub;
pub mod ids;
pub mod layers;
pub mod live;
pub mod log;
pub mod memory;
pub mod outage;
pub mod ports;
pub mod realtime;
pub mod role;
pub mod server;
pub mod stack;
pub mod tasks;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod views;
pub mod worker;
