//! From codes to statuses, and the one shape of a refusal (SPEC.md section 1). Nowhere else in `http`.

use std::time::Duration;

use axum::response::IntoResponse;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::request_id::RequestId;
use crate::error::{Error, FieldError};
use crate::role::Role;

/// So long a client is asked to wait when the server doesn't know better.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(2);

/// Why a request is refused: what the use cases say, and what only HTTP can get wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error(transparent)]
    App(#[from] Error),
    #[error("there is no such route")]
    NoRoute,
    #[error("this process has the role {role} and does not serve {what}; another process of this chat does")]
    Elsewhere { role: Role, what: &'static str },
    #[error("this route does not know this method")]
    Method,
    #[error("the body must be JSON, with Content-Type: application/json, and not compressed")]
    UnsupportedType,
    #[error("the body is larger than {max} bytes")]
    TooLarge { max: usize },
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("the body is not valid JSON for this route: {0}")]
    Malformed(String),
    #[error("something went wrong on the server")]
    Panicked,
}

impl ApiError {
    fn code(&self) -> &'static str {
        match self {
            ApiError::App(error) => error.code(),
            ApiError::NoRoute => "NOT_FOUND",
            ApiError::Elsewhere { .. } => "WRONG_ROLE",
            ApiError::Method => "METHOD_NOT_ALLOWED",
            ApiError::UnsupportedType => "UNSUPPORTED_TYPE",
            ApiError::TooLarge { .. } => "PAYLOAD_TOO_LARGE",
            ApiError::TooSlow => "REQUEST_TIMEOUT",
            ApiError::Malformed(_) => "VALIDATION",
            ApiError::Panicked => "INTERNAL",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            ApiError::App(error) => status_of(error),
            ApiError::NoRoute => StatusCode::NOT_FOUND,
            ApiError::Elsewhere { .. } => StatusCode::MISDIRECTED_REQUEST,
            ApiError::Method => StatusCode::METHOD_NOT_ALLOWED,
            ApiError::UnsupportedType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ApiError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            ApiError::Malformed(_) => StatusCode::BAD_REQUEST,
            ApiError::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            ApiError::App(Error::Unavailable(_)) => Some(UNAVAILABLE_RETRY),
            ApiError::App(error) => error.retry_after(),
            _ => None,
        }
    }
}

fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Validation(_)
        | Error::InvalidId(_)
        | Error::InvalidToken
        | Error::InvalidCursor
        | Error::QueryTooCostly
        | Error::DirectCannotLeave => StatusCode::BAD_REQUEST,
        Error::Unauthenticated(_) | Error::TokenExpired => StatusCode::UNAUTHORIZED,
        Error::Forbidden(_) | Error::NotAMember | Error::Blocked | Error::AccountSuspended => {
            StatusCode::FORBIDDEN
        }
        Error::Outdated => StatusCode::PRECONDITION_FAILED,
        Error::NotFound(_) => StatusCode::NOT_FOUND,
        Error::Gone(_) => StatusCode::GONE,
        Error::Conflict(_)
        | Error::DuplicateRoom
        | Error::LastOwner
        | Error::GroupFull
        | Error::UsernameTaken
        | Error::EmailTaken
        | Error::QuotaExceeded(_) => StatusCode::CONFLICT,
        Error::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The body of every refusal.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorBody {
    /// What went wrong.
    error: ErrorObject,
    /// The request's name, as in `X-Request-Id`.
    request_id: String,
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct ErrorObject {
    /// Stable; clients switch on it.
    #[schema(example = "VALIDATION")]
    code: &'static str,
    /// A sentence for people.
    message: String,
    /// Which fields break which rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    details: Vec<FieldError>,
}

/// A refusal whose body waits for the request's name; see [`write_body`].
#[derive(Debug, Clone)]
struct Refusal(ErrorObject);

impl IntoResponse for ApiError {
    fn into_response(self) -> axum::response::Response {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"chatterbox\""),
            );
        }
        if let Some(wait) = self.retry_after() {
            headers.insert(RETRY_AFTER, seconds(wait).max(1).into());
        }
        if matches!(self, ApiError::TooLarge { .. } | ApiError::TooSlow) {
            // What is left of the body would have to be read before the next request.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let details = match &self {
            ApiError::App(Error::Validation(fields)) => fields.clone(),
            _ => Vec::new(),
        };
        response.extensions_mut().insert(Refusal(ErrorObject {
            code: self.code(),
            message: self.to_string(),
            details,
        }));
        response
    }
}

/// Writes the body of a refusal, with the name of the request it answers.
pub(super) fn write_body(response: &mut axum::response::Response, request: &RequestId) {
    let Some(Refusal(error)) = response.extensions_mut().remove() else {
        return;
    };
    let body = ErrorBody {
        error,
        request_id: request.as_str().to_owned(),
    };
    let json = serde_json::to_vec(&body).expect("strings can be written as JSON");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.remove(http::header::CONTENT_LENGTH);
    *response.body_mut() = json.into();
}

/// Whole seconds, rounded up: a client that waits that long finds what it was promised.
pub(super) fn seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

/// 503 with a body of its own, for probes that read the status alone.
pub(super) fn out_of_service(mut report: axum::response::Response) -> axum::response::Response {
    *report.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    report
}
