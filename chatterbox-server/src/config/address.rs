//! Addresses of backends. They may hold passwords, so they are kept as secrets and shown without whatever could be one.

use chatterbox_core::domain::secret::Secret;

use super::parse::Parser;

/// An address that begins with one of some schemes.
pub(super) struct Address {
    /// With `://`.
    pub(super) schemes: &'static [&'static str],
    pub(super) example: &'static str,
}

impl Parser for Address {
    type Value = Secret;
    const SECRET: bool = true;
    fn accepts(&self) -> String {
        format!(
            "an address that begins with {}, such as {}",
            self.schemes.join(" or "),
            self.example
        )
    }
    fn parse(&self, text: &str) -> Option<Secret> {
        let rest = self.schemes.iter().find_map(|scheme| text.strip_prefix(scheme))?;
        let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        (plain && !rest.is_empty() && !rest.starts_with(['/', '?'])).then(|| text.into())
    }
    fn shown(&self, text: &str) -> Option<String> {
        without_secrets(text)
    }
}

/// The address without its user, password and options; `None` if what is left doesn't look like hosts and a path, so
/// that a misplaced password isn't shown either.
pub(super) fn without_secrets(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path_is_plain = path
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    if !hosts.split(',').all(is_host) || !path_is_plain {
        return None;
    }
    let (user, options) = (hidden(user, "…@"), hidden(options, "?…"));
    let slash = if path.is_empty() { "" } else { "/" };
    Some(format!("{scheme}://{user}{hosts}{slash}{path}{options}"))
}

fn hidden(part: &str, sign: &'static str) -> &'static str {
    if part.is_empty() { "" } else { sign }
}

/// `host`, `host:6379`, `[::1]:6379`.
fn is_host(text: &str) -> bool {
    let (host, port) = split_port(text);
    let name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(name),
    };
    named && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    }
}

/// Host and port of an address with one host, and its password if it has one.
pub(super) struct Parts<'a> {
    pub(super) host: &'a str,
    pub(super) port: Option<&'a str>,
    pub(super) password: Option<&'a str>,
}

/// The parts of an address; `None` if it names several hosts.
pub(super) fn parts(text: &str) -> Option<Parts<'_>> {
    let (_, rest) = text.split_once("://")?;
    let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let hosts = rest.split(['/', '?']).next()?;
    if hosts.contains(',') {
        return None;
    }
    let (host, port) = split_port(hosts);
    Some(Parts {
        host,
        port,
        password: user.split_once(':').map(|(_, password)| password),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_could_be_a_password() {
        // S-038, THREATS.md C9.
        for (text, shown) in [
            ("redis://localhost:6379", Some("redis://localhost:6379")),
            (
                "redis://:hunter2@localhost:6379/1",
                Some("redis://…@localhost:6379/1"),
            ),
            (
                "mongodb://ann:hunter2@a,b:27018/chat?x=hunter2",
                Some("mongodb://…@a,b:27018/chat?…"),
            ),
            ("mongodb://ann:hun/ter2@a/chat", Some("mongodb://…@a/chat")),
            ("mongodb://ann:hun@ter2@a/chat", Some("mongodb://…@a/chat")),
            ("redis://:hunter2", None),
            ("redis://ann:hunter2:localhost", None),
            ("mongodb://a/chat/:hunter2", None),
            ("redis://[::1]:6379", Some("redis://[::1]:6379")),
            ("redis://[hunter2]:6379", None),
            ("hunter2", None),
        ] {
            assert_eq!(without_secrets(text).as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn addresses_are_of_their_backend() {
        let address = Address {
            schemes: &["mongodb://", "mongodb+srv://"],
            example: "mongodb://localhost:27017/chat",
        };
        for (text, accepted) in [
            ("mongodb://localhost", true),
            ("mongodb+srv://cluster.example.com/chat", true),
            ("mongodb://", false),
            ("mongodb:///chat", false),
            ("mongodb://local host", false),
            ("redis://localhost", false),
            ("localhost:27017", false),
        ] {
            assert_eq!(address.parse(text).is_some(), accepted, "{text}");
        }
    }
}
