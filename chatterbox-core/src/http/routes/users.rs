//! `/api/users`: S-060.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;

use crate::app::accounts::GetUser;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::json::answer;
use crate::http::state::RestState;
use crate::ids::UserId;
use crate::views::PublicUser;

/// Somebody's public profile (S-060).
#[utoipa::path(
    get, path = "/api/users/{id}", tag = "users",
    params(("id" = UserId, Path, description = "Whose")),
    responses(
        (status = 200, description = "The profile", body = PublicUser),
        (status = 400, description = "`INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn user(
    State(state): State<RestState>,
    user: User,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = id.ok().and_then(|Path(id)| id.parse().ok());
    let id: UserId = id.ok_or(Error::InvalidId("id"))?;
    let profile = state.stack.run_as::<GetUser>(user.call(GetUser { id })).await?;
    answer(StatusCode::OK, &profile)
}
