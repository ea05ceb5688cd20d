//! Variables that this build can't follow. A server that is told to use a database and quietly doesn't is worse than
//! one that refuses to start.

/// Variables of something this build has no adapter for.
struct Later {
    names: &'static [&'static str],
    /// Values that ask for nothing.
    harmless: &'static [&'static str],
    what: &'static str,
}

const LATER: &[Later] = &[
    Later {
        names: &["SMTP_URL", "REQUIRE_EMAIL_VERIFICATION"],
        harmless: &["false"],
        what: "mail adapter",
    },
    Later {
        names: &["AI_ENABLED", "AI_MODEL", "OLLAMA_URL"],
        harmless: &["false"],
        what: "assistant",
    },
    Later {
        names: &["MAX_FILE_SIZE", "ALLOWED_MIME_TYPES"],
        harmless: &[],
        what: "file uploads",
    },
    Later {
        names: &["METRICS_ADDR"],
        harmless: &[],
        what: "metrics listener",
    },
];

/// Why a variable that is set can't be followed; `None` if it is not one of these, or asks for nothing.
pub(super) fn unsupported(name: &str, value: &str) -> Option<String> {
    let later = LATER.iter().find(|later| later.names.contains(&name))?;
    (!later.harmless.contains(&value))
        .then(|| format!("is set, but this build has no {}; unset it", later.what))
}

/// Whether a TOML key or `.env` name belongs to one of these.
pub(super) fn is_later(name: &str) -> bool {
    LATER.iter().any(|later| later.names.contains(&name))
}

/// Beginnings of our names that hardly anything else uses: a variable that begins so and is none of ours is a typo.
const FAMILIES: [&str; 15] = [
    "CHATTERBOX_",
    "ACCESS_TOKEN_",
    "CONNECTIONS_",
    "CORS_",
    "DRAIN_",
    "JWT_",
    "MONGODB_",
    "PING_",
    "RATE_LIMIT_",
    "REDIS_",
    "REFRESH_TOKEN_",
    "ROOMS_",
    "S3_",
    "SHUTDOWN_",
    "TRUSTED_",
];

/// Whether an unknown name of the environment was probably meant for us.
pub(super) fn looks_like_ours(name: &str) -> bool {
    // Kubernetes tells every container of every service beside it: `REDIS_SERVICE_HOST`, `REDIS_PORT_6379_TCP_ADDR`.
    let of_a_service = name.contains("_SERVICE_") || name.contains("_TCP") || name.ends_with("_PORT");
    !of_a_service && FAMILIES.iter().any(|family| name.starts_with(family))
}
