//! `/api/rooms`: S-074 to S-077.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::rooms::{ArchiveRoom, CreateRoom, GetRoom, ListRooms};
use crate::domain::conversation::RoomName;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Problems, Text};
use crate::http::json::{Json, answer};
use crate::http::page::{Page, PageParams, Query, Turned, turn_to};
use crate::http::path::{self, Parts};
use crate::http::schema::{RoomDescriptionText, RoomNameText};
use crate::http::state::RestState;
use crate::views::RoomView;

/// The list that cursors of `GET /api/rooms` belong to.
const LIST: &str = "rooms";

/// The rooms, in order of name (S-074).
#[utoipa::path(
    get, path = "/api/rooms", tag = "rooms",
    params(
        PageParams,
    ),
    responses(
        (status = 200, description = "A page", body = Page<RoomView>),
        (status = 400, description = "`VALIDATION` or `INVALID_CURSOR`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn list(
    State(state): State<RestState>,
    user: User,
    query: Query,
) -> Result<Response, ApiError> {
    let (limit, place) = query.limit_and_place()?;
    let state = &state;
    let read = |after| async move {
        let rooms = user.run(state, ListRooms { after, limit }).await?;
        let last = rooms.items.last().filter(|_| rooms.has_more);
        let next = last.and_then(|room| RoomName::look_up(&room.name));
        Ok((rooms, next))
    };
    match turn_to(place.page, state.open(LIST, place.cursor)?, read).await? {
        Turned::Beyond(_) => answer(StatusCode::OK, &Page::beyond(limit)),
        Turned::To(rooms, next) => {
            let next = next.map(|name| state.seal(LIST, &name));
            answer(StatusCode::OK, &Page::new(rooms.items, limit, next))
        }
    }
}

/// A new room.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct CreateRoomBody {
    /// Unique.
    #[serde(default)]
    #[schema(value_type = RoomNameText, required)]
    name: Text,
    /// What it is about.
    #[serde(default)]
    #[schema(value_type = Option<RoomDescriptionText>)]
    description: Text,
}

/// Make a room and become its moderator (S-076).
#[utoipa::path(
    post, path = "/api/rooms", tag = "rooms", request_body = CreateRoomBody,
    responses(
        (status = 201, description = "Created", body = RoomView),
        (status = 400, description = "`VALIDATION`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 409, description = "`DUPLICATE_ROOM` or `QUOTA_EXCEEDED`", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn create(
    State(state): State<RestState>,
    user: User,
    Json(body): Json<CreateRoomBody>,
) -> Result<Response, ApiError> {
    let mut problems = Problems::default();
    let name = problems.required("name", body.name);
    let description = problems.optional("description", body.description);
    problems.check()?;
    let create = CreateRoom {
        name: name.unwrap_or_default(),
        description,
    };
    let created = user.run(&state, create).await?;
    answer(StatusCode::CREATED, &created)
}

/// One room (S-075).
#[utoipa::path(
    get, path = "/api/rooms/{name}", tag = "rooms",
    params(("name" = String, Path, description = "Its name, in any case")),
    responses(
        (status = 200, description = "The room", body = RoomView),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn one(
    State(state): State<RestState>,
    user: User,
    name: Parts<String>,
) -> Result<Response, ApiError> {
    let name = path::room(name)?;
    let room = user.run(&state, GetRoom { name }).await?;
    answer(StatusCode::OK, &room)
}

/// Close a room for good: readable, but nothing is added (S-137). For server admins.
#[utoipa::path(
    delete, path = "/api/rooms/{name}", tag = "rooms",
    params(("name" = String, Path, description = "Its name, in any case")),
    responses(
        (status = 204, description = "It is closed"),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn close(
    State(state): State<RestState>,
    user: User,
    name: Parts<String>,
) -> Result<StatusCode, ApiError> {
    let name = path::room(name)?;
    user.run(&state, ArchiveRoom { name }).await?;
    Ok(StatusCode::NO_CONTENT)
}
