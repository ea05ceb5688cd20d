//! What a request wants of us, and the order in which it is checked (PROTOCOL.md section 2).

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Config;
use crate::engine::Frame;

/// Names a session on the wire. A bearer secret of 128 random bits: who knows it reads and writes the session.
/// Never logged, never shown to others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sid([u8; 16]);

impl Sid {
    /// From the system's random source.
    pub fn from_random(bytes: [u8; 16]) -> Sid {
        Sid(bytes)
    }

    /// As clients send it back, 22 characters that need no escaping in a URL.
    pub fn parse(text: &str) -> Option<Sid> {
        if text.len() != 22 {
            return None;
        }
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Sid)
    }

    /// A number as evenly spread as the sid, for tables.
    pub(crate) fn spread(&self) -> usize {
        usize::from(u16::from_ne_bytes([self.0[0], self.0[1]]))
    }

    /// The text for the client. The caller keeps it out of logs.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sid(secret)")
    }
}

/// How bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    WebSocket,
}

/// The query parameters that mean something to us; others, their order and `j` (JSONP) are ignored.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query<'a> {
    /// `EIO`, the protocol revision.
    pub revision: Option<Cow<'a, str>>,
    /// `transport`.
    pub transport: Option<Cow<'a, str>>,
    /// `sid`.
    pub sid: Option<Cow<'a, str>>,
}

impl<'a> Query<'a> {
    /// From a query string without `?`. Of a repeated parameter the first counts.
    pub fn parse(query: &'a str) -> Query<'a> {
        let mut parsed = Query::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match name {
                "EIO" => &mut parsed.revision,
                "transport" => &mut parsed.transport,
                "sid" => &mut parsed.sid,
                _ => continue,
            };
            if slot.is_none() {
                *slot = Some(percent_decode(value));
            }
        }
        parsed
    }

    fn is_revision_4(&self) -> bool {
        self.revision.as_deref() == Some("4")
    }
}

fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let escaped = || {
            let mut ahead = bytes.clone();
            let high = char::from(ahead.next()?).to_digit(16)?;
            let low = char::from(ahead.next()?).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        };
        match (byte, escaped()) {
            (b'%', Some(value)) => {
                decoded.push(value);
                bytes.nth(1);
            }
            _ => decoded.push(byte),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

/// An error of the handshake or of a request on a session, as clients of Engine.IO know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Code 0: transport missing, misspelt or switched off.
    TransportUnknown,
    /// Code 1: expired, of another node, or made up.
    UnknownSid,
    /// Code 2: no sid and not GET.
    BadMethod,
    /// Code 3: not allowed in this state of the session.
    BadRequest,
    /// Code 4, status 403: not let in, and why.
    Forbidden(String),
    /// Code 5: `EIO` is not `4`.
    UnsupportedRevision,
}

impl Refusal {
    /// The number in the answer.
    pub fn code(&self) -> u8 {
        match self {
            Refusal::TransportUnknown => 0,
            Refusal::UnknownSid => 1,
            Refusal::BadMethod => 2,
            Refusal::BadRequest => 3,
            Refusal::Forbidden(_) => 4,
            Refusal::UnsupportedRevision => 5,
        }
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        if matches!(self, Refusal::Forbidden(_)) {
            403
        } else {
            400
        }
    }

    /// The JSON body of the answer.
    pub fn body(&self) -> String {
        let message = match self {
            Refusal::TransportUnknown => "Transport unknown",
            Refusal::UnknownSid => "Session ID unknown",
            Refusal::BadMethod => "Bad handshake method",
            Refusal::BadRequest => "Bad request",
            Refusal::Forbidden(message) => message,
            Refusal::UnsupportedRevision => "Unsupported protocol version",
        };
        format!(
            "{{\"code\":{},\"message\":{}}}",
            self.code(),
            serde_json::Value::from(message)
        )
    }
}

/// The parts of a request that decide where it goes.
#[derive(Debug)]
pub struct Request<'a> {
    /// GET, POST or something else.
    pub method: Method,
    /// The query parameters.
    pub query: Query<'a>,
    /// Whether it asks to become a websocket (RFC 6455 section 4.1).
    pub upgrade: bool,
    /// Whether an Origin header is absent or readable.
    pub origin_readable: bool,
}

/// The methods that Engine.IO tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// Any other.
    Other,
}

/// Where a request goes. `S` is what the lookup found under the sid.
#[derive(Debug, PartialEq, Eq)]
pub enum Route<S> {
    /// A new session.
    Open(TransportKind),
    /// A GET to be held.
    Get(S),
    /// A POST with packets.
    Post(S),
    /// A websocket that wants to take the session over.
    Upgrade(S),
}

impl Request<'_> {
    /// Checks in the order of the reference server: transport, Origin, sid, method, admission, revision.
    /// `lookup` answers the session and its current transport; `admit` is asked for new sessions only.
    pub fn route<S>(
        &self,
        config: &Config,
        lookup: impl FnOnce(&Sid) -> Option<(S, TransportKind)>,
        admit: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<Route<S>, Refusal> {
        let transport = match self.query.transport.as_deref() {
            Some("polling") if config.polling => TransportKind::Polling,
            Some("websocket") if config.websocket => TransportKind::WebSocket,
            Some(_) | None => return Err(Refusal::TransportUnknown),
        };
        if !self.origin_readable {
            return Err(Refusal::BadRequest);
        }
        let wants_websocket = transport == TransportKind::WebSocket;
        if let Some(sid) = &self.query.sid {
            let found = Sid::parse(sid).and_then(|sid| lookup(&sid));
            let (session, current) = found.ok_or(Refusal::UnknownSid)?;
            if !self.query.is_revision_4() {
                return Err(Refusal::BadRequest);
            }
            return match (transport, self.method) {
                (TransportKind::WebSocket, Method::Get) if self.upgrade => Ok(Route::Upgrade(session)),
                (TransportKind::Polling, Method::Get) if current == transport => Ok(Route::Get(session)),
                (TransportKind::Polling, Method::Post) if current == transport => Ok(Route::Post(session)),
                (TransportKind::Polling | TransportKind::WebSocket, _) => Err(Refusal::BadRequest),
            };
        }
        if self.method != Method::Get {
            return Err(Refusal::BadMethod);
        }
        if wants_websocket && !self.upgrade {
            return Err(Refusal::BadRequest);
        }
        admit()?;
        if !self.query.is_revision_4() {
            return Err(Refusal::UnsupportedRevision);
        }
        Ok(Route::Open(transport))
    }
}

/// The first packet of a session: exactly these five keys.
pub fn open_packet(sid: &Sid, transport: TransportKind, config: &Config) -> Frame {
    let may_upgrade = transport == TransportKind::Polling && config.websocket && config.upgrades;
    let json = format!(
        "0{{\"sid\":\"{}\",\"upgrades\":[{}],\"pingInterval\":{},\"pingTimeout\":{},\"maxPayload\":{}}}",
        sid.reveal(),
        if may_upgrade { "\"websocket\"" } else { "" },
        config.ping_interval.as_millis(),
        config.ping_timeout.as_millis(),
        config.payload_bytes_max,
    );
    Frame::text(&[&json])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

    /// A request line, `+` for the Upgrade headers, against a session of the given transport under [`SID`].
    fn check(line: &str, current: TransportKind, expected: &str) {
        let (method, query) = line.split_once(" ?").unwrap();
        let request = Request {
            method: match method.trim_end_matches('+') {
                "GET" => Method::Get,
                "POST" => Method::Post,
                _ => Method::Other,
            },
            query: Query::parse(query),
            upgrade: method.ends_with('+'),
            origin_readable: true,
        };
        let lookup = |sid: &Sid| (sid.reveal() == SID).then_some(("it", current));
        let admit = || {
            if query.contains("banned") {
                Err(Refusal::Forbidden("no".into()))
            } else {
                Ok(())
            }
        };
        let answer = match request.route(&Config::default(), lookup, admit) {
            Ok(route) => format!("{route:?}"),
            Err(refusal) => format!("code {}", refusal.code()),
        };
        assert_eq!(answer, expected, "{line}");
    }

    /// PROTOCOL.md section 2, one line per rule.
    #[test]
    fn requests_are_checked_in_the_order_of_the_reference() {
        for (line, expected) in [
            ("GET ?EIO=4&transport=polling", "Open(Polling)"),
            ("GET ?transport=polling&t=abc&x=%26&EIO=4", "Open(Polling)"),
            ("GET ?EIO=4&transport=%70olling", "Open(Polling)"),
            ("GET+ ?EIO=4&transport=websocket", "Open(WebSocket)"),
            (
                "GET ?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAA",
                "Get(\"it\")",
            ),
            (
                "POST ?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAA",
                "Post(\"it\")",
            ),
            (
                "GET+ ?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAAAA",
                "Upgrade(\"it\")",
            ),
            ("GET ?EIO=4&transport=abc", "code 0"),
            ("GET ?EIO=3&transport=abc", "code 0"),
            ("GET ?EIO=4", "code 0"),
            ("GET ?EIO=4&transport=__proto__", "code 0"),
            (
                "GET ?EIO=4&transport=constructor&sid=AAAAAAAAAAAAAAAAAAAAAA",
                "code 0",
            ),
            (
                "GET ?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAQ",
                "code 1",
            ),
            ("GET ?EIO=3&transport=polling&sid=short", "code 1"),
            ("POST ?EIO=4&transport=polling", "code 2"),
            ("HEAD ?EIO=4&transport=polling", "code 2"),
            ("GET ?EIO=4&transport=websocket", "code 3"),
            (
                "GET ?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAAAA",
                "code 3",
            ),
            (
                "GET ?EIO=3&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAA",
                "code 3",
            ),
            (
                "PUT ?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAA",
                "code 3",
            ),
            (
                "DELETE ?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAA",
                "code 3",
            ),
            ("GET ?EIO=3&transport=polling&banned", "code 4"),
            ("GET ?EIO=3&transport=polling", "code 5"),
            ("GET ?transport=polling", "code 5"),
            ("GET+ ?EIO=5&transport=websocket", "code 5"),
        ] {
            check(line, TransportKind::Polling, expected);
        }
    }

    #[test]
    fn polling_a_session_that_is_on_websocket_is_code_3() {
        for method in ["GET", "POST"] {
            let line = format!("{method} ?EIO=4&transport=polling&sid={SID}");
            check(&line, TransportKind::WebSocket, "code 3");
        }
    }

    #[test]
    fn the_open_packet_has_exactly_five_keys() {
        let sid = Sid::from_random([0; 16]);
        let packet = open_packet(&sid, TransportKind::Polling, &Config::default());
        let expected = format!(
            "0{{\"sid\":\"{SID}\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":20000,\
             \"maxPayload\":1000000}}"
        );
        assert_eq!(packet.payload(), expected.as_bytes());
        let packet = open_packet(&sid, TransportKind::WebSocket, &Config::default());
        assert!(String::from_utf8_lossy(packet.payload()).contains("\"upgrades\":[]"));
    }

    #[test]
    fn a_sid_is_url_safe_and_stays_out_of_logs() {
        let sid = Sid::from_random([0xFB; 16]);
        assert!(
            sid.reveal()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert_eq!(Sid::parse(&sid.reveal()), Some(sid));
        assert_eq!(format!("{sid:?}"), "Sid(secret)");
        for wrong in [
            "",
            "__proto__",
            "AAAAAAAAAAAAAAAAAAAAA+",
            "AAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(Sid::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn refusals_are_json_whatever_the_message() {
        assert_eq!(
            Refusal::UnknownSid.body(),
            r#"{"code":1,"message":"Session ID unknown"}"#
        );
        assert_eq!(
            Refusal::Forbidden("\"".into()).body(),
            r#"{"code":4,"message":"\""}"#
        );
    }
}
