//! Every variable, declared once: name, default, type and bounds, and the text of the reference.

use std::path::PathBuf;
use std::time::Duration;

use chatterbox_core::domain::conversation::RoomName;
use chatterbox_core::domain::secret::Secret;
use chatterbox_core::server::Role;
use ipnet::IpNet;

use super::address::Address;
use super::backends::StoreKind;
use super::declare::{Variable, always, depends, once, variables};
use super::parse::{
    Bytes, Choice, Directory, Host, HostText, List, LogFilter, Name, Network, Optional, Parser, Password,
    Rate, RateOrOff, RedisPrefix, Room, SecretText, Span, WebOrigin, Whole,
};
use super::reading::Reading;

/// What the server is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// On a developer's machine: a secret is made if none is given, `.env` is read, logs are text.
    Development,
    /// For others: weak secrets are refused, logs are JSON.
    Production,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

pub(super) const ENVIRONMENTS: Choice<Environment> = Choice(&[
    ("development", Environment::Development),
    ("test", Environment::Development),
    ("production", Environment::Production),
]);

pub(super) const MONGODB_URI_DEFAULT: &str = "mongodb://localhost:27017/chat";
pub(super) const MONGODB_POOL_DEFAULT: u32 = 10;
pub(super) const REDIS_HOST_DEFAULT: &str = "localhost";
pub(super) const REDIS_PORT_DEFAULT: u16 = 6379;
pub(super) const REDIS_PREFIX_DEFAULT: &str = "chatterbox";
pub(super) const S3_ENDPOINT_DEFAULT: &str = "localhost:9000";
pub(super) const S3_BUCKET_DEFAULT: &str = "chat-files";
pub(super) const S3_REGION_DEFAULT: &str = "us-east-1";

const WITH_MONGODB: &str = "`STORE=mongo` or any other MongoDB variable is set";
const WITH_REDIS: &str = "one of `REDIS_HOST`, `REDIS_PORT` and `REDIS_PASSWORD` is set";
const WITH_S3: &str = "`S3_ENABLED=true`";

const MONGODB: Address = Address {
    schemes: &["mongodb://", "mongodb+srv://"],
    example: "mongodb://localhost:27017/chat",
};
const REDIS: Address = Address {
    schemes: &[
        "redis://",
        "rediss://",
        "redis+cluster://",
        "rediss+cluster://",
        "redis+sentinel://",
        "rediss+sentinel://",
    ],
    example: "redis://localhost:6379",
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

variables! {
    "Process" {
        /// `production` refuses missing, short and sample secrets, ignores `.env` and logs JSON.
        /// `test` is another word for `development`.
        environment: Environment = "NODE_ENV" or "CHATTERBOX_ENV", always("development"), ENVIRONMENTS;

        /// What to listen on. In development that is this machine alone (127.0.0.1 and ::1), so that a server with
        /// a developer's accounts is not offered to the network it happens to be in; in production every IPv4
        /// address, as containers and proxies expect.
        host: Host = "HOST", depends("localhost", "0.0.0.0"), HostText;

        /// 0 picks a free port; the first line of output names it.
        port: u16 = "PORT", always("3000"), Whole(0..=65_535);

        /// Where everything durable lives: the store, the lock against a second process, the control socket and,
        /// in development, the generated secret.
        data_dir: PathBuf = "DATA_DIR", always("./data"), Directory;

        /// How much is logged, to the standard error output. Parts of the program can have levels of their own.
        log_level: String = "LOG_LEVEL", always("info"), LogFilter;

        /// `text` for people, `json` for machines.
        log_format: LogFormat = "LOG_FORMAT", depends("text", "json"),
            Choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);

        /// After SIGTERM or SIGINT: how long calls in flight may take before the process ends all the same.
        shutdown_grace: Duration = "SHUTDOWN_GRACE", always("20s"), Span(0..=10 * MINUTE);

        /// After SIGTERM or SIGINT: for so long `/api/health/ready` says no while everything is served as before, so
        /// that load balancers send nothing new here by the time that connections are closed. Part of
        /// `SHUTDOWN_GRACE`, of which it takes at most half.
        drain_delay: Duration = "DRAIN_DELAY", depends("0s", "3s"), Span(0..=5 * MINUTE);

        /// What this process does of a chat: `api` the REST API, `ws` sockets, `worker` jobs and repairs, `all` all of
        /// it. Others than `all` need MongoDB and Redis; together the processes of a chat must do everything.
        role: Role = "ROLE", always("all"),
            Choice(&[("api", Role::Api), ("ws", Role::Ws), ("worker", Role::Worker), ("all", Role::All)]);
    }

    "Store" {
        /// `embedded` keeps everything in files in `DATA_DIR`, for one process; `mongo` keeps it in MongoDB, for any
        /// number. Not set: `mongo` if a MongoDB variable is set, else `embedded`.
        store: Option<StoreKind> = "STORE", always(""),
            Optional(Choice(&[("embedded", StoreKind::Embedded), ("mongo", StoreKind::Mongo)]));

        /// Where MongoDB is: hosts, login, replica set, TLS, and the name of the database.
        mongodb_uri: Option<Secret> = "MONGODB_URI", once(WITH_MONGODB, MONGODB_URI_DEFAULT), Optional(MONGODB);

        /// Connections to MongoDB at most. A call waits two seconds for one and is then refused with 503.
        mongodb_pool: Option<u32> = "MONGODB_POOL", once(WITH_MONGODB, "10"), Optional(Whole(1..=10_000));
    }

    "Redis" {
        /// Where Redis is, if there is one: `redis://` or with TLS `rediss://`, `redis+cluster://` with some hosts of
        /// a cluster, `redis+sentinel://` with hosts of sentinels and the name of the master as path. Nodes hear
        /// each other through it and share limits and presence. With none of these variables set, all of that stays in
        /// the process.
        redis_url: Option<Secret> = "REDIS_URL", always(""), Optional(REDIS);

        /// The host by itself, instead of `REDIS_URL`.
        redis_host: Option<String> = "REDIS_HOST", once(WITH_REDIS, REDIS_HOST_DEFAULT), Optional(Name);

        /// The port by itself.
        redis_port: Option<u16> = "REDIS_PORT", once(WITH_REDIS, "6379"), Optional(Whole(1..=65_535));

        /// The password by itself, for `REDIS_HOST` or for a `REDIS_URL` without one.
        redis_password: Option<Secret> = "REDIS_PASSWORD", always(""), Optional(Password);

        /// What all names in Redis begin with, keys and channels. Chats that share a Redis need different ones, or
        /// different databases where it is no cluster; a user of Redis that may touch only these names needs
        /// `~chatterbox:*` and `&chatterbox:*`. Refused without a Redis.
        redis_prefix: String = "REDIS_PREFIX", always(REDIS_PREFIX_DEFAULT), RedisPrefix;
    }

    "Files" {
        /// Whether files are kept on an S3 server, else in `UPLOAD_DIR`. What is wrong with the variables below is
        /// found at the start.
        s3_enabled: bool = "S3_ENABLED", always("false"), Choice(&[("true", true), ("false", false)]);

        /// Where the S3 server is; `http://` unless it says otherwise. Buckets are addressed by path.
        s3_endpoint: Option<String> = "S3_ENDPOINT", once(WITH_S3, S3_ENDPOINT_DEFAULT), Optional(Name);

        /// Bucket for what users upload; made if it is missing and the key may do that.
        s3_bucket: Option<String> = "S3_BUCKET", once(WITH_S3, S3_BUCKET_DEFAULT), Optional(Name);

        /// Bucket for thumbnails, avatars and exports. Not set: `S3_BUCKET`.
        s3_attachments_bucket: Option<String> = "S3_ATTACHMENTS_BUCKET", always(""), Optional(Name);

        /// Id of the key that requests are signed with.
        s3_access_key: Option<String> = "S3_ACCESS_KEY", always(""), Optional(Name);

        /// The key itself.
        s3_secret_key: Option<Secret> = "S3_SECRET_KEY", always(""), Optional(Password);

        /// Region that requests are signed for.
        s3_region: Option<String> = "S3_REGION", once(WITH_S3, S3_REGION_DEFAULT), Optional(Name);

        /// Directory of files while `S3_ENABLED` is false. Not set: `uploads` in `DATA_DIR`. Several nodes need
        /// one that all of them see.
        upload_dir: Option<PathBuf> = "UPLOAD_DIR", always(""), Optional(Directory);
    }

    "Security" {
        /// Signs access tokens (HS256) and keys refresh tokens. Required in production. In development a random one
        /// is made at the first start and kept in `DATA_DIR/jwt-secret`.
        jwt_secret: Option<Secret> = "JWT_SECRET", always(""), Optional(SecretText);

        /// Secrets that `JWT_SECRET` had before, separated by commas: tokens signed with them are still accepted,
        /// so that changing the secret logs nobody out. Take them away after `REFRESH_TOKEN_TTL`.
        jwt_secret_previous: Vec<Secret> = "JWT_SECRET_PREVIOUS", always(""), List(SecretText);

        /// How long an access token lives. A socket ends with its token unless the client sends a new one.
        access_token_ttl: Duration = "ACCESS_TOKEN_TTL", always("15m"), Span(30..=DAY);

        /// How long a login lives without being used.
        refresh_token_ttl: Duration = "REFRESH_TOKEN_TTL", always("30d"), Span(HOUR..=400 * DAY);

        /// Web pages from elsewhere that may use this server, by exact origin; `*` for any (credentials are never
        /// allowed, there are no cookies). The same list guards websocket handshakes. A page that this server
        /// itself delivers needs no entry.
        cors_origins: Vec<String> = "CORS_ORIGINS", always(""), List(WebOrigin);

        /// Reverse proxies in front of this server: from them alone `X-Forwarded-For` is believed, and they are not
        /// counted against `CONNECTIONS_PER_ADDRESS_MAX`.
        trusted_proxies: Vec<IpNet> = "TRUSTED_PROXIES", always(""), List(Network);
    }

    "Limits" {
        /// REST requests: of an address without a login, and of a user. All users of one address together have ten
        /// times as many. Of those of a user, one in ten may make a room. Changes of members and roles (joining and
        /// leaving rooms, removals, roles, bans) are counted once more, sockets and REST API together: a user may make
        /// as many of them.
        rate_limit_api: Option<Rate> = "RATE_LIMIT_API", always("100/min"), RateOrOff;

        /// Messages of a user, over all sockets and the REST API together; twice as many in a burst.
        rate_limit_ws: Option<Rate> = "RATE_LIMIT_WS", always("10/s"), RateOrOff;

        /// Approaches of a user to others, over sockets and the REST API together: conversations opened, groups made,
        /// members added, invites, joins. Off as well while `RATE_LIMIT_API` is.
        rate_limit_contacts: Option<Rate> = "RATE_LIMIT_CONTACTS", always("300/h"), RateOrOff;

        /// Attempts to register, to log in and to refresh, of one address, each counted by itself; logins also by
        /// account.
        rate_limit_auth: Option<Rate> = "RATE_LIMIT_AUTH", always("10/min"), RateOrOff;

        /// Open TCP connections that speak HTTP, and as many Engine.IO sessions. A connection more is closed at once,
        /// a session more is answered 503.
        connections_max: usize = "CONNECTIONS_MAX", always("10000"), Whole(1..=10_000_000);

        /// The same of one address (IPv6: of one /64).
        connections_per_address_max: usize = "CONNECTIONS_PER_ADDRESS_MAX", always("1000"), Whole(1..=10_000_000);

        /// The largest message or polling request of a socket. Bodies of the REST API are bounded at 64 KiB.
        max_payload: usize = "MAX_PAYLOAD", always("1000000"), Bytes(20_000..=100_000_000);
    }

    "Chat" {
        /// Rooms that exist from the first start on. Taking a name away later leaves its room as it is.
        rooms: Vec<RoomName> = "ROOMS", always("general,random,tech"), List(Room);

        /// Rooms a user may have created.
        rooms_per_user_max: u64 = "ROOMS_PER_USER_MAX", always("50"), Whole(0..=1_000_000);

        /// Whether everybody may read a room before joining it, or only its members.
        rooms_open: bool = "ROOMS_OPEN", always("true"), Choice(&[("true", true), ("false", false)]);

        /// Rooms a user may be in.
        rooms_joined_max: u64 = "ROOMS_JOINED_MAX", always("500"), Whole(1..=2_000);

        /// Members of a group.
        group_members_max: u64 = "GROUP_MEMBERS_MAX", always("256"), Whole(1..=1_000);

        /// Members of a conversation above which typing, joining and leaving its room, and how far people have read
        /// are not told to all of them.
        audience_large: u64 = "AUDIENCE_LARGE", always("200"), Whole(2..=1_000);

        /// For how long authors may edit a message. Deleting it is always allowed.
        message_edit_window: Duration = "MESSAGE_EDIT_WINDOW", always("1d"), Span(0..=30 * DAY);

        /// People a user may block.
        blocks_per_user_max: u64 = "BLOCKS_PER_USER_MAX", always("1000"), Whole(0..=100_000);
    }

    "Sockets" {
        /// How often the server asks a client whether it is there. Proxies must keep idle connections for longer
        /// than this and `PING_TIMEOUT` together.
        ping_interval: Duration = "PING_INTERVAL", always("25s"), Span(1..=5 * MINUTE);

        /// How long the answer may take before the connection counts as lost.
        ping_timeout: Duration = "PING_TIMEOUT", always("20s"), Span(1..=5 * MINUTE);
    }
}

/// For the table: whether a parser's values are secret.
const fn secret<P: Parser>(_: &P) -> bool {
    P::SECRET
}
