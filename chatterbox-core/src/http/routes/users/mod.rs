//! `/api/users`: S-059, S-060, S-135.

mod blocks;
mod search;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

pub(in crate::http) use blocks::{__path_block, __path_blocked, __path_unblock, block, blocked, unblock};
pub(in crate::http) use search::{__path_search, search};

use crate::app::accounts::GetUser;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::json::answer;
use crate::http::path::{self, Parts};
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
    id: Parts<String>,
) -> Result<Response, ApiError> {
    let id = path::id(id)?;
    let profile = user.run(&state, GetUser { id }).await?;
    answer(StatusCode::OK, &profile)
}
