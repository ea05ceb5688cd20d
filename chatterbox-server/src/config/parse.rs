//! From the text of a variable to its value. A parser also says what it accepts, for messages and the reference.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chatterbox_core::domain::conversation::RoomName;
use chatterbox_core::domain::secret::Secret;
use ipnet::IpNet;

/// Reads one sort of value.
pub(super) trait Parser {
    /// What it reads.
    type Value;
    /// Whether its values may be shown. A constant, so that the table of variables can be one.
    const SECRET: bool = false;
    /// A phrase that fits behind "is not", such as `a whole number from 0 to 65535`.
    fn accepts(&self) -> String;
    /// The value; `None` if the text is not what [`accepts`](Parser::accepts) says.
    fn parse(&self, text: &str) -> Option<Self::Value>;
    /// The text as it may be shown; `None`: not at all.
    fn shown(&self, text: &str) -> Option<String> {
        (!Self::SECRET).then(|| text.to_owned())
    }
}

/// A whole number within bounds.
pub(super) struct Whole<T>(pub(super) RangeInclusive<T>);

impl<T: FromStr + PartialOrd + Display> Parser for Whole<T> {
    type Value = T;
    fn accepts(&self) -> String {
        format!("a whole number from {} to {}", self.0.start(), self.0.end())
    }
    fn parse(&self, text: &str) -> Option<T> {
        text.parse().ok().filter(|number| self.0.contains(number))
    }
}

/// A length of time within bounds, in seconds.
pub(super) struct Span(pub(super) RangeInclusive<u64>);

impl Parser for Span {
    type Value = Duration;
    fn accepts(&self) -> String {
        let show = |seconds: &u64| humantime::format_duration(Duration::from_secs(*seconds)).to_string();
        format!(
            "a time such as 90s, 15m or 30d, from {} to {}",
            show(self.0.start()),
            show(self.0.end())
        )
    }
    fn parse(&self, text: &str) -> Option<Duration> {
        let span = humantime::parse_duration(text).ok()?;
        let bounds = Duration::from_secs(*self.0.start())..=Duration::from_secs(*self.0.end());
        bounds.contains(&span).then_some(span)
    }
}

/// A number of bytes within bounds.
pub(super) struct Bytes(pub(super) RangeInclusive<usize>);

impl Parser for Bytes {
    type Value = usize;
    fn accepts(&self) -> String {
        format!(
            "a size in bytes, or such as 500kB or 1MiB, from {} to {} bytes",
            self.0.start(),
            self.0.end()
        )
    }
    fn parse(&self, text: &str) -> Option<usize> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1000,
            "kib" => 1024,
            "mb" => 1_000_000,
            "mib" => 1_048_576,
            _ => return None,
        };
        let bytes = digits.trim_end().parse::<usize>().ok()?.checked_mul(unit)?;
        self.0.contains(&bytes).then_some(bytes)
    }
}

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// This many times,
    pub count: u32,
    /// in this time.
    pub per: Duration,
}

/// A rate, or 0 for "no limit".
pub(super) struct RateOrOff;

impl Parser for RateOrOff {
    type Value = Option<Rate>;
    fn accepts(&self) -> String {
        "a rate such as 10/s, 100/min or 1000/h, or 0 for no limit".to_owned()
    }
    fn parse(&self, text: &str) -> Option<Option<Rate>> {
        if text == "0" {
            return Some(None);
        }
        let (count, unit) = text.split_once('/')?;
        let seconds = match unit.trim() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 3600,
            _ => return None,
        };
        let count = count
            .trim()
            .parse()
            .ok()
            .filter(|count| (1..=1_000_000).contains(count))?;
        Some(Some(Rate {
            count,
            per: Duration::from_secs(seconds),
        }))
    }
}

/// One of a few words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy> Parser for Choice<T> {
    type Value = T;
    fn accepts(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| *word).collect();
        format!("one of {}", words.join(", "))
    }
    fn parse(&self, text: &str) -> Option<T> {
        self.0
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
    }
}

/// Several, separated by commas.
pub(super) struct List<P>(pub(super) P);

impl<P: Parser> Parser for List<P> {
    type Value = Vec<P::Value>;
    const SECRET: bool = P::SECRET;
    fn accepts(&self) -> String {
        format!("a list, separated by commas, each {}", self.0.accepts())
    }
    fn parse(&self, text: &str) -> Option<Vec<P::Value>> {
        let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
        pieces.map(|piece| self.0.parse(piece)).collect()
    }
}

/// Nothing, or one.
pub(super) struct Optional<P>(pub(super) P);

impl<P: Parser> Parser for Optional<P> {
    type Value = Option<P::Value>;
    const SECRET: bool = P::SECRET;
    fn accepts(&self) -> String {
        self.0.accepts()
    }
    fn parse(&self, text: &str) -> Option<Option<P::Value>> {
        if text.is_empty() {
            return Some(None);
        }
        self.0.parse(text).map(Some)
    }
    fn shown(&self, text: &str) -> Option<String> {
        self.0.shown(text)
    }
}

/// A web origin as browsers send it, or `*`.
pub(super) struct WebOrigin;

impl Parser for WebOrigin {
    type Value = String;
    fn accepts(&self) -> String {
        "an origin such as https://chat.example.com (no path, no slash at the end), or *".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        if text == "*" {
            return Some(text.to_owned());
        }
        let uri: http::Uri = text.parse().ok()?;
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        let plain = matches!(scheme, "http" | "https") && !authority.as_str().contains('@');
        // Browsers send scheme and host in lower case, and comparison is exact.
        (plain && text.eq_ignore_ascii_case(&format!("{scheme}://{authority}")))
            .then(|| text.to_ascii_lowercase())
    }
}

/// An address or a network.
pub(super) struct Network;

impl Parser for Network {
    type Value = IpNet;
    fn accepts(&self) -> String {
        "an address or a network such as 10.0.0.0/8 or ::1".to_owned()
    }
    fn parse(&self, text: &str) -> Option<IpNet> {
        text.parse::<IpNet>()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    }
}

/// What to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// 127.0.0.1, and ::1 where the machine has it.
    Localhost,
    /// These.
    Addresses(Vec<IpAddr>),
}

/// `localhost`, or addresses.
pub(super) struct HostText;

impl Parser for HostText {
    type Value = Host;
    fn accepts(&self) -> String {
        "localhost, or a list of addresses, separated by commas, such as 0.0.0.0 or 127.0.0.1,::1".to_owned()
    }
    fn parse(&self, text: &str) -> Option<Host> {
        if text == "localhost" {
            return Some(Host::Localhost);
        }
        let addresses: Option<Vec<_>> = text.split(',').map(|one| one.trim().parse().ok()).collect();
        addresses.map(Host::Addresses)
    }
}

/// A directory.
pub(super) struct Directory;

impl Parser for Directory {
    type Value = PathBuf;
    fn accepts(&self) -> String {
        "a path".to_owned()
    }
    fn parse(&self, text: &str) -> Option<PathBuf> {
        Some(PathBuf::from(text))
    }
}

/// A name for a room.
pub(super) struct Room;

impl Parser for Room {
    type Value = RoomName;
    fn accepts(&self) -> String {
        "a room name of 2 to 32 of a-z, 0-9 and - (not first) that is not reserved".to_owned()
    }
    fn parse(&self, text: &str) -> Option<RoomName> {
        RoomName::parse(text).ok()
    }
}

/// A log level, or levels for parts of the program.
pub(super) struct LogFilter;

impl Parser for LogFilter {
    type Value = String;
    fn accepts(&self) -> String {
        "a level (error, warn, info, debug, trace), or such as info,hyper=warn".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        // Stricter than the filter itself, which takes any word for a part of the program.
        let known = |level: &str| LEVELS.contains(&level.to_ascii_lowercase().as_str());
        let well_formed = text
            .split(',')
            .all(|piece| known(piece.rsplit('=').next().unwrap_or("")));
        (well_formed && tracing_subscriber::EnvFilter::try_new(text).is_ok()).then(|| text.to_owned())
    }
}

/// A secret that somebody else made, such as the password of a database.
pub(super) struct Password;

impl Parser for Password {
    type Value = Secret;
    const SECRET: bool = true;
    fn accepts(&self) -> String {
        "a text".to_owned()
    }
    fn parse(&self, text: &str) -> Option<Secret> {
        Some(text.into())
    }
}

/// A name in words of somebody else: of a bucket, a region, a key.
pub(super) struct Name;

impl Parser for Name {
    type Value = String;
    fn accepts(&self) -> String {
        "a name of up to 255 letters, digits and - _ . / + = :".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+=:".contains(c);
        (text.len() <= 255 && text.chars().all(plain)).then(|| text.to_owned())
    }
}

/// What names in Redis begin with. Braces mean something in a cluster, stars in its access lists.
pub(super) struct RedisPrefix;

impl Parser for RedisPrefix {
    type Value = String;
    fn accepts(&self) -> String {
        "1 to 64 letters, digits and - _ . :".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        ((1..=64).contains(&text.len()) && text.chars().all(plain)).then(|| text.to_owned())
    }
}

/// A secret. Its strength is judged later, when it is known whether this is production.
pub(super) struct SecretText;

impl Parser for SecretText {
    type Value = Secret;
    const SECRET: bool = true;
    fn accepts(&self) -> String {
        "a text of 32 bytes or more, made at random (openssl rand -base64 48)".to_owned()
    }
    fn parse(&self, text: &str) -> Option<Secret> {
        Some(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_counts_over_a_unit_and_zero_is_off() {
        let rate = |count, seconds| {
            Some(Some(Rate {
                count,
                per: Duration::from_secs(seconds),
            }))
        };
        for (text, expected) in [
            ("10/s", rate(10, 1)),
            ("100/min", rate(100, 60)),
            ("5 / hour", rate(5, 3600)),
            ("0", Some(None)),
            ("0/s", None),
            ("10", None),
            ("-1/s", None),
            ("10/fortnight", None),
            ("", None),
        ] {
            assert_eq!(RateOrOff.parse(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_and_times_keep_their_bounds() {
        let size = Bytes(1000..=16_000_000);
        for (text, expected) in [
            ("1000000", Some(1_000_000)),
            ("1MB", Some(1_000_000)),
            ("1 MiB", Some(1_048_576)),
            ("64kib", Some(65_536)),
            ("999", None),
            ("1GB", None),
            ("99999999999999999999MB", None),
            ("MB", None),
        ] {
            assert_eq!(size.parse(text), expected, "{text}");
        }
        let span = Span(1..=60);
        assert_eq!(span.parse("1500ms"), Some(Duration::from_millis(1500)));
        assert_eq!(span.parse("61s"), None);
        assert_eq!(span.parse("15"), None, "a bare number has no unit");
    }

    #[test]
    fn origins_are_exact() {
        // S-050.
        for (text, accepted) in [
            ("https://chat.example.com", true),
            ("http://localhost:5173", true),
            ("HTTPS://Chat.Example.com", true),
            ("*", true),
            ("https://chat.example.com/", false),
            ("https://chat.example.com/path", false),
            ("chat.example.com", false),
            ("https://*.example.com/", false),
            ("ftp://example.com", false),
            ("https://user@example.com", false),
        ] {
            assert_eq!(WebOrigin.parse(text).is_some(), accepted, "{text}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for (text, accepted) in [
            ("info", true),
            ("WARN", true),
            ("info,hyper=warn", true),
            ("verbose", false),
            ("hyper=loud", false),
            ("", false),
        ] {
            assert_eq!(LogFilter.parse(text).is_some(), accepted, "{text}");
        }
    }
}
