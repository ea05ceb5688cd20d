//! The REST API.

pub mod client_ip;
mod schema;
