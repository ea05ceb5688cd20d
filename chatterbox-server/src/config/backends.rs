//! Which backends the variables ask for, and which mixes of them can't work (docs/DEPLOYMENT.md).

use std::path::PathBuf;

use chatterbox_core::domain::secret::Secret;
use chatterbox_core::server::Role;

use super::address::{self, Parts};
use super::variables::{Config, Found};
use super::variables::{
    MONGODB_POOL_DEFAULT, MONGODB_URI_DEFAULT, REDIS_HOST_DEFAULT, REDIS_PORT_DEFAULT, S3_BUCKET_DEFAULT,
    S3_ENDPOINT_DEFAULT, S3_REGION_DEFAULT,
};
use super::{Origin, Problem, Setting};

/// A store by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// Files in the data directory, for one process.
    Embedded,
    /// MongoDB, for any number.
    Mongo,
}

/// Where users, conversations and messages are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In the data directory.
    Embedded,
    /// In MongoDB.
    Mongo {
        /// Its address, password included.
        uri: Secret,
        /// Connections at most (S-143).
        pool: u32,
    },
}

/// Where files are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// In a directory.
    Directory(PathBuf),
    /// In S3.
    S3(S3),
}

/// An S3 server and what is used of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    /// `http://` or `https://`, host and port.
    pub endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Id of the key.
    pub access_key: String,
    /// The key.
    pub secret_key: Secret,
    /// For what users upload.
    pub bucket: String,
    /// For what is made of it, and exports; may be the same.
    pub derived_bucket: String,
}

impl Config {
    /// The store that is asked for: MongoDB as soon as any of its variables is set (S-038).
    pub fn backend(&self) -> Store {
        let asked = self.mongodb_uri.is_some() || self.mongodb_pool.is_some();
        match (self.store, asked) {
            (Some(StoreKind::Mongo), _) | (None, true) => Store::Mongo {
                uri: self
                    .mongodb_uri
                    .clone()
                    .unwrap_or_else(|| MONGODB_URI_DEFAULT.into()),
                pool: self.mongodb_pool.unwrap_or(MONGODB_POOL_DEFAULT),
            },
            (Some(StoreKind::Embedded), _) | (None, false) => Store::Embedded,
        }
    }

    /// The address of Redis, password included, if any of its variables is set (S-039).
    pub fn redis(&self) -> Option<Secret> {
        let (host, port, password) = (&self.redis_host, self.redis_port, &self.redis_password);
        let Some(url) = &self.redis_url else {
            if host.is_none() && port.is_none() && password.is_none() {
                return None;
            }
            let host = host.as_deref().unwrap_or(REDIS_HOST_DEFAULT);
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                host.to_owned()
            };
            let port = port.unwrap_or(REDIS_PORT_DEFAULT);
            let user = password.as_ref().map_or_else(String::new, user_info);
            return Some(format!("redis://{user}{host}:{port}").into());
        };
        let has_user = url.as_str().contains('@');
        Some(match (password, url.as_str().split_once("://")) {
            (Some(password), Some((scheme, rest))) if !has_user => {
                format!("{scheme}://{}{rest}", user_info(password)).into()
            }
            _ => url.clone(),
        })
    }

    /// Where files go (S-042 to S-044).
    pub fn files(&self) -> Files {
        let keys = (&self.s3_access_key, &self.s3_secret_key);
        let (true, (Some(access_key), Some(secret_key))) = (self.s3_enabled, keys) else {
            let beside = || self.data_dir.join("uploads");
            return Files::Directory(self.upload_dir.clone().unwrap_or_else(beside));
        };
        let or = |given: &Option<String>, default: &str| given.clone().unwrap_or_else(|| default.to_owned());
        let bucket = or(&self.s3_bucket, S3_BUCKET_DEFAULT);
        Files::S3(S3 {
            endpoint: with_scheme(&or(&self.s3_endpoint, S3_ENDPOINT_DEFAULT)),
            region: or(&self.s3_region, S3_REGION_DEFAULT),
            access_key: access_key.clone(),
            secret_key: secret_key.clone(),
            derived_bucket: self
                .s3_attachments_bucket
                .clone()
                .unwrap_or_else(|| bucket.clone()),
            bucket,
        })
    }
}

/// As it stands in an address: whatever isn't a letter or a digit as `%` and its number.
fn user_info(password: &Secret) -> String {
    use std::fmt::Write as _;
    let mut text = String::from(":");
    for byte in password.as_str().bytes() {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text.push('@');
    text
}

/// S-043: Minio's habit is an endpoint without one.
fn with_scheme(endpoint: &str) -> String {
    if endpoint.contains("://") {
        endpoint.trim_end_matches('/').to_owned()
    } else {
        format!("http://{}", endpoint.trim_end_matches('/'))
    }
}

/// What is wrong with the backends asked for, as far as single variables have been read.
pub(super) fn problems(found: &Found, settings: &[Setting]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut say = |name: &str, text: String| problems.push(Problem::new(name, text));
    let store = found.store.flatten();
    let asks_for_mongo = [
        (
            "MONGODB_URI",
            found.mongodb_uri.as_ref().is_some_and(Option::is_some),
        ),
        (
            "MONGODB_POOL",
            found.mongodb_pool.is_some_and(|pool| pool.is_some()),
        ),
    ];
    let asked_by = asks_for_mongo
        .iter()
        .find(|(_, is_set)| *is_set)
        .map(|(name, _)| *name);
    if let (Some(StoreKind::Embedded), Some(name)) = (store, asked_by) {
        say(
            "STORE",
            format!("is embedded, but {name} asks for MongoDB; take one of them away"),
        );
    }
    let mongo = store.map_or(asked_by.is_some(), |store| store == StoreKind::Mongo);
    let redis = asks_for_redis(found);
    let role = found.role.unwrap_or(Role::All);
    let s3 = found.s3_enabled == Some(true);

    for (wanted, is_built, name, what) in [
        (mongo, cfg!(feature = "mongo"), "STORE", "MongoDB"),
        (!mongo, cfg!(feature = "embedded"), "STORE", "embedded store"),
        (redis, cfg!(feature = "redis"), "REDIS_URL", "Redis"),
        (s3, cfg!(feature = "s3"), "S3_ENABLED", "S3"),
    ] {
        if wanted && !is_built {
            say(
                name,
                format!("asks for what this build has no adapter for: {what}"),
            );
        }
    }
    match (role, mongo, redis) {
        (Role::All, _, _) | (_, true, true) => {}
        (role, false, _) => say(
            "ROLE",
            format!(
                "is {role}, but the embedded store serves one process: set MONGODB_URI and REDIS_URL, or ROLE=all"
            ),
        ),
        (role, true, false) => say(
            "ROLE",
            format!(
                "is {role}, but processes of several roles hear each other through Redis: set REDIS_URL, or ROLE=all"
            ),
        ),
    }
    // With a broken one the problem is told already.
    let no_secret = matches!(found.jwt_secret, Some(None));
    if mongo && (redis || role != Role::All) && no_secret {
        say(
            "JWT_SECRET",
            "is not set; nodes that share MongoDB and Redis need the same one (openssl rand -base64 48)"
                .to_owned(),
        );
    }
    for (name, text) in redis_contradictions(found) {
        say(name, text);
    }
    if !redis && is_set(settings, "REDIS_PREFIX") {
        say(
            "REDIS_PREFIX",
            "is set, but nothing says where Redis is: set REDIS_URL or REDIS_HOST too, or take it away"
                .to_owned(),
        );
    }
    if s3 {
        let keys = [
            ("S3_ACCESS_KEY", matches!(found.s3_access_key, Some(None))),
            ("S3_SECRET_KEY", matches!(found.s3_secret_key, Some(None))),
        ];
        for (name, _) in keys.iter().filter(|(_, is_missing)| *is_missing) {
            say(name, "is not set; S3_ENABLED=true needs it".to_owned());
        }
    }
    problems
}

fn asks_for_redis(found: &Found) -> bool {
    found.redis_url.as_ref().is_some_and(Option::is_some)
        || found.redis_host.as_ref().is_some_and(Option::is_some)
        || found.redis_port.is_some_and(|port| port.is_some())
        || found.redis_password.as_ref().is_some_and(Option::is_some)
}

/// S-039: where an address and single variables say different things.
fn redis_contradictions(found: &Found) -> Vec<(&'static str, String)> {
    let Some(Some(url)) = &found.redis_url else {
        return Vec::new();
    };
    let host = found.redis_host.as_ref().and_then(Option::as_ref);
    let port = found.redis_port.flatten();
    let password = found.redis_password.as_ref().and_then(Option::as_ref);
    let said = |name: &'static str| {
        (
            name,
            "and REDIS_URL contradict each other; take one of them away".to_owned(),
        )
    };
    let Some(Parts {
        host: url_host,
        port: url_port,
        password: url_password,
    }) = address::parts(url.as_str())
    else {
        // Several hosts: one more says nothing that could be meant.
        return [host.map(|_| "REDIS_HOST"), port.map(|_| "REDIS_PORT")]
            .into_iter()
            .flatten()
            .map(said)
            .collect();
    };
    let mut contradictions = Vec::new();
    if host.is_some_and(|host| host.as_str() != url_host.trim_matches(['[', ']'])) {
        contradictions.push(said("REDIS_HOST"));
    }
    let default = REDIS_PORT_DEFAULT.to_string();
    if port.is_some_and(|port| port.to_string() != url_port.unwrap_or(&default)) {
        contradictions.push(said("REDIS_PORT"));
    }
    let encoded = |password: &Secret| user_info(password).trim_matches([':', '@']).to_owned();
    let differs = |inside: &str| password.is_some_and(|one| one.as_str() != inside && encoded(one) != inside);
    if url_password.is_some_and(differs) {
        contradictions.push(said("REDIS_PASSWORD"));
    }
    contradictions
}

/// Whether somebody has set a variable, to whatever.
fn is_set(settings: &[Setting], name: &str) -> bool {
    let mut named = settings.iter().filter(|setting| setting.variable.name == name);
    named.any(|setting| setting.origin != Origin::Default)
}

/// What is probably a mistake, or works otherwise than it looks.
pub(super) fn warnings(config: &Config, settings: &[Setting]) -> Vec<Problem> {
    let mut warnings = Vec::new();
    let mut say = |name: &str, text: &str| warnings.push(Problem::new(name, text.to_owned()));
    let has_directory = is_set(settings, "UPLOAD_DIR");
    let (mongo, redis) = (
        matches!(config.backend(), Store::Mongo { .. }),
        config.redis().is_some(),
    );
    if config.s3_enabled && has_directory {
        say("UPLOAD_DIR", "is set, but S3_ENABLED=true: files go to S3");
    }
    if mongo && redis && !config.s3_enabled && !has_directory {
        say(
            "S3_ENABLED",
            "is not true, nor is UPLOAD_DIR set: each node keeps files in a directory of its own, which the other nodes on \
             this MongoDB don't see; set S3_ENABLED=true, or UPLOAD_DIR to a directory that all nodes share",
        );
    }
    if !mongo && redis {
        say(
            "REDIS_URL",
            "is set, but the embedded store serves one process: no other one may use this Redis with the same REDIS_PREFIX, \
             it would hear of conversations that it doesn't have; several processes need MONGODB_URI",
        );
    }
    if !config.s3_enabled && !is_set(settings, "S3_ENABLED") {
        let of_s3 = settings.iter().map(|setting| setting.variable.name);
        for name in of_s3.filter(|name| name.starts_with("S3_") && is_set(settings, name)) {
            say(
                name,
                "is set, but S3_ENABLED is not true: files stay in UPLOAD_DIR",
            );
        }
    }
    warnings
}

/// Shows the defaults that count because of what else is set.
pub(super) fn show(config: &Config, settings: &mut [Setting]) {
    let mongo = matches!(config.backend(), Store::Mongo { .. });
    // An address says it all.
    let redis = config.redis().is_some() && config.redis_url.is_none();
    for setting in settings.iter_mut().filter(|setting| setting.shown.is_empty()) {
        let counts = match setting.variable.name {
            "MONGODB_URI" | "MONGODB_POOL" => mongo,
            "REDIS_HOST" | "REDIS_PORT" => redis,
            "S3_ENDPOINT" | "S3_BUCKET" | "S3_REGION" => config.s3_enabled,
            _ => false,
        };
        if counts {
            setting
                .variable
                .default
                .development
                .clone_into(&mut setting.shown);
        }
    }
}
