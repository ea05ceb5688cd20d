//! What the configuration means to the chat.

use chatterbox_core::app::Quotas;
use chatterbox_core::app::accounts::AuthLimits;
use chatterbox_core::domain::secret::Secret;
use chatterbox_core::http::client_ip::TrustedProxies;
use chatterbox_core::http::{AllowedOrigins, ApiLimits};
use chatterbox_core::ports::rate_limit::Quota;
use chatterbox_core::realtime::{Caps, Cors};
use chatterbox_core::server::Settings;

use crate::config::{Config, Environment, Rate};

/// Messages a user may send at once, as a multiple of what they may send in `RATE_LIMIT_WS`'s time (S-142).
const MESSAGE_BURST: u32 = 2;

/// Requests of `RATE_LIMIT_API` for each room that a user may make in its time (S-076).
const REQUESTS_PER_ROOM: u32 = 10;

/// The settings of a chat that signs with `secret`.
pub(crate) fn settings(config: &Config, secret: &Secret) -> Settings {
    let bytes = |secret: &Secret| secret.as_str().as_bytes().to_vec();
    let mut settings = Settings::new(bytes(secret));
    settings.previous_secrets = config.jwt_secret_previous.iter().map(bytes).collect();
    settings.access_token_ttl = config.access_token_ttl;
    settings.refresh_token_ttl = config.refresh_token_ttl;
    settings.message_quota = config.rate_limit_ws.map(|rate| Quota {
        capacity: rate.count.saturating_mul(MESSAGE_BURST),
        ..quota(rate)
    });
    settings.room_quota = config.rate_limit_api.map(|rate| Quota {
        capacity: (rate.count / REQUESTS_PER_ROOM).max(1),
        refill_per_sec: quota(rate).refill_per_sec / f64::from(REQUESTS_PER_ROOM),
    });
    settings.contact_quota = config
        .rate_limit_contacts
        .filter(|_| config.rate_limit_api.is_some())
        .map(quota);
    // Requests and events count alike, so that a socket is no way around.
    settings.change_quota = config.rate_limit_api.map(quota);
    settings.chat.messages_per_second = config.rate_limit_ws.map(per_second);
    settings.api_limits = ApiLimits::by(config.rate_limit_api.map(quota));
    settings.auth_limits = config
        .rate_limit_auth
        .map_or_else(AuthLimits::off, |rate| AuthLimits::by(quota(rate)));
    settings.quotas = Quotas {
        rooms_made_max: config.rooms_per_user_max,
        rooms_joined_max: config.rooms_joined_max,
        rooms_open: config.rooms_open,
        group_members_max: config.group_members_max,
        edit_window: config.message_edit_window,
        blocks_max: config.blocks_per_user_max,
        audience_large: config.audience_large,
        ..Quotas::default()
    };
    (settings.origins, settings.socket_origins) = origins(&config.cors_origins);
    settings.proxies = TrustedProxies::new(config.trusted_proxies.iter().copied());
    settings.hsts = config.environment == Environment::Production;
    settings.engine.ping_interval = config.ping_interval;
    settings.engine.ping_timeout = config.ping_timeout;
    settings.engine.payload_bytes_max = config.max_payload;
    settings.caps = Caps {
        sessions_max: config.connections_max,
        per_address_max: u32::try_from(config.connections_per_address_max).unwrap_or(u32::MAX),
        ..Caps::default()
    };
    settings.rooms = config.rooms.iter().map(ToString::to_string).collect();
    settings
}

fn quota(rate: Rate) -> Quota {
    Quota::per(rate.count, rate.per)
}

/// As clients are told; at least one, since slower limits have no better word there.
fn per_second(rate: Rate) -> u32 {
    let seconds = u32::try_from(rate.per.as_secs()).unwrap_or(u32::MAX).max(1);
    (rate.count / seconds).max(1)
}

/// The same list for REST and for sockets (S-050).
fn origins(list: &[String]) -> (AllowedOrigins, Cors) {
    if list.iter().any(|origin| origin == "*") {
        return (AllowedOrigins::any(), Cors::Any);
    }
    let values = list.iter().filter_map(|origin| origin.parse().ok());
    let sockets = Cors::List {
        origins: list.to_vec(),
        credentials: false,
    };
    (AllowedOrigins::exactly(values), sockets)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Inputs, load};

    fn of(values: &[(&str, &str)]) -> Settings {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let loaded = load(&Inputs {
            environment: values.iter().map(owned).collect(),
            ..Inputs::default()
        });
        settings(&loaded.config.unwrap(), &Secret::from("x".repeat(32)))
    }

    #[test]
    fn limits_that_are_configured_reach_the_chat() {
        let unset = of(&[]);
        assert_eq!(unset.quotas, Quotas::default());
        assert_eq!(unset.change_quota, Some(Quota::per(100, Duration::from_mins(1))));
        let set = of(&[("AUDIENCE_LARGE", "7"), ("RATE_LIMIT_API", "30/min")]);
        assert_eq!(set.quotas.audience_large, 7);
        assert_eq!(set.change_quota, Some(Quota::per(30, Duration::from_mins(1))));
        assert_eq!(of(&[("RATE_LIMIT_API", "0")]).change_quota, None);
    }
}
