//! Use cases: what the chat does, one file an area. They decide; layers and the log carry out.

pub mod jobs;
