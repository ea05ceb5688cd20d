//! A chat server as a library.
//!
//! ```text
//! socket ──bytes──▶ engine::eio ──messages──▶ engine::sio ──events──▶ engine::chat ──calls──▶ app
//!        ◀─frames──              ◀───frames───             ◀───acks────             ◀outcomes─
//! REST ───────────────────────────────────── http ─────────────────────────────────▶ app ──▶ log ──▶ hub
//! ```
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
