//! Which web pages may talk to us (PROTOCOL.md section 14).
//!
//! Browsers enforce CORS for polling only. Websocket handshakes carry the page's origin too, so it is checked here
//! against the same list; otherwise any page could open a socket in its visitor's name.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, HOST, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::response::{self, Body};

/// The policy towards pages of other origins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    /// No CORS headers: browsers keep other origins from polling. Websockets are not checked.
    #[default]
    Off,
    /// Every origin, without credentials.
    Any,
    /// Exactly these origins (`https://chat.example`) and our own; others get 403 at the handshake.
    List {
        /// Scheme, host and port, as browsers write them.
        origins: Vec<String>,
        /// Whether pages may send cookies and the like along.
        credentials: bool,
    },
}

impl Cors {
    /// Whether a handshake with these headers may go on. Clients that are no browsers send no Origin.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        match (self, headers.get(ORIGIN)) {
            (Cors::Off | Cors::Any, _) | (Cors::List { .. }, None) => true,
            (Cors::List { origins, .. }, Some(origin)) => {
                let own = || {
                    let authority = origin.as_bytes().splitn(3, |byte| *byte == b'/').nth(2);
                    authority.is_some() && authority == headers.get(HOST).map(HeaderValue::as_bytes)
                };
                origins
                    .iter()
                    .any(|listed| listed.as_bytes() == origin.as_bytes())
                    || own()
            }
        }
    }

    /// Adds the headers with which a browser lets the page see the answer; on errors too, or the page can't tell
    /// what went wrong.
    pub(super) fn mark(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        match self {
            Cors::Off => {}
            Cors::Any => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Cors::List { origins, credentials } => {
                headers.append(VARY, HeaderValue::from_static("Origin"));
                let listed = origin.filter(|origin| {
                    origins
                        .iter()
                        .any(|listed| listed.as_bytes() == origin.as_bytes())
                });
                if let Some(origin) = listed {
                    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                    if *credentials {
                        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                    }
                }
            }
        }
    }

    /// The answer of a preflight, or `None` while CORS is off.
    pub(super) fn preflight(&self, request: &HeaderMap) -> Option<Response<Body>> {
        if *self == Cors::Off {
            return None;
        }
        let mut response = response::empty(StatusCode::NO_CONTENT);
        let headers = response.headers_mut();
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET,POST,OPTIONS"),
        );
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        headers.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
        if let Some(wanted) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(http::header::HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    fn list(credentials: bool) -> Cors {
        Cors::List {
            origins: vec!["https://a.test".into()],
            credentials,
        }
    }

    /// THREATS A1.
    #[test]
    fn a_list_keeps_other_origins_out() {
        for (origin, admitted) in [
            ("https://a.test", true),
            ("https://us.test:8080", true),
            ("http://a.test", false),
            ("https://a.test.evil.example", false),
            ("https://evil.example", false),
            ("null", false),
        ] {
            let request = headers(&[(ORIGIN, origin), (HOST, "us.test:8080")]);
            assert_eq!(list(true).admits(&request), admitted, "{origin}");
            assert!(Cors::Any.admits(&request) && Cors::Off.admits(&request));
        }
        assert!(list(true).admits(&headers(&[(HOST, "us.test")])), "not a browser");
    }

    #[test]
    fn credentials_never_go_with_a_star() {
        let a = HeaderValue::from_static("https://a.test");
        let b = HeaderValue::from_static("https://b.test");
        for (cors, origin, expected) in [
            (Cors::Off, &a, headers(&[])),
            (Cors::Any, &a, headers(&[(ACCESS_CONTROL_ALLOW_ORIGIN, "*")])),
            (list(false), &b, headers(&[(VARY, "Origin")])),
            (
                list(false),
                &a,
                headers(&[(VARY, "Origin"), (ACCESS_CONTROL_ALLOW_ORIGIN, "https://a.test")]),
            ),
            (
                list(true),
                &a,
                headers(&[
                    (VARY, "Origin"),
                    (ACCESS_CONTROL_ALLOW_ORIGIN, "https://a.test"),
                    (ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
                ]),
            ),
        ] {
            let mut marked = HeaderMap::new();
            cors.mark(Some(origin), &mut marked);
            assert_eq!(marked, expected, "{cors:?} {origin:?}");
        }
    }

    #[test]
    fn a_preflight_echoes_the_wanted_headers() {
        let request = headers(&[(ACCESS_CONTROL_REQUEST_HEADERS, "x-token")]);
        assert!(Cors::Off.preflight(&request).is_none());
        let answer = Cors::Any.preflight(&request).unwrap();
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_HEADERS], "x-token");
    }
}
