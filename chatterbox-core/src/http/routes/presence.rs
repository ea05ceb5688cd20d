//! `/api/users/…/presence`: S-061.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::app::presence::{ASKED_MAX, GetPresence, PresenceList, PresenceView};
use crate::domain::rule::Rule;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::Problems;
use crate::http::json::answer;
use crate::http::page::Query;
use crate::http::path::{self, Parts};
use crate::http::state::RestState;
use crate::ids::UserId;

/// Whether somebody is online; `unknown` for those with whom one shares no conversation, and while presence is not to be
/// had (S-061).
#[utoipa::path(
    get, path = "/api/users/{id}/presence", tag = "users",
    params(("id" = UserId, Path, description = "Whose")),
    responses(
        (status = 200, description = "The presence", body = PresenceView),
        (status = 400, description = "`INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn one(
    State(state): State<RestState>,
    user: User,
    id: Parts<String>,
) -> Result<Response, ApiError> {
    let asked = GetPresence {
        user_ids: vec![path::id(id)?],
    };
    let found = user.run(&state, asked).await?;
    let presence = found.items.first().ok_or(Error::NotFound("user"))?;
    answer(StatusCode::OK, presence)
}

/// Who of several users is online, in the order of the question, each once (S-061).
#[utoipa::path(
    get, path = "/api/users/presence", tag = "users",
    params(("ids" = String, Query, description = "Up to 100 user ids with commas between them")),
    responses(
        (status = 200, description = "One for each", body = PresenceList),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn several(
    State(state): State<RestState>,
    user: User,
    query: Query,
) -> Result<Response, ApiError> {
    let mut problems = Problems::default();
    let ids = query.one("ids", &mut problems);
    if ids.is_none() {
        problems.add("ids", Rule::Required);
    }
    problems.check()?;
    let mut user_ids: Vec<UserId> = Vec::new();
    for text in ids.unwrap_or_default().split(',') {
        let id = text.trim().parse().map_err(|_| Error::InvalidId("ids"))?;
        if user_ids.contains(&id) {
            continue;
        }
        if user_ids.len() >= ASKED_MAX {
            return Err(Error::invalid("ids", format!("at most {ASKED_MAX} users")).into());
        }
        user_ids.push(id);
    }
    let asked = GetPresence { user_ids };
    let found = user.run(&state, asked).await?;
    answer(StatusCode::OK, &found)
}
