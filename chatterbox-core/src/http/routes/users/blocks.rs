use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::app::people::{BlockUser, BlockView, ListBlocks, UnblockUser};
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::json::answer;
use crate::http::page::{Page, PageParams, Query, Turned, turn_to};
use crate::http::path::{self, Parts};
use crate::http::state::RestState;
use crate::ids::UserId;

/// The list that cursors of `GET /api/users/blocked` belong to.
const LIST: &str = "blocked";

/// Whom the caller blocks, in order of id (S-135).
#[utoipa::path(
    get, path = "/api/users/blocked", tag = "users",
    params(
        PageParams,
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
    query: Query,
) -> Result<Response, ApiError> {
    let (limit, place) = query.limit_and_place()?;
    let state = &state;
    let read = |after| async move {
        let blocks = user.run(state, ListBlocks { after, limit }).await?;
        let last = blocks.items.last().filter(|_| blocks.has_more);
        let next = last.map(|block| block.user.id);
        Ok((blocks, next))
    };
    match turn_to(place.page, state.open(LIST, place.cursor)?, read).await? {
        Turned::Beyond(_) => answer(StatusCode::OK, &Page::beyond(limit)),
        Turned::To(blocks, next) => {
            let next = next.map(|user| state.seal(LIST, &user));
            answer(StatusCode::OK, &Page::new(blocks.items, limit, next))
        }
    }
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
    id: Parts<String>,
) -> Result<StatusCode, ApiError> {
    let block = BlockUser { user: path::id(id)? };
    user.run(&state, block).await?;
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
    id: Parts<String>,
) -> Result<StatusCode, ApiError> {
    let unblock = UnblockUser { user: path::id(id)? };
    user.run(&state, unblock).await?;
    Ok(StatusCode::NO_CONTENT)
}
