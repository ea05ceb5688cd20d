//! The name of a request, in `X-Request-Id`, in error bodies and in the log (SPEC.md section 1).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::ids::{IdSource, RawId};

/// The header it travels in, both ways.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The request's name: the client's own if it is 1 to 64 of letters, digits, `.`, `_` and `-`, else a fresh one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestId(Arc<str>);

impl RequestId {
    pub(super) fn of(headers: &HeaderMap, ids: &dyn IdSource) -> RequestId {
        let given = headers.get(HEADER).and_then(|value| value.to_str().ok());
        match given {
            Some(text) if is_harmless(text) => RequestId(text.into()),
            Some(_) | None => RequestId::from_raw(ids.next()),
        }
    }

    fn from_raw(id: RawId) -> RequestId {
        RequestId(id.to_string().into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("letters, digits, dots, dashes and underscores fit a header")
    }
}

/// It is written into logs and headers, so nothing that means something there gets through (THREATS.md E10).
fn is_harmless(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SystemIds;

    #[test]
    fn a_harmless_id_is_kept_and_any_other_replaced() {
        let ids = SystemIds::new();
        for (given, kept) in [
            ("3f2b-77.A_z", true),
            ("", false),
            ("a b", false),
            ("a\u{1b}[31m", false),
            ("<script>", false),
            (&*"a".repeat(64), true),
            (&*"a".repeat(65), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(given) {
                headers.insert(HEADER, value);
            }
            let id = RequestId::of(&headers, &ids);
            assert_eq!(id.as_str() == given, kept, "{given}");
            assert!(is_harmless(id.as_str()));
        }
    }
}
