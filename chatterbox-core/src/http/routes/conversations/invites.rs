//! Tokens that let their bearers join a private group: S-071.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::conversations::{CreateInvite, InviteCreated, InviteFound, LookAtInvite, RevokeInvites};
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Number, Problems};
use crate::http::json::{MaybeJson, answer};
use crate::http::path::{self, Parts};
use crate::http::state::RestState;
use crate::ids::ConversationId;

/// A new invite.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct InviteBody {
    /// For how many seconds it is good, 60 to 2592000; 7 days if missing.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    expires_in: Number,
}

/// Make a token that lets its bearers join a group (S-071). It is told once.
#[utoipa::path(
    post, path = "/api/conversations/{id}/invites", tag = "conversations",
    request_body(content = InviteBody, description = "May be missing"),
    params(("id" = ConversationId, Path, description = "Which group")),
    responses(
        (status = 201, description = "The invite", body = InviteCreated),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`; not a group", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
        (status = 410, description = "`GONE`: closed", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn create_invite(
    State(state): State<RestState>,
    user: User,
    id: Parts<String>,
    MaybeJson(body): MaybeJson<InviteBody>,
) -> Result<Response, ApiError> {
    let conversation_id = path::conversation(id)?;
    let mut problems = Problems::default();
    let expires_in = problems.optional("expiresIn", body.unwrap_or_default().expires_in);
    problems.check()?;
    let create = CreateInvite {
        conversation_id,
        expires_in,
    };
    let created = user.run(&state, create).await?;
    answer(StatusCode::CREATED, &created)
}

/// Take back all invites of a group (S-071).
#[utoipa::path(
    delete, path = "/api/conversations/{id}/invites", tag = "conversations",
    params(("id" = ConversationId, Path, description = "Which group")),
    responses(
        (status = 204, description = "None is good any more"),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`; not a group", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn revoke_invites(
    State(state): State<RestState>,
    user: User,
    id: Parts<String>,
) -> Result<StatusCode, ApiError> {
    let conversation_id = path::conversation(id)?;
    let revoke = RevokeInvites { conversation_id };
    user.run(&state, revoke).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where an invite leads, before one joins (S-071).
#[utoipa::path(
    get, path = "/api/invites/{token}", tag = "conversations",
    params(("token" = String, Path, description = "Its token")),
    responses(
        (status = 200, description = "The group", body = InviteFound),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`: unknown, taken back or expired", body = ErrorBody),
        (status = 410, description = "`GONE`: the group is closed", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn look_at_invite(
    State(state): State<RestState>,
    user: User,
    token: Parts<String>,
) -> Result<Response, ApiError> {
    let look = LookAtInvite {
        token: path::invite(token)?,
    };
    let found = user.run(&state, look).await?;
    answer(StatusCode::OK, &found)
}
