use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::app::accounts::{EndMySessions, MySessions, OwnSessions};
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::json::answer;
use crate::http::path::{self, Parts};
use crate::http::state::RestState;
use crate::ids::SessionId;

/// The caller's sessions, newest first; at most 50 (S-134).
#[utoipa::path(
    get, path = "/api/auth/sessions", tag = "auth",
    responses(
        (status = 200, description = "The sessions", body = OwnSessions),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn sessions(
    State(state): State<RestState>,
    user: User,
) -> Result<Response, ApiError> {
    let sessions = user.run(&state, MySessions {}).await?;
    answer(StatusCode::OK, &sessions)
}

/// End all of the caller's sessions but the one that asks (S-134). Their sockets close within a second.
#[utoipa::path(
    delete, path = "/api/auth/sessions", tag = "auth",
    responses(
        (status = 204, description = "Ended"),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn end_others(
    State(state): State<RestState>,
    user: User,
) -> Result<StatusCode, ApiError> {
    let others = EndMySessions { session: None };
    user.run(&state, others).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End one of the caller's sessions (S-134), which may be the one that asks. Its sockets close within a second. Again is
/// fine.
#[utoipa::path(
    delete, path = "/api/auth/sessions/{id}", tag = "auth",
    params(("id" = SessionId, Path, description = "Which")),
    responses(
        (status = 204, description = "Ended"),
        (status = 400, description = "`INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`: not one of the caller's", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn end(
    State(state): State<RestState>,
    user: User,
    id: Parts<String>,
) -> Result<StatusCode, ApiError> {
    let session = path::id(id)?;
    let one = EndMySessions {
        session: Some(session),
    };
    user.run(&state, one).await?;
    Ok(StatusCode::NO_CONTENT)
}
