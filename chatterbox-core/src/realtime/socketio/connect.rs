//! A client at the door of a namespace.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::data::Data;
use super::session::Connection;
use crate::engine::sio::Value;

/// What an admission check decides on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ConnectRequest {
    pub(super) namespace: Arc<str>,
    pub(super) auth: Option<Value>,
    pub(super) connection: Arc<Connection>,
    pub(super) data: Arc<Data>,
}

impl ConnectRequest {
    /// The namespace asked for.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The client's `auth` object as a type of your own; no object is `null`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match &self.auth {
            Some(auth) => auth.parse(),
            None => serde_json::from_str("null"),
        }
    }

    /// The client's `auth` object as it was written, if there was one.
    pub fn auth_value(&self) -> Option<&Value> {
        self.auth.as_ref()
    }

    /// Headers of the handshake request.
    pub fn headers(&self) -> &http::HeaderMap {
        &self.connection.handshake.headers
    }

    /// The query string of the handshake request, undecoded, without `?`. Holds what the client put into its `query`
    /// option. Never log it.
    pub fn query(&self) -> &str {
        &self.connection.handshake.query
    }

    /// Address of the client.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.connection.handshake.remote
    }

    /// Attaches a value to the socket to be, for [`Socket::data`](super::Socket::data). One per type.
    pub fn insert_data<T: Send + Sync + 'static>(&self, value: T) {
        self.data.insert(value);
    }
}

/// The answer to a client that is not let in: its `connect_error` event.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub(super) message: String,
    pub(super) data: Option<serde_json::Value>,
}

impl Refusal {
    /// With `error.message` at the client.
    pub fn new(message: impl Into<String>) -> Refusal {
        Refusal {
            message: message.into(),
            data: None,
        }
    }

    /// And `error.data`.
    pub fn with_data(self, data: impl Into<serde_json::Value>) -> Refusal {
        Refusal {
            data: Some(data.into()),
            ..self
        }
    }
}
