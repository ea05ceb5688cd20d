//! The few answers that Engine.IO knows.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};

use crate::engine::eio::Refusal;

/// Body of every answer.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

fn body(content: impl Into<Bytes>) -> Body {
    Full::new(content.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn with_body(status: StatusCode, content_type: &'static str, content: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body(content));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(body(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// The answer of a GET.
pub(super) fn packets(content: Bytes) -> Response<Body> {
    with_body(StatusCode::OK, "text/plain; charset=UTF-8", content)
}

/// The answer of a POST whose packets were taken.
pub(super) fn ok() -> Response<Body> {
    with_body(StatusCode::OK, "text/html", "ok")
}

/// An error of Engine.IO.
pub(super) fn refused(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    with_body(status, "application/json", refusal.body())
}

/// A websocket that is refused: the connection is closed as well (PROTOCOL.md section 2).
pub(super) fn and_close(mut response: Response<Body>) -> Response<Body> {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A POST body over the limit; the rest of it is not read.
pub(super) fn too_large() -> Response<Body> {
    and_close(with_body(
        StatusCode::PAYLOAD_TOO_LARGE,
        "text/plain; charset=UTF-8",
        "too large",
    ))
}

/// No room for another session at the moment.
pub(super) fn unavailable() -> Response<Body> {
    let mut response = with_body(
        StatusCode::SERVICE_UNAVAILABLE,
        "text/plain; charset=UTF-8",
        "try again later",
    );
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
