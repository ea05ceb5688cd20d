//! What happens to every request around its route.
//!
//! ```text
//! request ─▶ finish ─▶ CORS ─▶ catch panics ─▶ gate ─────────────────▶ route
//!            names it,                         who sends it, from
//!            writes refusals,                  where, within limits?
//!            marks every answer
//! ```

use std::any::Any;
use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

use super::auth::Identity;
use super::error::{ApiError, write_body};
use super::rate;
use super::request_id::{self, RequestId};
use super::router::HEALTH;
use super::state::RestState;

/// Names the request, writes the body of a refusal, and marks every answer as what it is: JSON for one reader.
pub(super) async fn finish(State(state): State<RestState>, request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers(), &*state.ids);
    let mut response = next.run(request).await;
    write_body(&mut response, &id);
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, id.header());
    mark(headers, state.hsts);
    response
}

/// THREATS.md G11 and G12: nobody stores it, sniffs it, frames it or passes its address on.
fn mark(headers: &mut HeaderMap, hsts: bool) {
    let fixed = HeaderValue::from_static;
    headers.insert(CACHE_CONTROL, fixed("no-store, private"));
    headers.append(VARY, HeaderValue::from(AUTHORIZATION));
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        fixed("default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(REFERRER_POLICY, fixed("no-referrer"));
    if hsts {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            fixed("max-age=31536000; includeSubDomains"),
        );
    }
}

/// Finds out who sends the request from where, and lets it through if it is within the limits.
pub(super) async fn gate(State(state): State<RestState>, mut request: Request, next: Next) -> Response {
    // Probes come from everywhere, often, and cost nothing (S-141).
    if request.uri().path().starts_with(HEALTH) {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<SocketAddr>().copied();
    let client = state.proxies.client_ip(peer, request.headers());
    let identity = Identity::of(request.headers(), &state.live).await;
    let user = identity.user().map(|principal| principal.user);
    let counted = match rate::count(&state.limits, &state.buckets, user, client).await {
        Ok(counted) => counted,
        Err(error) => return ApiError::from(error).into_response(),
    };
    let refused = counted.and_then(|counted| counted.check().err());
    let mut response = if let Some(refused) = refused {
        ApiError::from(refused).into_response()
    } else {
        request.extensions_mut().insert(client);
        request.extensions_mut().insert(identity);
        next.run(request).await
    };
    if let Some(counted) = counted {
        counted.write_headers(response.headers_mut());
    }
    response
}

/// What is told of a panic: nothing. The panic hook has written where it was.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a route panicked");
    ApiError::Panicked.into_response()
}
