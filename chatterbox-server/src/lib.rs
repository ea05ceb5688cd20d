//! The ChatterBox server as a library: configuration, listeners, the control socket, concrete backends. The binary and
//! the command-line tool are thin around it.

pub mod adapters;
pub mod compose;
pub mod config;
pub mod control;
pub mod drain;
mod health;
pub mod listen;
pub mod lock;
pub mod run;
mod settings;
pub mod telemetry;
