//! The REST API, as a `tower::Service` over `http::Request`.
//!
//! ```text
//! request ─▶ pipeline.rs ─▶ router.rs ─▶ routes/* ─── one Call ──▶ stack ─▶ use case
//!             request_id, cors,            field, page, json:
//!             auth, client_ip, rate        path, cursor: input read and checked for its shape
//!            ◀── error.rs: codes → statuses, nowhere else ◀──────── Error
//! ```
//! Routes know shapes, use cases know rules. The document of `openapi.rs` is made from the same types.

pub mod client_ip;
pub mod cors;
pub mod health;
pub mod rate;

mod auth;
mod cursor;
mod error;
mod etag;
mod field;
mod idempotency;
mod json;
mod openapi;
mod page;
mod path;
mod pipeline;
mod request_id;
mod router;
mod routes;
mod schema;
mod state;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tower::{Service, ServiceExt};

pub use cors::AllowedOrigins;
pub use health::{Health, HealthCheck};
pub use openapi::document;
pub use rate::ApiLimits;
pub use state::RestParts;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Serves everything under `/api`; any other path is answered with 404. Cheap to clone.
///
/// The client's address is taken from the peer's `SocketAddr` in the request's extensions.
#[derive(Clone)]
pub struct RestApi {
    router: axum::Router,
}

impl RestApi {
    /// From its parts.
    pub fn new(parts: RestParts) -> RestApi {
        RestApi {
            router: router::router(state::RestState::new(parts)),
        }
    }
}

impl<B> Service<Request<B>> for RestApi
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.router.clone().oneshot(request.map(axum::body::Body::new));
        Box::pin(async move {
            let response = answer.await?;
            Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
        })
    }
}

impl std::fmt::Debug for RestApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RestApi")
    }
}

#[cfg(test)]
mod tests;
