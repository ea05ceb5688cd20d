use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use super::user_id;
use crate::app::people::{BlockUser, BlockView, ListBlocks, UnblockUser};
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::Problems;
use crate::http::json::answer;
use crate::http::page::{Page, Query};
use crate::http::state::RestState;
use crate::ids::UserId;

/// The list that cursors of `GET /api/users/blocked` belong to.
const LIST: &str = "blocked";

/// Whom the caller blocks, in order of id (S-135).
#[utoipa::path(
    get, path = "/api/users/blocked", tag = "users",
    params(
        ("limit" = Option<usize>, Query, description = "Items of a page, 1 to 100 (50); more is clamped"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<BlockView>),
        (status = 400, description = "`VALIDATION` or `INVALID_CURSOR`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn blocked(
    State(state): State<RestState>,
    user: User,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(query.as_deref());
    let mut problems = Problems::default();
    let limit = query.limit(&mut problems);
    let cursor = query.one("cursor", &mut problems);
    problems.check()?;
    let after = cursor.map(|cursor| open(&state, cursor)).transpose()?;
    let list = ListBlocks { after, limit };
    let blocks = state.stack.run_as::<ListBlocks>(user.call(list)).await?;
    let last = blocks.items.last().filter(|_| blocks.has_more);
    let page = Page {
        limit,
        next_cursor: last.map(|block| state.cursors.seal(LIST, block.user.id.as_bytes())),
        prev_cursor: None,
        has_more: blocks.has_more,
        items: blocks.items,
    };
    answer(StatusCode::OK, &page)
}

fn open(state: &RestState, cursor: &str) -> Result<UserId, Error> {
    let position = state
        .cursors
        .open(LIST, cursor)
        .map_err(|_| Error::InvalidCursor)?;
    let id = position.try_into().map_err(|_| Error::InvalidCursor)?;
    Ok(UserId::from_bytes(id))
}

/// Block somebody (S-135): neither can write to the other in a direct conversation, add the other to a group, or see
/// the other type or be online. Again is fine.
#[utoipa::path(
    put, path = "/api/users/{id}/block", tag = "users",
    params(("id" = UserId, Path, description = "Whom")),
    responses(
        (status = 204, description = "Blocked"),
        (status = 400, description = "`INVALID_ID`, or `VALIDATION` for oneself", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
        (status = 409, description = "`QUOTA_EXCEEDED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn block(
    State(state): State<RestState>,
    user: User,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let block = BlockUser { user: user_id(id)? };
    state.stack.run_as::<BlockUser>(user.call(block)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Block somebody no longer (S-135). Again is fine.
#[utoipa::path(
    delete, path = "/api/users/{id}/block", tag = "users",
    params(("id" = UserId, Path, description = "Whom")),
    responses(
        (status = 204, description = "Not blocked"),
        (status = 400, description = "`INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn unblock(
    State(state): State<RestState>,
    user: User,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let unblock = UnblockUser { user: user_id(id)? };
    state.stack.run_as::<UnblockUser>(user.call(unblock)).await?;
    Ok(StatusCode::NO_CONTENT)
}
