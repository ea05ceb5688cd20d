use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{answer_current, list_about};
use crate::app::messages::{ReadThread, Thread};
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::json::answer;
use crate::http::page::{PageParams, Query};
use crate::http::path::{self, Parts};
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
    answer_current(&state, user, path::message(parts)?).await
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
        PageParams,
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
    query: Query,
) -> Result<Response, ApiError> {
    let (conversation_id, message_id) = path::message(parts)?;
    let (limit, cursor) = query.limit_and_cursor()?;
    let list = list_about("thread", &conversation_id, &message_id);
    let after = state.open(&list, cursor)?;
    let read = ReadThread {
        conversation_id,
        message_id,
        after: after.unwrap_or_default(),
        limit,
    };
    let Thread { message, answers } = user.run(&state, read).await?;
    let next = answers.last().filter(|_| answers.has_more_after);
    let page = ThreadPage {
        message: message.view(),
        items: answers.items().collect(),
        limit: answers.limit,
        next_cursor: next.map(|seq| state.seal(&list, &seq)),
        prev_cursor: None,
        has_more: answers.has_more_after,
    };
    answer(StatusCode::OK, &page)
}
