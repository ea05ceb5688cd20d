use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Parts;
use crate::app::messages::{ConversationHistory, MessagePage, Page, Position, RoomHistory};
use crate::domain::conversation::RoomName;
use crate::domain::entry::Seq;
use crate::domain::rule::Rule;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::Problems;
use crate::http::json::answer;
use crate::http::page::Query;
use crate::http::routes::rooms;
use crate::http::state::RestState;
use crate::ids::ConversationId;
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
    get, path = "/api/rooms/{name}/messages", tag = "messages",
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
pub(in crate::http) async fn of_room(
    State(state): State<RestState>,
    user: User,
    name: Parts<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let source = Source::Room(rooms::decoded(name)?);
    page_of(&state, user, &source, query.as_deref()).await
}

/// A conversation's messages (S-070): the newest page, or the one that one of `before`, `after`, `around`, `cursor` and
/// `page` names.
#[utoipa::path(
    get, path = "/api/conversations/{id}/messages", tag = "messages",
    params(
        ("id" = ConversationId, Path, description = "Which conversation"),
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
pub(in crate::http) async fn of_conversation(
    State(state): State<RestState>,
    user: User,
    id: Parts<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let id = id.ok().and_then(|Path(id)| id.parse().ok());
    let source = Source::Conversation(id.ok_or(Error::InvalidId("conversationId"))?);
    page_of(&state, user, &source, query.as_deref()).await
}

/// Whose messages are read.
enum Source {
    Room(String),
    Conversation(ConversationId),
}

impl Source {
    /// The list that its cursors belong to. Names of rooms never go to another room.
    fn list(&self) -> Result<String, Error> {
        match self {
            Source::Room(name) => {
                let name = RoomName::look_up(name).ok_or(Error::NotFound("room"))?;
                Ok(format!("history {name}"))
            }
            Source::Conversation(id) => Ok(format!("history {id}")),
        }
    }

    async fn read(
        &self,
        state: &RestState,
        user: User,
        page: Page,
        limit: usize,
    ) -> Result<MessagePage, Error> {
        match self {
            Source::Room(name) => {
                let history = RoomHistory {
                    room_name: name.clone(),
                    page,
                    limit,
                };
                state.stack.run_as::<RoomHistory>(user.call(history)).await
            }
            Source::Conversation(id) => {
                let history = ConversationHistory {
                    conversation_id: id.to_string(),
                    page,
                    limit,
                };
                let page = state
                    .stack
                    .run_as::<ConversationHistory>(user.call(history))
                    .await?;
                Ok(page.0)
            }
        }
    }
}

async fn page_of(
    state: &RestState,
    user: User,
    source: &Source,
    query: Option<&str>,
) -> Result<Response, ApiError> {
    let list = source.list()?;
    let query = Query::parse(query);
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
    let page = match (places, cursor) {
        ([Some(before), ..], _) => Page::Before(position("before", before)?),
        ([_, Some(after), _], _) => Page::After(position("after", after)?),
        ([.., Some(around)], _) => Page::Around(position("around", around)?),
        ([None, None, None], Some(cursor)) => open(state, &list, cursor)?,
        ([None, None, None], None) => Page::Newest,
    };
    let direction = match page {
        Page::After(_) => Direction::Newer,
        Page::Newest | Page::Before(_) | Page::Around(_) => Direction::Older,
    };
    let mut found = source.read(state, user, page, limit).await?;
    // Page numbers are for older clients, and few: what lies before is read over.
    for _ in 1..number.unwrap_or(1) {
        // Below the first entry there is nothing.
        let before = found.first().filter(|_| found.has_more_before).unwrap_or(Seq(1));
        found = source
            .read(state, user, Page::Before(Position::Seq(before)), limit)
            .await?;
    }
    answer(StatusCode::OK, &to_history(state, &list, &found, direction))
}

fn to_history<'a>(state: &RestState, list: &str, page: &'a MessagePage, direction: Direction) -> History<'a> {
    let older = page.first().filter(|_| page.has_more_before);
    let newer = page.last().filter(|_| page.has_more_after);
    let older = older.map(|seq| seal(state, list, Direction::Older, seq));
    let newer = newer.map(|seq| seal(state, list, Direction::Newer, seq));
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
