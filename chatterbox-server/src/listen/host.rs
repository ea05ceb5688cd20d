//! The one thing that HTTP/1.1 asks of every request and hyper leaves to its user (RFC 9112 section 3.2).

use http::header::{CONNECTION, HOST};
use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::Empty;
use hyper::body::Buf;

/// Whether the request says once, and readably, which host it is for. HTTP/1.0 may leave it out, and a target without
/// an authority has an empty one.
pub(super) fn is_named_once<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.version() < Version::HTTP_11,
        (Some(host), None) => is_host(host.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

/// `uri-host [ ":" port ]`: an authority without user information.
fn is_host(host: &[u8]) -> bool {
    host.is_empty() || (!host.contains(&b'@') && Authority::try_from(host).is_ok())
}

/// The answer to any other request. The connection ends with it: a proxy in between may take the next one to be for
/// another host than we do.
pub(super) fn refused<D: Buf>() -> Response<Empty<D>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}
