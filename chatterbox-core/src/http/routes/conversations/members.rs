//! Who is in a conversation, as what: S-065, S-067 to S-069, S-071, S-072.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

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
use crate::http::field::{Field, Problems, Text};
use crate::http::json::{Json, MaybeJson, answer};
use crate::http::page::{Page, Query, Turned, turn_to};
use crate::http::path::{self, Parts};
use crate::http::state::RestState;
use crate::ids::{ConversationId, UserId};
use crate::views::{ConversationView, Participant, ParticipantView};

/// The members of a conversation, for its members, in order of id (S-065).
#[utoipa::path(
    get, path = "/api/conversations/{id}/participants", tag = "conversations",
    params(
        ("id" = ConversationId, Path, description = "Which"),
        ("limit" = Option<usize>, Query, description = "Items of a page, 1 to 100 (50); more is clamped"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before, or `nextParticipantsCursor`"),
        ("page" = Option<usize>, Query, description = "For older clients, 1 to 20, instead of a cursor"),
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
    id: Parts<String>,
    query: Query,
) -> Result<Response, ApiError> {
    let conversation_id = path::conversation(id)?;
    let list = list_of(id_of(&conversation_id)?);
    let (limit, place) = query.limit_and_place()?;
    let state = &state;
    let read = |after| {
        let members = ListMembers {
            conversation_id: conversation_id.clone(),
            after,
            limit,
        };
        async move {
            let found = user.run(state, members).await?;
            let last = found.items.last().filter(|_| found.has_more);
            let next = last.map(|last| last.user.id);
            Ok((found, next))
        }
    };
    match turn_to(place.page, state.open(&list, place.cursor)?, read).await? {
        Turned::Beyond(_) => answer(StatusCode::OK, &Page::beyond(limit)),
        Turned::To(found, next) => {
            let next = next.map(|user| state.seal(&list, &user));
            let items = found.items.iter().map(Participant::view).collect();
            answer(StatusCode::OK, &Page::new(items, limit, next))
        }
    }
}

/// The list of a conversation's members.
pub(super) fn list_of(id: ConversationId) -> String {
    format!("participants {id}")
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
    user_ids: Field<IdList<IDS_PER_CALL_MAX>>,
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
    id: Parts<String>,
    Json(body): Json<AddBody>,
) -> Result<Response, ApiError> {
    let conversation_id = path::conversation(id)?;
    let mut problems = Problems::default();
    let user_id = problems.optional("userId", body.user_id);
    let user_ids = problems.optional("userIds", body.user_ids);
    problems.check()?;
    let add = AddMembers {
        conversation_id,
        user_id,
        user_ids,
    };
    let added = user.run(&state, add).await?;
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
    ids: Parts<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let (conversation_id, user_id) = path::member(ids)?;
    let remove = RemoveMember {
        conversation_id,
        user_id,
    };
    user.run(&state, remove).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A role.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::http) struct RoleBody {
    /// From now on.
    #[serde(default)]
    #[schema(value_type = GroupRole, required)]
    role: Field<GroupRole>,
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
    ids: Parts<(String, String)>,
    Json(body): Json<RoleBody>,
) -> Result<Response, ApiError> {
    let (conversation_id, user_id) = path::member(ids)?;
    let mut problems = Problems::default();
    let role = problems.required("role", body.role);
    problems.check()?;
    let set = SetRole {
        conversation_id,
        user_id,
        role: role.ok_or_else(|| Error::invalid("role", Rule::Required.to_string()))?,
    };
    let set = user.run(&state, set).await?;
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
    id: Parts<String>,
    MaybeJson(body): MaybeJson<JoinBody>,
) -> Result<Response, ApiError> {
    let conversation_id = path::conversation(id)?;
    let mut problems = Problems::default();
    let invite_token = problems.optional("inviteToken", body.unwrap_or_default().invite_token);
    problems.check()?;
    let join = JoinConversation {
        conversation_id,
        invite_token,
    };
    let joined = user.run(&state, join).await?;
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
    id: Parts<String>,
) -> Result<StatusCode, ApiError> {
    let conversation_id = path::conversation(id)?;
    let leave = LeaveConversation { conversation_id };
    user.run(&state, leave).await?;
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
    ids: Parts<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let (conversation_id, user_id) = path::member(ids)?;
    let ban = BanMember {
        conversation_id,
        user_id,
    };
    user.run(&state, ban).await?;
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
    ids: Parts<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let (conversation_id, user_id) = path::member(ids)?;
    let unban = UnbanMember {
        conversation_id,
        user_id,
    };
    user.run(&state, unban).await?;
    Ok(StatusCode::NO_CONTENT)
}
