//! Programs that embed `ChatterBox`. Each stands in one file beside the manifest of this package:
//! `cargo run --example socketio_conformance`.
