//! `ETag`s of answers, for `If-None-Match`.

use aws_lc_rs::digest;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use super::error::ApiError;
use super::json::answer;
use crate::error::Error;

/// The body with its tag, or 304 if the client has it already.
pub(super) fn with_etag(body: &impl Serialize, headers: &HeaderMap) -> Result<Response, ApiError> {
    let etag = etag(body)?;
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|value| lists(value, &etag));
    let mut response = if known {
        let mut empty = Response::new(axum::body::Body::empty());
        *empty.status_mut() = StatusCode::NOT_MODIFIED;
        empty
    } else {
        answer(StatusCode::OK, body)?
    };
    let value = HeaderValue::from_str(&etag).map_err(|error| Error::Internal(Box::new(error)))?;
    response.headers_mut().insert(ETAG, value);
    Ok(response)
}

fn etag(body: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_vec(body).map_err(|error| Error::Internal(Box::new(error)))?;
    let hash = digest::digest(&digest::SHA256, &json);
    Ok(format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])))
}

/// Weak comparison, as RFC 9110 section 13.1.2 wants it.
fn lists(value: &HeaderValue, etag: &str) -> bool {
    let tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
    tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag))
        .any(|tag| tag == "*" || tag == etag)
}
