//! `/api/conversations`: S-062 to S-069, S-071, S-072, S-122, S-137.

mod invites;
mod members;
mod own;
mod settings;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
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
use crate::clock::Timestamp;
use crate::domain::conversation::{Conversation, History, Visibility};
use crate::domain::limits::IDS_PER_CALL_MAX;
use crate::domain::rule::Rule;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Problems, Text};
use crate::http::json::{Json, answer};
use crate::http::page::{Page, Query};
use crate::http::schema::{RoomDescriptionText, TitleText};
use crate::http::state::RestState;
use crate::http::texts::Texts;
use crate::ids::{ConversationId, UserId};
use crate::views::ConversationView;

/// The caller's conversations, those where something happened last first (S-062). Conversations that move while pages
/// are read are told by their events; all others are listed once.
#[utoipa::path(
    get, path = "/api/conversations", tag = "conversations",
    params(
        ("type" = Option<String>, Query, description = "`direct`, `group` or `room`; all if missing"),
        ("hidden" = Option<bool>, Query, description = "Those that were hidden, instead of the others"),
        ("limit" = Option<usize>, Query, description = "Items of a page, 1 to 100 (50); more is clamped"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("page" = Option<usize>, Query, description = "For older clients, 1 to 20, instead of a cursor"),
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
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(query.as_deref());
    let mut problems = Problems::default();
    let limit = query.limit(&mut problems);
    let page = query.page(&mut problems);
    let hidden = query.flag("hidden", &mut problems);
    let cursor = query.one("cursor", &mut problems);
    let kind = query.one("type", &mut problems);
    let kind = kind.and_then(|text| {
        let kind = kind_named(text);
        if kind.is_none() {
            problems.add("type", Rule::Format);
        }
        kind
    });
    if page.is_some() && cursor.is_some() {
        problems.add("page", Rule::Ambiguous);
    }
    problems.check()?;
    let list = format!("conversations {} {kind:?} {hidden}", user.id());
    let after = cursor.map(|cursor| open(&state, &list, cursor)).transpose()?;
    let command = ListConversations {
        kind,
        hidden,
        after,
        skip: (page.unwrap_or(1) - 1) * limit,
        limit,
    };
    let found = state
        .stack
        .run_as::<ListConversations>(user.call(command))
        .await?;
    let last = found.items.last().filter(|_| found.has_more);
    let page = Page {
        limit,
        next_cursor: last.map(|item| seal(&state, &list, ListPosition::of(item))),
        prev_cursor: None,
        has_more: found.has_more,
        items: found
            .items
            .iter()
            .map(crate::views::ConversationItem::view)
            .collect(),
    };
    answer(StatusCode::OK, &page)
}

fn kind_named(text: &str) -> Option<ListedKind> {
    match text {
        "direct" => Some(ListedKind::Direct),
        "group" => Some(ListedKind::Group),
        "room" => Some(ListedKind::Room),
        _ => None,
    }
}

fn seal(state: &RestState, list: &str, position: ListPosition) -> String {
    let mut bytes = position.at.as_millis().to_be_bytes().to_vec();
    bytes.extend(position.id.as_bytes());
    state.cursors.seal(list, &bytes)
}

fn open(state: &RestState, list: &str, cursor: &str) -> Result<ListPosition, Error> {
    let bytes = state
        .cursors
        .open(list, cursor)
        .map_err(|_| Error::InvalidCursor)?;
    let (at, id) = bytes.split_first_chunk::<8>().ok_or(Error::InvalidCursor)?;
    Ok(ListPosition {
        at: Timestamp::from_millis(i64::from_be_bytes(*at)),
        id: ConversationId::from_bytes(id.try_into().map_err(|_| Error::InvalidCursor)?),
    })
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
    let opened = state.stack.run_as::<OpenDirect>(user.call(open)).await?;
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
    participant_ids: Texts<IDS_PER_CALL_MAX>,
    /// What it is about.
    #[serde(default)]
    #[schema(value_type = Option<RoomDescriptionText>)]
    description: Text,
    /// Who may join by themselves: `private` if missing.
    #[serde(default)]
    #[schema(value_type = Option<Visibility>)]
    visibility: Text,
    /// What later members see of the time before them: `all` if missing.
    #[serde(default)]
    #[schema(value_type = Option<History>)]
    history: Text,
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
    let participant_ids = body.participant_ids.optional("participantIds", &mut problems);
    let description = problems.optional("description", body.description);
    let visibility = problems.word("visibility", body.visibility, visibility_named);
    let history = problems.word("history", body.history, history_named);
    let idempotency_key = idempotency_key(&headers, &mut problems);
    problems.check()?;
    let create = CreateGroup {
        name: name.unwrap_or_default(),
        participant_ids: IdList::new(participant_ids.unwrap_or_default())?,
        description,
        visibility: visibility.unwrap_or_default(),
        history: history.unwrap_or_default(),
        idempotency_key,
    };
    let created = state.stack.run_as::<CreateGroup>(user.call(create)).await?;
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

/// The header of that name; what it may hold is the use case's affair.
fn idempotency_key(headers: &HeaderMap, problems: &mut Problems) -> Option<String> {
    let key = headers.get("idempotency-key")?;
    let text = key.to_str().ok().map(str::to_owned);
    if text.is_none() {
        problems.add("Idempotency-Key", Rule::Characters);
    }
    text
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
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let conversation_id = in_path(id)?;
    let get = GetConversation { conversation_id };
    let found = state.stack.run_as::<GetConversation>(user.call(get)).await?;
    let id = found.conversation.conversation.id;
    let view = OneConversation {
        conversation: found.conversation.view(),
        next_participants_cursor: found.more_behind.map(|last| members::seal(&state, id, last)),
    };
    let mut response = answer(StatusCode::OK, &view)?;
    write_etag(&mut response, &found.conversation.conversation);
    Ok(response)
}

/// The id in a path; what does not decode is none.
fn in_path(id: Result<Path<String>, PathRejection>) -> Result<String, Error> {
    id.map(|Path(id)| id)
        .map_err(|_| Error::InvalidId("conversationId"))
}

/// Both ids in a path.
fn two_in_path(ids: Result<Path<(String, String)>, PathRejection>) -> Result<(String, String), Error> {
    ids.map(|Path(ids)| ids)
        .map_err(|_| Error::InvalidId("conversationId"))
}

fn write_etag(response: &mut Response, conversation: &Conversation) {
    let etag = format!("\"{}\"", settings_version(conversation));
    let etag = HeaderValue::try_from(etag).expect("hex digits in quotes are a header value");
    response.headers_mut().insert(ETAG, etag);
}

fn visibility_named(text: &str) -> Option<Visibility> {
    match text {
        "private" => Some(Visibility::Private),
        "public" => Some(Visibility::Public),
        _ => None,
    }
}

fn history_named(text: &str) -> Option<History> {
    match text {
        "all" => Some(History::All),
        "since-join" => Some(History::SinceJoin),
        _ => None,
    }
}
