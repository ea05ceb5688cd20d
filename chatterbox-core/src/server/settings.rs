//! What can be set about a server.

use std::time::Duration;

use crate::app::Quotas;
use crate::app::accounts::AuthLimits;
use crate::auth::{HashingLimits, HashingParams};
use crate::engine::chat::ChatRules;
use crate::engine::eio;
use crate::http::client_ip::TrustedProxies;
use crate::http::{AllowedOrigins, ApiLimits};
use crate::ports::rate_limit::Quota;
use crate::realtime;

/// What can be set about a server. [`Settings::new`] gives the defaults.
pub struct Settings {
    /// Signs access tokens; 32 bytes or more (S-041).
    pub secret: Vec<u8>,
    /// Secrets in use before, still good for verifying.
    pub previous_secrets: Vec<Vec<u8>>,
    /// How long an access token is good for.
    pub access_token_ttl: Duration,
    /// How long a session lives without being refreshed.
    pub refresh_token_ttl: Duration,
    /// What hashing a password costs.
    pub hashing: HashingParams,
    /// How much hashing there is at once.
    pub hashing_limits: HashingLimits,
    /// Messages a user may send (S-142); `None` without limit.
    pub message_quota: Option<Quota>,
    /// Rooms a user may try to make (S-076); `None` without limit.
    pub room_quota: Option<Quota>,
    /// Approaches of one user to others: conversations opened, people added, invites made. `None` without limit.
    pub contact_quota: Option<Quota>,
    /// Changes of members and roles by one user (THREATS.md G5); `None` without limit.
    pub change_quota: Option<Quota>,
    /// Requests to the API (S-141).
    pub api_limits: ApiLimits,
    /// Logins, registrations and refreshes (S-141).
    pub auth_limits: AuthLimits,
    /// How much of everything one may have.
    pub quotas: Quotas,
    /// Web pages that may call.
    pub origins: AllowedOrigins,
    /// The same list for sockets.
    pub socket_origins: realtime::Cors,
    /// Proxies whose word about the client's address counts.
    pub proxies: TrustedProxies,
    /// Whether browsers are told to come by HTTPS only.
    pub hsts: bool,
    /// Timers and bounds of connections.
    pub engine: eio::Config,
    /// How many connections there may be.
    pub caps: realtime::Caps,
    /// Limits and times of the chat on connections.
    pub chat: ChatRules,
    /// Rooms that exist after the first start (S-001).
    pub rooms: Vec<String>,
}

impl Settings {
    /// The defaults, with this secret.
    pub fn new(secret: Vec<u8>) -> Settings {
        let engine = eio::Config {
            connect_timeout: Some(Duration::from_secs(10)),
            ..eio::Config::default()
        };
        Settings {
            secret,
            previous_secrets: Vec::new(),
            access_token_ttl: Duration::from_mins(15),
            refresh_token_ttl: Duration::from_hours(30 * 24),
            hashing: HashingParams::default(),
            hashing_limits: HashingLimits::default(),
            message_quota: Some(Quota {
                capacity: 20,
                refill_per_sec: 10.0,
            }),
            room_quota: Some(Quota::per(10, Duration::from_mins(1))),
            contact_quota: Some(Quota::per(300, Duration::from_hours(1))),
            change_quota: Some(Quota::per(100, Duration::from_mins(1))),
            api_limits: ApiLimits::default(),
            auth_limits: AuthLimits::default(),
            quotas: Quotas::default(),
            origins: AllowedOrigins::none(),
            socket_origins: realtime::Cors::Off,
            proxies: TrustedProxies::default(),
            hsts: false,
            engine,
            caps: realtime::Caps::default(),
            chat: ChatRules::default(),
            rooms: ["general", "random", "tech"].map(str::to_owned).to_vec(),
        }
    }
}
