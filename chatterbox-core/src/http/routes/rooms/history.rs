use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::decoded;
use crate::app::messages::{MessagePage, Page, Position, RoomHistory};
use crate::domain::conversation::RoomName;
use crate::domain::entry::Seq;
use crate::domain::rule::Rule;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::Problems;
use crate::http::json::answer;
use crate::http::page::Query;
use crate::http::state::RestState;
use crate::views::MessageView;

/// A page of messages, ascending. It goes on towards older messages, unless it was asked for with `after`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct History<'a> {
    /// The messages.
    items: Vec<MessageView<'a>>,
    /// How many a page holds at most: what was asked for, clamped.
    limit: usize,
    /// The next page in the direction of reading; `null` at the end.
    next_cursor: Option<String>,
    /// The page in the other direction; `null` if there is none.
    prev_cursor: Option<String>,
    /// Whether there is more in the direction of reading.
    has_more: bool,
    /// Whether there are older messages.
    has_more_before: bool,
    /// Whether there are newer messages.
    has_more_after: bool,
}

/// Which way a page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Older,
    Newer,
}

/// A room's messages, also before joining it (S-077, S-070): the newest page, or the one that one of `before`, `after`,
/// `around`, `cursor` and `page` names.
#[utoipa::path(
    get, path = "/api/rooms/{name}/messages", tag = "rooms",
    params(
        ("name" = String, Path, description = "The room's name, in any case"),
        ("limit" = Option<usize>, Query, description = "Items of a page, 1 to 100 (50); more is clamped"),
        ("before" = Option<String>, Query, description = "Those below this seq or message id"),
        ("after" = Option<String>, Query, description = "Those above this seq or message id; 0 is the beginning"),
        ("around" = Option<String>, Query, description = "Those on both sides of this seq or message id"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` or `prevCursor` of another page"),
        ("page" = Option<usize>, Query, description = "For older clients, 1 to 20, from the newest"),
    ),
    responses(
        (status = 200, description = "A page", body = History<'_>),
        (status = 400, description = "`VALIDATION`, `INVALID_ID` or `INVALID_CURSOR`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn messages(
    State(state): State<RestState>,
    user: User,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let room_name = decoded(name)?;
    let list = list_of(&room_name)?;
    let query = Query::parse(query.as_deref());
    let mut problems = Problems::default();
    let limit = query.limit(&mut problems);
    let number = query.page(&mut problems);
    let cursor = query.one("cursor", &mut problems);
    let places = ["before", "after", "around"].map(|name| query.one(name, &mut problems));
    let named =
        places.iter().flatten().count() + usize::from(number.is_some()) + usize::from(cursor.is_some());
    if named > 1 {
        problems.add("cursor", Rule::Ambiguous);
    }
    problems.check()?;
    let page = match (places, cursor, number) {
        ([Some(before), ..], ..) => Page::Before(position("before", before)?),
        ([_, Some(after), _], ..) => Page::After(position("after", after)?),
        ([.., Some(around)], ..) => Page::Around(position("around", around)?),
        ([None, None, None], Some(cursor), _) => open(&state, &list, cursor)?,
        ([None, None, None], None, Some(number)) => numbered(&state, user, &room_name, number, limit).await?,
        ([None, None, None], None, None) => Page::Newest,
    };
    let history = RoomHistory {
        room_name,
        page,
        limit,
    };
    let found = state.stack.run_as::<RoomHistory>(user.call(history)).await?;
    let direction = match page {
        Page::After(_) => Direction::Newer,
        Page::Newest | Page::Before(_) | Page::Around(_) => Direction::Older,
    };
    answer(StatusCode::OK, &to_history(&state, &list, &found, direction))
}

fn to_history<'a>(state: &RestState, list: &str, page: &'a MessagePage, direction: Direction) -> History<'a> {
    let older = page.entries.first().filter(|_| page.has_more_before);
    let newer = page.entries.last().filter(|_| page.has_more_after);
    let older = older.map(|entry| seal(state, list, Direction::Older, entry.seq));
    let newer = newer.map(|entry| seal(state, list, Direction::Newer, entry.seq));
    let (next_cursor, prev_cursor, has_more) = match direction {
        Direction::Older => (older, newer, page.has_more_before),
        Direction::Newer => (newer, older, page.has_more_after),
    };
    History {
        items: page.items().collect(),
        limit: page.limit,
        next_cursor,
        prev_cursor,
        has_more,
        has_more_before: page.has_more_before,
        has_more_after: page.has_more_after,
    }
}

/// The list that a room's cursors belong to. Names never go to another room.
fn list_of(room_name: &str) -> Result<String, Error> {
    let name = RoomName::look_up(room_name).ok_or(Error::NotFound("room"))?;
    Ok(format!("history {name}"))
}

fn seal(state: &RestState, list: &str, direction: Direction, seq: Seq) -> String {
    let tag = match direction {
        Direction::Older => b'<',
        Direction::Newer => b'>',
    };
    let [a, b, c, d] = seq.0.to_be_bytes();
    state.cursors.seal(list, &[tag, a, b, c, d])
}

fn open(state: &RestState, list: &str, cursor: &str) -> Result<Page, Error> {
    let position = state
        .cursors
        .open(list, cursor)
        .map_err(|_| Error::InvalidCursor)?;
    match position[..] {
        [b'<', a, b, c, d] => Ok(Page::Before(Position::Seq(Seq(u32::from_be_bytes([a, b, c, d]))))),
        [b'>', a, b, c, d] => Ok(Page::After(Position::Seq(Seq(u32::from_be_bytes([a, b, c, d]))))),
        _ => Err(Error::InvalidCursor),
    }
}

/// A seq, or the id of a message. Beyond all numbers is beyond the head.
fn position(name: &'static str, text: &str) -> Result<Position, Error> {
    if text.len() == 24 {
        return text.parse().map(Position::Id).map_err(|_| Error::InvalidId(name));
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::InvalidId(name));
    }
    Ok(Position::Seq(Seq(text.parse().unwrap_or(u32::MAX))))
}

/// The place of a page that is counted from the newest: seqs are dense, so no page before it is read.
async fn numbered(
    state: &RestState,
    user: User,
    room_name: &str,
    number: usize,
    limit: usize,
) -> Result<Page, Error> {
    let newest = RoomHistory {
        room_name: room_name.to_owned(),
        page: Page::Newest,
        limit: 1,
    };
    let newest = state.stack.run_as::<RoomHistory>(user.call(newest)).await?;
    let head = newest.entries.last().map_or(0, |entry| entry.seq.0);
    let skipped = u32::try_from((number - 1) * limit).unwrap_or(u32::MAX);
    let before = head.saturating_add(1).saturating_sub(skipped);
    Ok(Page::Before(Position::Seq(Seq(before))))
}
