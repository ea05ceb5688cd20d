//! What the routes work with.

use std::sync::Arc;

use super::client_ip::TrustedProxies;
use super::cors::AllowedOrigins;
use super::health::Health;
use super::rate::ApiLimits;
use crate::app::accounts::LiveSessions;
use crate::auth::Cursors;
use crate::ids::IdSource;
use crate::layers::Buckets;
use crate::role::Role;
use crate::stack::Stack;

/// What the REST API is built from.
pub struct RestParts {
    /// Where every call goes.
    pub stack: Stack,
    /// Who somebody is.
    pub live: LiveSessions,
    /// Positions in lists.
    pub cursors: Cursors,
    /// Request limits are taken from these.
    pub buckets: Buckets,
    /// How many requests one may send.
    pub limits: ApiLimits,
    /// Names for requests.
    pub ids: Arc<dyn IdSource>,
    /// What `/api/health` tells.
    pub health: Health,
    /// Pages that may call.
    pub origins: AllowedOrigins,
    /// Proxies in front of this server.
    pub proxies: TrustedProxies,
    /// Whether browsers are told to come by HTTPS only; for servers that are reached by it.
    pub hsts: bool,
    /// What this process serves: health always, the rest with a role that has it.
    pub role: Role,
}

/// The parts, shared by all requests.
#[derive(Clone)]
pub(super) struct RestState(Arc<RestParts>);

impl RestState {
    pub(super) fn new(parts: RestParts) -> RestState {
        RestState(Arc::new(parts))
    }
}

impl std::ops::Deref for RestState {
    type Target = RestParts;

    fn deref(&self) -> &RestParts {
        &self.0
    }
}
