use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::list_about;
use crate::app::messages::{IdList, ListReaders, MarkRead, ReadMarked, Reader};
use crate::domain::entry::Seq;
use crate::domain::limits::READ_IDS_MAX;
use crate::domain::rule::Rule;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Field, Problems, Text};
use crate::http::json::{MaybeJson, answer};
use crate::http::page::{Page, PageParams, Query, Turned, turn_to};
use crate::http::path::{self, Parts};
use crate::http::state::RestState;
use crate::ids::{ConversationId, EntryId};

/// How far one has read; the newest entry if nothing is named.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ReadBody {
    /// Up to this number; beyond the newest is the newest.
    #[serde(default)]
    #[schema(value_type = Option<Seq>)]
    up_to_seq: Option<serde_json::Value>,
    /// Up to this message.
    #[serde(default)]
    #[schema(value_type = Option<EntryId>)]
    up_to_message_id: Text,
    /// Up to the newest of these messages of others; at most 500.
    #[serde(default)]
    #[schema(value_type = Option<Vec<EntryId>>)]
    message_ids: Field<IdList<READ_IDS_MAX>>,
}

/// Say how far one has read (S-073). The pointer never moves back.
#[utoipa::path(
    post, path = "/api/conversations/{id}/read", tag = "messages", request_body = Option<ReadBody>,
    params(("id" = ConversationId, Path, description = "Which conversation")),
    responses(
        (status = 200, description = "Where the pointer stands", body = ReadMarked),
        (status = 400, description = "`VALIDATION`: also a message of another conversation; `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn mark_read(
    State(state): State<RestState>,
    user: User,
    id: Parts<String>,
    MaybeJson(body): MaybeJson<ReadBody>,
) -> Result<Response, ApiError> {
    let conversation_id = path::conversation(id)?;
    let body = body.unwrap_or_default();
    let mut problems = Problems::default();
    let up_to_seq = body.up_to_seq.filter(|value| !value.is_null());
    let seq = up_to_seq.as_ref().and_then(serde_json::Value::as_u64);
    if up_to_seq.is_some() && seq.is_none() {
        problems.add("upToSeq", Rule::Type("whole number, at least 0"));
    }
    let up_to_message_id = problems.optional("upToMessageId", body.up_to_message_id);
    let message_ids = problems.optional("messageIds", body.message_ids);
    problems.check()?;
    let read = MarkRead {
        conversation_id,
        message_ids,
        up_to_seq: seq,
        up_to_message_id,
    };
    let marked = user.run(&state, read).await?;
    answer(StatusCode::OK, &marked)
}

/// Who has read a message (S-108), in order of id; a page may be short and not the last.
#[utoipa::path(
    get, path = "/api/conversations/{id}/messages/{message}/readers", tag = "messages",
    params(
        ("id" = ConversationId, Path, description = "Which conversation"),
        ("message" = EntryId, Path, description = "Which message"),
        PageParams,
    ),
    responses(
        (status = 200, description = "A page", body = Page<Reader>),
        (status = 400, description = "`VALIDATION`, `INVALID_ID` or `INVALID_CURSOR`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`: who hides what they have read sees nobody's", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn readers(
    State(state): State<RestState>,
    user: User,
    parts: Parts<(String, String)>,
    query: Query,
) -> Result<Response, ApiError> {
    let (conversation_id, message_id) = path::message(parts)?;
    let (limit, place) = query.limit_and_place()?;
    let list = list_about("readers", &conversation_id, &message_id);
    let state = &state;
    let read = |after| {
        let readers = ListReaders {
            conversation_id: conversation_id.clone(),
            message_id: message_id.clone(),
            after,
            limit,
        };
        async move {
            let found = user.run(state, readers).await?;
            let next = found.next;
            Ok((found, next))
        }
    };
    match turn_to(place.page, state.open(&list, place.cursor)?, read).await? {
        Turned::Beyond(_) => answer(StatusCode::OK, &Page::beyond(limit)),
        Turned::To(found, next) => {
            let next = next.map(|user| state.seal(&list, &user));
            answer(StatusCode::OK, &Page::new(found.items, limit, next))
        }
    }
}
