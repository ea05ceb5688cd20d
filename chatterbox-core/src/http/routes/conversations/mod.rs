//! `/api/conversations`: S-062 to S-069, S-071, S-072, S-122, S-137.

mod invites;
mod members;
mod own;
mod settings;

use axum::extract::State;
use axum::response::Response;
use http::header::ETAG;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(in crate::http) use invites::{
    __path_create_invite, __path_look_at_invite, __path_revoke_invites, create_invite, look_at_invite,
    revoke_invites,
};
pub(in crate::http) use members::{
    __path_add, __path_ban, __path_join, __path_leave, __path_list as __path_participants, __path_remove,
    __path_set_role, __path_unban, add, ban, join, leave, list as participants, remove, set_role, unban,
};
pub(in crate::http) use own::{__path_set_hidden, __path_set_notifications, set_hidden, set_notifications};
pub(in crate::http) use settings::{__path_close, __path_update, close, update};

use crate::app::conversations::{
    CreateGroup, GetConversation, ListConversations, ListPosition, ListedKind, OpenDirect, Refused,
    settings_version,
};
use crate::app::messages::IdList;
use crate::domain::conversation::{Conversation, History, Visibility};
use crate::domain::limits::IDS_PER_CALL_MAX;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Field, Problems, Text};
use crate::http::idempotency::idempotency_key;
use crate::http::json::{Json, answer};
use crate::http::page::{Page, PageParams, Query};
use crate::http::path::{self, Parts};
use crate::http::schema::{RoomDescriptionText, TitleText};
use crate::http::state::RestState;
use crate::ids::{ConversationId, UserId};
use crate::views::{ConversationItem, ConversationView};

/// The caller's conversations, those where something happened last first (S-062). Conversations that move while pages
/// are read are told by their events; all others are listed once.
#[utoipa::path(
    get, path = "/api/conversations", tag = "conversations",
    params(
        ("type" = Option<String>, Query, description = "`direct`, `group` or `room`; all if missing"),
        ("hidden" = Option<bool>, Query, description = "Those that were hidden, instead of the others"),
        PageParams,
    ),
    responses(
        (status = 200, description = "A page", body = Page<ConversationView<'_>>),
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
    let hidden = query.flag("hidden", &mut problems);
    let place = query.place(&mut problems);
    let kind: Option<ListedKind> = query.word("type", &mut problems);
    problems.check()?;
    let list = format!("conversations {} {kind:?} {hidden}", user.id());
    let after = state.open(&list, place.cursor)?;
    let command = ListConversations {
        kind,
        hidden,
        after,
        skip: (place.page - 1) * limit,
        limit,
    };
    let found = user.run(&state, command).await?;
    let last = found.items.last().filter(|_| found.has_more);
    let next = last.map(|item| state.seal(&list, &ListPosition::of(item)));
    let items = found.items.iter().map(ConversationItem::view).collect();
    answer(StatusCode::OK, &Page::new(items, limit, next))
}

/// With whom.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct DirectBody {
    /// The other one; oneself for notes.
    #[serde(default)]
    #[schema(value_type = UserId, required)]
    user_id: Text,
}

/// Open the direct conversation with somebody (S-063): one per pair, however many ask at once from both sides. One
/// that was hidden is shown again.
#[utoipa::path(
    post, path = "/api/conversations/direct", tag = "conversations", request_body = DirectBody,
    responses(
        (status = 200, description = "It was there", body = ConversationView<'_>),
        (status = 201, description = "Opened", body = ConversationView<'_>),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`BLOCKED`: one of the two blocks the other", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`: no such user", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn direct(
    State(state): State<RestState>,
    user: User,
    Json(body): Json<DirectBody>,
) -> Result<Response, ApiError> {
    let mut problems = Problems::default();
    let user_id = problems.required("userId", body.user_id);
    problems.check()?;
    let open = OpenDirect {
        user_id: user_id.unwrap_or_default(),
    };
    let opened = user.run(&state, open).await?;
    let status = if opened.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    answer(status, &opened.conversation)
}

/// A new group.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct GroupBody {
    /// Its title.
    #[serde(default)]
    #[schema(value_type = TitleText, required)]
    name: Text,
    /// The other first members, at most 1000 ids. Who is named twice, or is the caller, is no matter.
    #[serde(default)]
    #[schema(value_type = Option<Vec<UserId>>)]
    participant_ids: Field<IdList<IDS_PER_CALL_MAX>>,
    /// What it is about.
    #[serde(default)]
    #[schema(value_type = Option<RoomDescriptionText>)]
    description: Text,
    /// Who may join by themselves: `private` if missing.
    #[serde(default)]
    #[schema(value_type = Option<Visibility>)]
    visibility: Field<Visibility>,
    /// What later members see of the time before them: `all` if missing.
    #[serde(default)]
    #[schema(value_type = Option<History>)]
    history: Field<History>,
}

/// The group, and who is not in it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct GroupView<'a> {
    /// The group.
    #[serde(flatten)]
    conversation: ConversationView<'a>,
    /// Who was named but could not be added, because one of the two blocks the other.
    not_added: &'a [Refused],
}

/// Make a group and own it (S-064). The same `Idempotency-Key` makes it once.
#[utoipa::path(
    post, path = "/api/conversations/group", tag = "conversations", request_body = GroupBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 64 bytes, the caller's own")),
    responses(
        (status = 200, description = "It was made with this key before", body = GroupView<'_>),
        (status = 201, description = "Made", body = GroupView<'_>),
        (status = 400, description = "`VALIDATION` (unknown users are named) or `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 409, description = "`GROUP_FULL`, or `CONFLICT`: the key was used for another group", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn group(
    State(state): State<RestState>,
    user: User,
    headers: HeaderMap,
    Json(body): Json<GroupBody>,
) -> Result<Response, ApiError> {
    let mut problems = Problems::default();
    let name = problems.required("name", body.name);
    let participant_ids = problems.optional("participantIds", body.participant_ids);
    let description = problems.optional("description", body.description);
    let visibility = problems.optional("visibility", body.visibility);
    let history = problems.optional("history", body.history);
    let idempotency_key = idempotency_key(&headers, &mut problems);
    problems.check()?;
    let create = CreateGroup {
        name: name.unwrap_or_default(),
        participant_ids: participant_ids.unwrap_or_default(),
        description,
        visibility: visibility.unwrap_or_default(),
        history: history.unwrap_or_default(),
        idempotency_key,
    };
    let created = user.run(&state, create).await?;
    let view = GroupView {
        conversation: created.conversation.view(),
        not_added: &created.not_added,
    };
    let status = if created.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    answer(status, &view)
}

/// One conversation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct OneConversation<'a> {
    /// The conversation, with its first 100 participants.
    #[serde(flatten)]
    conversation: ConversationView<'a>,
    /// Where `GET …/participants` goes on behind them; `null` if these are all.
    next_participants_cursor: Option<String>,
}

/// One conversation, for its members (S-065). The `ETag` names its settings, for `If-Match` of a change.
#[utoipa::path(
    get, path = "/api/conversations/{id}", tag = "conversations",
    params(("id" = ConversationId, Path, description = "Which")),
    responses(
        (status = 200, description = "The conversation", body = OneConversation<'_>),
        (status = 400, description = "`INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`, also for who is no member", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn one(
    State(state): State<RestState>,
    user: User,
    id: Parts<String>,
) -> Result<Response, ApiError> {
    let conversation_id = path::conversation(id)?;
    let get = GetConversation { conversation_id };
    let found = user.run(&state, get).await?;
    let id = found.conversation.conversation.id;
    let view = OneConversation {
        conversation: found.conversation.view(),
        next_participants_cursor: found
            .more_behind
            .map(|last| state.seal(&members::list_of(id), &last)),
    };
    let mut response = answer(StatusCode::OK, &view)?;
    write_etag(&mut response, &found.conversation.conversation);
    Ok(response)
}

fn write_etag(response: &mut Response, conversation: &Conversation) {
    let etag = format!("\"{}\"", settings_version(conversation));
    let etag = HeaderValue::try_from(etag).expect("hex digits in quotes are a header value");
    response.headers_mut().insert(ETAG, etag);
}
