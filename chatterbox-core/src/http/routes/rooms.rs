//! `/api/rooms`: S-074 to S-077.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::rooms::{ArchiveRoom, CreateRoom, GetRoom, ListRooms, RoomList};
use crate::domain::conversation::RoomName;
use crate::domain::rule::Rule;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Problems, Text};
use crate::http::json::{Json, answer};
use crate::http::page::{Page, PageParams, Query};
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
        ("page" = Option<usize>, Query, description = "For older clients, 1 to 20, instead of a cursor"),
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
    let mut problems = Problems::default();
    let limit = query.limit(&mut problems);
    let page = query.page(&mut problems);
    let cursor = query.one("cursor", &mut problems);
    if page.is_some() && cursor.is_some() {
        problems.add("page", Rule::Ambiguous);
    }
    problems.check()?;
    let mut after = state.open(LIST, cursor)?;
    // Page numbers are for older clients, and few: what lies before is read over.
    for _ in 1..page.unwrap_or(1) {
        let skipped = read(&state, user, after, limit).await?;
        if !skipped.has_more {
            let none = RoomList {
                items: Vec::new(),
                has_more: false,
            };
            return answer(StatusCode::OK, &to_page(&state, none, limit));
        }
        after = last(&skipped);
    }
    let rooms = read(&state, user, after, limit).await?;
    answer(StatusCode::OK, &to_page(&state, rooms, limit))
}

async fn read(
    state: &RestState,
    user: User,
    after: Option<RoomName>,
    limit: usize,
) -> Result<RoomList, Error> {
    let list = ListRooms { after, limit };
    user.run(state, list).await
}

fn last(rooms: &RoomList) -> Option<RoomName> {
    rooms.items.last().and_then(|room| RoomName::look_up(&room.name))
}

fn to_page(state: &RestState, rooms: RoomList, limit: usize) -> Page<RoomView> {
    let next = last(&rooms).filter(|_| rooms.has_more);
    let next = next.map(|name| state.seal(LIST, &name));
    Page::new(rooms.items, limit, next)
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
