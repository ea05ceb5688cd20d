use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Parts, answer_current, ids};
use crate::app::messages::{ReadThread, Thread};
use crate::domain::entry::Seq;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::Problems;
use crate::http::json::answer;
use crate::http::page::Query;
use crate::http::state::RestState;
use crate::ids::{ConversationId, EntryId};
use crate::views::MessageView;

/// One message, or one thing that the system said (S-070).
#[utoipa::path(
    get, path = "/api/conversations/{id}/messages/{message}", tag = "messages",
    params(
        ("id" = ConversationId, Path, description = "Which conversation"),
        ("message" = EntryId, Path, description = "Which message"),
    ),
    responses(
        (status = 200, description = "The message", body = MessageView<'_>),
        (status = 400, description = "`INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn get(
    State(state): State<RestState>,
    user: User,
    parts: Parts<(String, String)>,
) -> Result<Response, ApiError> {
    answer_current(&state, user, ids(parts)?).await
}

/// A message and a page of the answers to it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ThreadPage<'a> {
    /// The message that is answered.
    message: Option<MessageView<'a>>,
    /// Answers, ascending.
    items: Vec<MessageView<'a>>,
    /// How many a page holds at most: what was asked for, clamped.
    limit: usize,
    /// The next page; `null` behind the last.
    next_cursor: Option<String>,
    /// Always `null`: threads are read from their beginning.
    prev_cursor: Option<String>,
    /// Whether there are more answers.
    has_more: bool,
}

/// The answers to a message, oldest first (S-138).
#[utoipa::path(
    get, path = "/api/conversations/{id}/messages/{message}/thread", tag = "messages",
    params(
        ("id" = ConversationId, Path, description = "Which conversation"),
        ("message" = EntryId, Path, description = "The message that is answered"),
        ("limit" = Option<usize>, Query, description = "Items of a page, 1 to 100 (50); more is clamped"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = ThreadPage<'_>),
        (status = 400, description = "`VALIDATION`, `INVALID_ID` or `INVALID_CURSOR`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn thread(
    State(state): State<RestState>,
    user: User,
    parts: Parts<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (conversation_id, message_id) = ids(parts)?;
    let query = Query::parse(query.as_deref());
    let mut problems = Problems::default();
    let limit = query.limit(&mut problems);
    let cursor = query.one("cursor", &mut problems);
    problems.check()?;
    let list = format!(
        "thread {} {}",
        conversation_id.to_ascii_lowercase(),
        message_id.to_ascii_lowercase()
    );
    let after = cursor.map(|cursor| open(&state, &list, cursor)).transpose()?;
    let read = ReadThread {
        conversation_id,
        message_id,
        after: after.unwrap_or_default(),
        limit,
    };
    let Thread { message, answers } = state.stack.run_as::<ReadThread>(user.call(read)).await?;
    let next = answers.last().filter(|_| answers.has_more_after);
    let page = ThreadPage {
        message: message.view(),
        items: answers.items().collect(),
        limit: answers.limit,
        next_cursor: next.map(|seq| state.cursors.seal(&list, &seq.0.to_be_bytes())),
        prev_cursor: None,
        has_more: answers.has_more_after,
    };
    answer(StatusCode::OK, &page)
}

fn open(state: &RestState, list: &str, cursor: &str) -> Result<Seq, Error> {
    let position = state
        .cursors
        .open(list, cursor)
        .map_err(|_| Error::InvalidCursor)?;
    let bytes = <[u8; 4]>::try_from(position).map_err(|_| Error::InvalidCursor)?;
    Ok(Seq(u32::from_be_bytes(bytes)))
}
