//! `/api/rooms`: S-074 to S-077.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
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
use crate::http::page::{Page, Query};
use crate::http::schema::{RoomDescriptionText, RoomNameText};
use crate::http::state::RestState;
use crate::views::RoomView;

/// The list that cursors of `GET /api/rooms` belong to.
const LIST: &str = "rooms";

/// The rooms, in order of name (S-074).
#[utoipa::path(
    get, path = "/api/rooms", tag = "rooms",
    params(
        ("limit" = Option<usize>, Query, description = "Items of a page, 1 to 100 (50); more is clamped"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
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
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(query.as_deref());
    let mut problems = Problems::default();
    let limit = query.limit(&mut problems);
    let page = query.page(&mut problems);
    let cursor = query.one("cursor", &mut problems);
    if page.is_some() && cursor.is_some() {
        problems.add("page", Rule::Ambiguous);
    }
    problems.check()?;
    let mut after = cursor.map(|cursor| open(&state, cursor)).transpose()?;
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
    state.stack.run_as::<ListRooms>(user.call(list)).await
}

fn last(rooms: &RoomList) -> Option<RoomName> {
    rooms.items.last().and_then(|room| RoomName::look_up(&room.name))
}

fn open(state: &RestState, cursor: &str) -> Result<RoomName, Error> {
    let position = state
        .cursors
        .open(LIST, cursor)
        .map_err(|_| Error::InvalidCursor)?;
    let name = std::str::from_utf8(&position).ok().and_then(RoomName::look_up);
    name.ok_or(Error::InvalidCursor)
}

fn to_page(state: &RestState, rooms: RoomList, limit: usize) -> Page<RoomView> {
    let next = last(&rooms).filter(|_| rooms.has_more);
    Page {
        limit,
        next_cursor: next.map(|name| state.cursors.seal(LIST, name.as_str().as_bytes())),
        prev_cursor: None,
        has_more: rooms.has_more,
        items: rooms.items,
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
    let created = state.stack.run_as::<CreateRoom>(user.call(create)).await?;
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
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let name = decoded(name)?;
    let room = state.stack.run_as::<GetRoom>(user.call(GetRoom { name })).await?;
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
    name: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let name = decoded(name)?;
    state
        .stack
        .run_as::<ArchiveRoom>(user.call(ArchiveRoom { name }))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The name in the path, decoded once; what does not decode names no room.
pub(super) fn decoded(name: Result<Path<String>, PathRejection>) -> Result<String, Error> {
    name.map(|Path(name)| name).map_err(|_| Error::NotFound("room"))
}
