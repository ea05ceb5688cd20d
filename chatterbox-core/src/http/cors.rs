//! Which web pages may call the API: exact origins, nothing reflected, no credentials (S-050). Clients authenticate by
//! a header they set themselves, never by a cookie, so there is nothing ambient to abuse.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Origins (`https://chat.example.com`) that pages may call from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedOrigins {
    any: bool,
    exact: Vec<HeaderValue>,
}

impl AllowedOrigins {
    /// No page of another origin.
    pub fn none() -> AllowedOrigins {
        AllowedOrigins::default()
    }

    /// Pages of every origin; for development, and for APIs that are public anyway.
    pub fn any() -> AllowedOrigins {
        AllowedOrigins {
            any: true,
            exact: Vec::new(),
        }
    }

    /// Pages of exactly these origins.
    pub fn exactly(origins: impl IntoIterator<Item = HeaderValue>) -> AllowedOrigins {
        AllowedOrigins {
            any: false,
            exact: origins.into_iter().collect(),
        }
    }

    pub(super) fn layer(&self) -> CorsLayer {
        let origins = if self.any {
            AllowOrigin::any()
        } else {
            AllowOrigin::list(self.exact.iter().cloned())
        };
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::IF_MATCH,
                header::IF_NONE_MATCH,
                super::request_id::HEADER,
                HeaderName::from_static("idempotency-key"),
            ])
            .expose_headers([
                header::ETAG,
                header::RETRY_AFTER,
                header::WWW_AUTHENTICATE,
                super::request_id::HEADER,
                super::rate::LIMIT,
                super::rate::REMAINING,
                super::rate::RESET,
            ])
            .max_age(Duration::from_mins(10))
    }
}
