//! Where Redis is: the spellings of `REDIS_URL`.
//!
//! ```text
//! redis://[user:password@]host[:6379][/db]                            one server; rediss:// with TLS
//! redis+sentinel://[user:password@]host[:26379],host…/master[/db]     the master that the sentinels name
//! redis+cluster://[user:password@]host[:6379],host…                   a cluster, found through any of these hosts
//! ```
//! `rediss+sentinel` and `rediss+cluster` are the same over TLS. User and password are those of the servers; for sentinels
//! that want some as well there are `?sentinel-user=…&sentinel-password=…` at the end. What is special in them is
//! percent-encoded.

use std::fmt;

use chatterbox_core::domain::secret::Secret;
use deadpool_redis::redis::{ConnectionInfo, IntoConnectionInfo};

/// Where Redis is. `Display` and `Debug` tell kind and hosts, never user or password.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) kind: Kind,
    shown: String,
}

#[derive(Clone)]
pub(super) enum Kind {
    One(ConnectionInfo),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        master: String,
        /// How the master is spoken to; its host stands for nothing.
        node: ConnectionInfo,
    },
    Cluster(Vec<ConnectionInfo>),
}

/// Why a text is no address of Redis. The text itself is not told, it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidAddress {
    #[error("it does not begin with redis://, rediss://, redis+sentinel:// or redis+cluster://")]
    Scheme,
    #[error("a host is missing")]
    NoHost,
    #[error("several hosts need redis+sentinel:// or redis+cluster://")]
    ManyHosts,
    #[error("the name of the master is missing: redis+sentinel://host,host/master")]
    NoMaster,
    #[error("behind the name of the master there may only be ?sentinel-user=…&sentinel-password=…")]
    Options,
    #[error("a cluster has no numbered databases")]
    ClusterDatabase,
    #[error("host, port, database, user or password do not parse; special characters are percent-encoded")]
    Malformed,
}

impl Address {
    pub(super) fn parse(url: &Secret) -> Result<Address, InvalidAddress> {
        let (scheme, rest) = url.as_str().split_once("://").ok_or(InvalidAddress::Scheme)?;
        let (base, way) = match scheme.split_once('+') {
            Some((base, way)) => (base, Some(way)),
            None => (scheme, None),
        };
        if !matches!(base, "redis" | "rediss") {
            return Err(InvalidAddress::Scheme);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), authority),
        };
        let hosts: Vec<&str> = hosts.split(',').map(str::trim).collect();
        if hosts.iter().any(|host| host.is_empty() || host.starts_with(':')) {
            return Err(InvalidAddress::NoHost);
        }
        let server = |host: &str, db: &str| connection(&format!("{base}://{login}{host}/{db}"));
        let kind = match (way, hosts.as_slice()) {
            (None, [host]) => Kind::One(server(host, path)?),
            (None, _) => return Err(InvalidAddress::ManyHosts),
            (Some("sentinel"), _) => {
                let (path, options) = path.split_once('?').unwrap_or((path, ""));
                let login = sentinel_login(options)?;
                let (master, db) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(InvalidAddress::NoMaster);
                }
                let sentinel =
                    |host: &&str| connection(&format!("{base}://{login}{}", with_port(host, 26379)));
                Kind::Sentinel {
                    sentinels: hosts.iter().map(sentinel).collect::<Result<_, _>>()?,
                    master: master.to_owned(),
                    node: server("master", db)?,
                }
            }
            (Some("cluster"), _) if matches!(path, "" | "0") => {
                let all = hosts
                    .iter()
                    .map(|host| server(host, ""))
                    .collect::<Result<_, _>>()?;
                Kind::Cluster(all)
            }
            (Some("cluster"), _) => return Err(InvalidAddress::ClusterDatabase),
            (Some(_), _) => return Err(InvalidAddress::Scheme),
        };
        let shown = format!("{scheme}://{}", hosts.join(","));
        Ok(Address { kind, shown })
    }

    /// The number of the database; of a cluster, which has no others, 0.
    pub(super) fn database(&self) -> i64 {
        match &self.kind {
            Kind::One(info) | Kind::Sentinel { node: info, .. } => info.redis_settings().db(),
            Kind::Cluster(_) => 0,
        }
    }
}

fn connection(url: &str) -> Result<ConnectionInfo, InvalidAddress> {
    // What the driver says of it may quote it.
    url.into_connection_info().map_err(|_| InvalidAddress::Malformed)
}

/// User and password of the sentinels, as they stand before a host.
fn sentinel_login(options: &str) -> Result<String, InvalidAddress> {
    let (mut user, mut password) = ("", "");
    for option in options.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("sentinel-user", value)) => user = value,
            Some(("sentinel-password", value)) => password = value,
            Some(_) | None => return Err(InvalidAddress::Options),
        }
    }
    if [user, password].iter().any(|part| part.contains(['@', '/', ':'])) {
        return Err(InvalidAddress::Malformed);
    }
    Ok(match (user, password) {
        ("", "") => String::new(),
        (user, password) => format!("{user}:{password}@"),
    })
}

fn with_port(host: &str, port: u16) -> String {
    let has_port = host.rsplit_once(':').is_some_and(|(name, port)| {
        !port.is_empty()
            && port.bytes().all(|digit| digit.is_ascii_digit())
            && (!name.contains(':') || name.ends_with(']'))
    });
    if has_port {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, InvalidAddress> {
        Address::parse(&url.into())
    }

    #[test]
    fn s026_single_node_sentinel_and_cluster_have_a_spelling() {
        for (url, kind, shown) in [
            ("redis://localhost", "one", "redis://localhost"),
            ("redis://:p%40ss@cache:6390/2", "one", "redis://cache:6390"),
            ("rediss://user:secret@cache", "one", "rediss://cache"),
            ("redis://[::1]:6379", "one", "redis://[::1]:6379"),
            (
                "redis+sentinel://a,b:26380/main",
                "sentinel main",
                "redis+sentinel://a,b:26380",
            ),
            (
                "rediss+sentinel://:pw@a/main/3",
                "sentinel main",
                "rediss+sentinel://a",
            ),
            (
                "redis+cluster://u:p@a:7001,b:7002,c",
                "cluster 3",
                "redis+cluster://a:7001,b:7002,c",
            ),
            ("redis+cluster://a/", "cluster 1", "redis+cluster://a"),
        ] {
            let address = parse(url).unwrap();
            let is = match &address.kind {
                Kind::One(_) => "one".to_owned(),
                Kind::Sentinel { master, .. } => format!("sentinel {master}"),
                Kind::Cluster(hosts) => format!("cluster {}", hosts.len()),
            };
            assert_eq!(
                (is.as_str(), address.to_string().as_str()),
                (kind, shown),
                "{url}"
            );
        }
    }

    #[test]
    fn logins_and_databases_arrive() {
        let Kind::One(info) = parse("redis://ann:p%40ss@cache/2").unwrap().kind else {
            panic!("one server");
        };
        let settings = info.redis_settings();
        assert_eq!(settings.username(), Some("ann"));
        assert_eq!(settings.password(), Some("p@ss"));
        assert_eq!(settings.db(), 2);
        let Kind::Sentinel { sentinels, node, .. } = parse("redis+sentinel://:pw@a,b:1/main/3").unwrap().kind
        else {
            panic!("sentinels");
        };
        assert_eq!(sentinels[0].addr().to_string(), "a:26379");
        assert_eq!(sentinels[1].addr().to_string(), "b:1");
        assert_eq!(sentinels[0].redis_settings().password(), None);
        assert_eq!(node.redis_settings().password(), Some("pw"));
        assert_eq!(node.redis_settings().db(), 3);
        let url = "redis+sentinel://:pw@a/main/3?sentinel-user=eye&sentinel-password=s%40w";
        let Kind::Sentinel { sentinels, node, .. } = parse(url).unwrap().kind else {
            panic!("sentinels");
        };
        let settings = sentinels[0].redis_settings();
        assert_eq!(
            (settings.username(), settings.password()),
            (Some("eye"), Some("s@w"))
        );
        assert_eq!(node.redis_settings().password(), Some("pw"));
        assert_eq!(node.redis_settings().db(), 3);
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_quoted() {
        for (url, why) in [
            ("", InvalidAddress::Scheme),
            ("localhost:6379", InvalidAddress::Scheme),
            ("http://hunter2@localhost", InvalidAddress::Scheme),
            ("redis+ring://hunter2@a", InvalidAddress::Scheme),
            ("redis://", InvalidAddress::NoHost),
            ("redis://:hunter2@", InvalidAddress::NoHost),
            ("redis+cluster://a,,b", InvalidAddress::NoHost),
            ("redis://:hunter2@a,b", InvalidAddress::ManyHosts),
            ("redis+sentinel://:hunter2@a", InvalidAddress::NoMaster),
            (
                "redis+sentinel://a/main?password=hunter2",
                InvalidAddress::Options,
            ),
            (
                "redis+sentinel://a/main?sentinel-password=hunter2@b",
                InvalidAddress::Malformed,
            ),
            ("redis+cluster://:hunter2@a/1", InvalidAddress::ClusterDatabase),
            ("redis://:hunter2@a:port", InvalidAddress::Malformed),
            ("redis://:hunter2@a/db", InvalidAddress::Malformed),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error, why, "{url}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
