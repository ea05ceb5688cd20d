//! Who is in a conversation, as what: S-065, S-067 to S-069, S-071, S-072.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{in_path, two_in_path};
use crate::app::access::conversation_id as id_of;
use crate::app::conversations::{
    AddMembers, BanMember, GroupRole, JoinConversation, LeaveConversation, ListMembers, MembersAdded,
    RemoveMember, RoleSet, SetRole, UnbanMember,
};
use crate::app::messages::IdList;
use crate::domain::limits::IDS_PER_CALL_MAX;
use crate::domain::rule::Rule;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Problems, Text};
use crate::http::json::{Json, MaybeJson, answer};
use crate::http::page::{Page, Query};
use crate::http::state::RestState;
use crate::http::texts::Texts;
use crate::ids::{ConversationId, UserId};
use crate::views::{ConversationView, Participant, ParticipantView};

/// The members of a conversation, for its members, in order of id (S-065).
#[utoipa::path(
    get, path = "/api/conversations/{id}/participants", tag = "conversations",
    params(
        ("id" = ConversationId, Path, description = "Which"),
        ("limit" = Option<usize>, Query, description = "Items of a page, 1 to 100 (50); more is clamped"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before, or `nextParticipantsCursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<ParticipantView<'_>>),
        (status = 400, description = "`VALIDATION`, `INVALID_ID` or `INVALID_CURSOR`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`, also for who is no member", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn list(
    State(state): State<RestState>,
    user: User,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let conversation_id = in_path(id)?;
    let id = id_of(&conversation_id)?;
    let query = Query::parse(query.as_deref());
    let mut problems = Problems::default();
    let limit = query.limit(&mut problems);
    let cursor = query.one("cursor", &mut problems);
    problems.check()?;
    let after = cursor.map(|cursor| open(&state, id, cursor)).transpose()?;
    let members = ListMembers {
        conversation_id,
        after,
        limit,
    };
    let found = state.stack.run_as::<ListMembers>(user.call(members)).await?;
    let last = found.items.last().filter(|_| found.has_more);
    let page = Page {
        limit,
        next_cursor: last.map(|last| seal(&state, id, last.user.id)),
        prev_cursor: None,
        has_more: found.has_more,
        items: found.items.iter().map(Participant::view).collect(),
    };
    answer(StatusCode::OK, &page)
}

/// The cursor behind a member.
pub(super) fn seal(state: &RestState, id: ConversationId, last: UserId) -> String {
    state.cursors.seal(&format!("participants {id}"), last.as_bytes())
}

fn open(state: &RestState, id: ConversationId, cursor: &str) -> Result<UserId, Error> {
    let list = format!("participants {id}");
    let position = state
        .cursors
        .open(&list, cursor)
        .map_err(|_| Error::InvalidCursor)?;
    let bytes = position.try_into().map_err(|_| Error::InvalidCursor)?;
    Ok(UserId::from_bytes(bytes))
}

/// One user or some.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct AddBody {
    /// Either one,
    #[serde(default)]
    #[schema(value_type = Option<UserId>)]
    user_id: Text,
    /// or 1 to 255.
    #[serde(default)]
    #[schema(value_type = Option<Vec<UserId>>)]
    user_ids: Texts<IDS_PER_CALL_MAX>,
}

/// Make users members of a group (S-067). Who is one already stays as they are. With `userId` a user who can't be added
/// is the refusal; with `userIds` each has a result.
#[utoipa::path(
    post, path = "/api/conversations/{id}/participants", tag = "conversations", request_body = AddBody,
    params(("id" = ConversationId, Path, description = "Which group")),
    responses(
        (status = 200, description = "What became of each of them", body = MembersAdded),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`; not a group", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`: no admin, or the user is banned; `BLOCKED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`: the group or the user", body = ErrorBody),
        (status = 409, description = "`GROUP_FULL`: nobody was added", body = ErrorBody),
        (status = 410, description = "`GONE`: the group is closed", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn add(
    State(state): State<RestState>,
    user: User,
    id: Result<Path<String>, PathRejection>,
    Json(body): Json<AddBody>,
) -> Result<Response, ApiError> {
    let conversation_id = in_path(id)?;
    let mut problems = Problems::default();
    let user_id = problems.optional("userId", body.user_id);
    let user_ids = body.user_ids.optional("userIds", &mut problems);
    problems.check()?;
    let add = AddMembers {
        conversation_id,
        user_id,
        user_ids: user_ids.map(IdList::new).transpose()?,
    };
    let added = state.stack.run_as::<AddMembers>(user.call(add)).await?;
    answer(StatusCode::OK, &added)
}

/// End somebody's membership of a group, or one's own (S-068). Nothing that is written from then on reaches them.
#[utoipa::path(
    delete, path = "/api/conversations/{id}/participants/{userId}", tag = "conversations",
    params(
        ("id" = ConversationId, Path, description = "Which group"),
        ("userId" = UserId, Path, description = "Whose"),
    ),
    responses(
        (status = 204, description = "They are no member"),
        (status = 400, description = "`INVALID_ID`, `VALIDATION` or `DIRECT_CANNOT_LEAVE`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`: no admin, or the user is the owner or an admin", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`: the group, or they never were a member", body = ErrorBody),
        (status = 410, description = "`GONE`: the group is closed", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn remove(
    State(state): State<RestState>,
    user: User,
    ids: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let (conversation_id, user_id) = two_in_path(ids)?;
    let remove = RemoveMember {
        conversation_id,
        user_id,
    };
    state.stack.run_as::<RemoveMember>(user.call(remove)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A role.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::http) struct RoleBody {
    /// From now on.
    #[serde(default)]
    #[schema(value_type = GroupRole, required)]
    role: Text,
}

/// Give a member of a group another role (S-069). `owner` hands the group over: the owner until then stays as admin.
#[utoipa::path(
    put, path = "/api/conversations/{id}/participants/{userId}/role", tag = "conversations", request_body = RoleBody,
    params(
        ("id" = ConversationId, Path, description = "Which group"),
        ("userId" = UserId, Path, description = "Whose"),
    ),
    responses(
        (status = 200, description = "So it is", body = RoleSet),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`; not a group", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`: the group or the participant", body = ErrorBody),
        (status = 409, description = "`LAST_OWNER`: the owner can only hand over", body = ErrorBody),
        (status = 410, description = "`GONE`: the group is closed", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn set_role(
    State(state): State<RestState>,
    user: User,
    ids: Result<Path<(String, String)>, PathRejection>,
    Json(body): Json<RoleBody>,
) -> Result<Response, ApiError> {
    let (conversation_id, user_id) = two_in_path(ids)?;
    let mut problems = Problems::default();
    if matches!(body.role, Text::Missing) {
        problems.add("role", Rule::Required);
    }
    let role = problems.word("role", body.role, GroupRole::parse);
    problems.check()?;
    let set = SetRole {
        conversation_id,
        user_id,
        role: role.ok_or_else(|| Error::invalid("role", Rule::Required.to_string()))?,
    };
    let set = state.stack.run_as::<SetRole>(user.call(set)).await?;
    answer(StatusCode::OK, &set)
}

/// How one comes.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct JoinBody {
    /// The token of an invite, for a private group.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    invite_token: Text,
}

/// Become a member of a room, a public group, or with an invite of a private one (S-071).
#[utoipa::path(
    post, path = "/api/conversations/{id}/join", tag = "conversations",
    request_body(content = JoinBody, description = "May be missing"),
    params(("id" = ConversationId, Path, description = "Which")),
    responses(
        (status = 200, description = "The caller is a member", body = ConversationView<'_>),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`: banned", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`: or private, and the token is not for it", body = ErrorBody),
        (status = 409, description = "`GROUP_FULL` or `QUOTA_EXCEEDED`", body = ErrorBody),
        (status = 410, description = "`GONE`: closed", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn join(
    State(state): State<RestState>,
    user: User,
    id: Result<Path<String>, PathRejection>,
    MaybeJson(body): MaybeJson<JoinBody>,
) -> Result<Response, ApiError> {
    let conversation_id = in_path(id)?;
    let mut problems = Problems::default();
    let invite_token = problems.optional("inviteToken", body.unwrap_or_default().invite_token);
    problems.check()?;
    let join = JoinConversation {
        conversation_id,
        invite_token,
    };
    let joined = state.stack.run_as::<JoinConversation>(user.call(join)).await?;
    answer(StatusCode::OK, &joined)
}

/// End one's membership (S-072). An owner's group goes to the admin who has been in it longest, else to the member; the
/// last one closes it.
#[utoipa::path(
    post, path = "/api/conversations/{id}/leave", tag = "conversations",
    params(("id" = ConversationId, Path, description = "Which")),
    responses(
        (status = 204, description = "The caller is no member"),
        (status = 400, description = "`INVALID_ID`, or `DIRECT_CANNOT_LEAVE`: hide it instead", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`: never was a member", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn leave(
    State(state): State<RestState>,
    user: User,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let conversation_id = in_path(id)?;
    let leave = LeaveConversation { conversation_id };
    state.stack.run_as::<LeaveConversation>(user.call(leave)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keep somebody out of a group or room (S-071). A member is one no longer.
#[utoipa::path(
    put, path = "/api/conversations/{id}/bans/{userId}", tag = "conversations",
    params(
        ("id" = ConversationId, Path, description = "Where"),
        ("userId" = UserId, Path, description = "Whom"),
    ),
    responses(
        (status = 204, description = "They are banned"),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`: the conversation or the user", body = ErrorBody),
        (status = 409, description = "`QUOTA_EXCEEDED`: too many are banned", body = ErrorBody),
        (status = 410, description = "`GONE`: closed", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn ban(
    State(state): State<RestState>,
    user: User,
    ids: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let (conversation_id, user_id) = two_in_path(ids)?;
    let ban = BanMember {
        conversation_id,
        user_id,
    };
    state.stack.run_as::<BanMember>(user.call(ban)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let somebody become a member again (S-071).
#[utoipa::path(
    delete, path = "/api/conversations/{id}/bans/{userId}", tag = "conversations",
    params(
        ("id" = ConversationId, Path, description = "Where"),
        ("userId" = UserId, Path, description = "Whom"),
    ),
    responses(
        (status = 204, description = "They are not banned"),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
        (status = 410, description = "`GONE`: closed", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn unban(
    State(state): State<RestState>,
    user: User,
    ids: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let (conversation_id, user_id) = two_in_path(ids)?;
    let unban = UnbanMember {
        conversation_id,
        user_id,
    };
    state.stack.run_as::<UnbanMember>(user.call(unban)).await?;
    Ok(StatusCode::NO_CONTENT)
}
