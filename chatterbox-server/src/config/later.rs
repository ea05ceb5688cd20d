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
        names: &["STORE"],
        harmless: &["embedded"],
        what: "store other than the embedded one",
    },
    Later {
        names: &["MONGODB_URI", "MONGODB_POOL"],
        harmless: &[],
        what: "MongoDB adapter",
    },
    Later {
        names: &["REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"],
        harmless: &[],
        what: "Redis adapter",
    },
    Later {
        names: &[
            "S3_ENABLED",
            "S3_ENDPOINT",
            "S3_BUCKET",
            "S3_ATTACHMENTS_BUCKET",
            "S3_ACCESS_KEY",
            "S3_SECRET_KEY",
            "S3_REGION",
        ],
        harmless: &["false"],
        what: "S3 adapter",
    },
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
        names: &["MAX_FILE_SIZE", "ALLOWED_MIME_TYPES", "UPLOAD_DIR"],
        harmless: &[],
        what: "file uploads",
    },
    Later {
        names: &["ROLE"],
        harmless: &["all"],
        what: "split into roles",
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
const FAMILIES: [&str; 11] = [
    "CHATTERBOX_",
    "ACCESS_TOKEN_",
    "CONNECTIONS_",
    "CORS_",
    "JWT_",
    "PING_",
    "RATE_LIMIT_",
    "REFRESH_TOKEN_",
    "ROOMS_",
    "SHUTDOWN_",
    "TRUSTED_",
];

/// Whether an unknown name of the environment was probably meant for us.
pub(super) fn looks_like_ours(name: &str) -> bool {
    FAMILIES.iter().any(|family| name.starts_with(family))
}
