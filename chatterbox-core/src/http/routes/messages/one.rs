use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{answer_current, list_about};
use crate::app::messages::{ReadThread, Thread};
use crate::domain::entry::Seq;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::json::answer;
use crate::http::page::{PageParams, Query, Turned, turn_to};
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
    let (limit, place) = query.limit_and_place()?;
    let list = list_about("thread", &conversation_id, &message_id);
    let state = &state;
    let read = |after: Option<Seq>| {
        let read = ReadThread {
            conversation_id: conversation_id.clone(),
            message_id: message_id.clone(),
            after: after.unwrap_or_default(),
            limit,
        };
        async move {
            let thread = user.run(state, read).await?;
            let next = thread.answers.last().filter(|_| thread.answers.has_more_after);
            Ok((thread, next))
        }
    };
    let (Thread { message, answers }, next, is_beyond) =
        match turn_to(place.page, state.open(&list, place.cursor)?, read).await? {
            Turned::To(thread, next) => (thread, next, false),
            Turned::Beyond(thread) => (thread, None, true),
        };
    let page = ThreadPage {
        message: message.view(),
        items: answers.items().filter(|_| !is_beyond).collect(),
        limit,
        has_more: next.is_some(),
        next_cursor: next.map(|seq| state.seal(&list, &seq)),
        prev_cursor: None,
    };
    answer(StatusCode::OK, &page)
}
