//! Bodies of the fuzz targets: each takes any bytes and panics if a law is broken.
//!
//! ```text
//! chatterbox-core/fuzz/fuzz_targets/NAME.rs ──calls──▶ testkit::fuzz::NAME(bytes)
//! chatterbox-core/tests/fuzz_corpus.rs ─────replays──▶ chatterbox-core/fuzz/corpus/NAME/*
//! ```
//!
//! The fuzzer finds new inputs; an ordinary test run replays those that were kept. A target takes one line in
//! [`TARGETS`], a file in `fuzz_targets` and a folder in `corpus`.

mod eio;
mod sio;

pub use eio::{eio_payload, eio_session, websocket_reader};
pub use sio::{sio_packet, sio_sockets};

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Of its folder of inputs and its file.
    pub name: &'static str,
    /// What runs on each input.
    pub body: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "eio_payload",
        body: eio_payload,
    },
    Target {
        name: "eio_session",
        body: eio_session,
    },
    Target {
        name: "sio_packet",
        body: sio_packet,
    },
    Target {
        name: "sio_sockets",
        body: sio_sockets,
    },
    Target {
        name: "websocket_reader",
        body: websocket_reader,
    },
];
