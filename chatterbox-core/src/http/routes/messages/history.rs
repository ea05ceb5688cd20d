use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::app::access::conversation_id as id_of;
use crate::app::messages::{ConversationHistory, MessagePage, Page, Position, RoomHistory};
use crate::domain::conversation::RoomName;
use crate::domain::entry::Seq;
use crate::domain::rule::Rule;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::cursor;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::Problems;
use crate::http::json::answer;
use crate::http::page::Query;
use crate::http::path::{self, Parts};
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

/// Which page of a history.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "names the parameters; `Query` reads them")]
struct HistoryParams {
    /// Items of a page, 1 to 100 (50); more is clamped
    limit: Option<usize>,
    /// Those below this seq or message id
    before: Option<String>,
    /// Those above this seq or message id; 0 is the beginning
    after: Option<String>,
    /// Those on both sides of this seq or message id
    around: Option<String>,
    /// `nextCursor` or `prevCursor` of another page
    cursor: Option<String>,
    /// For older clients, 1 to 20, from the newest
    page: Option<usize>,
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
        HistoryParams,
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
    query: Query,
) -> Result<Response, ApiError> {
    let source = Source::Room(path::room(name)?);
    page_of(&state, user, &source, &query).await
}

/// A conversation's messages (S-070): the newest page, or the one that one of `before`, `after`, `around`, `cursor` and
/// `page` names.
#[utoipa::path(
    get, path = "/api/conversations/{id}/messages", tag = "messages",
    params(
        ("id" = ConversationId, Path, description = "Which conversation"),
        HistoryParams,
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
    query: Query,
) -> Result<Response, ApiError> {
    let source = Source::Conversation(id_of(&path::conversation(id)?)?);
    page_of(&state, user, &source, &query).await
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
                user.run(state, history).await
            }
            Source::Conversation(id) => {
                let history = ConversationHistory {
                    conversation_id: id.to_string(),
                    page,
                    limit,
                };
                let page = user.run(state, history).await?;
                Ok(page.0)
            }
        }
    }
}

async fn page_of(
    state: &RestState,
    user: User,
    source: &Source,
    query: &Query,
) -> Result<Response, ApiError> {
    let list = source.list()?;
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
        ([None, None, None], cursor) => match state.open(&list, cursor)? {
            Some(Step(Direction::Older, below)) => Page::Before(Position::Seq(below)),
            Some(Step(Direction::Newer, above)) => Page::After(Position::Seq(above)),
            None => Page::Newest,
        },
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
    let older = older.map(|seq| state.seal(list, &Step(Direction::Older, seq)));
    let newer = newer.map(|seq| state.seal(list, &Step(Direction::Newer, seq)));
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

/// Where a cursor leads: which way, and from where.
struct Step(Direction, Seq);

impl cursor::Position for Step {
    fn to_bytes(&self) -> Vec<u8> {
        let tag = match self.0 {
            Direction::Older => b'<',
            Direction::Newer => b'>',
        };
        [vec![tag], self.1.to_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Step> {
        let (tag, seq) = bytes.split_first()?;
        let direction = match tag {
            b'<' => Direction::Older,
            b'>' => Direction::Newer,
            _ => return None,
        };
        Some(Step(direction, Seq::from_bytes(seq)?))
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
