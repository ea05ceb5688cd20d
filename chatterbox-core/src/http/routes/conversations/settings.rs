//! What a conversation is called and who may come: S-066, S-137.

use axum::extract::State;
use axum::response::Response;
use http::header::IF_MATCH;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use super::write_etag;
use crate::app::conversations::{CloseConversation, UpdateConversation};
use crate::domain::conversation::{History, Visibility};
use crate::domain::rule::Rule;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Field, Problems, Text};
use crate::http::json::{Json, answer};
use crate::http::path::{self, Parts};
use crate::http::schema::{RoomDescriptionText, TitleText};
use crate::http::state::RestState;
use crate::ids::ConversationId;
use crate::views::SettingsView;

/// What changes; the rest stays.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::http) struct UpdateBody {
    /// Title of a group, or unique name of a room.
    #[serde(default)]
    #[schema(value_type = Option<TitleText>)]
    name: Text,
    /// What it is about; an empty text takes it away.
    #[serde(default)]
    #[schema(value_type = Option<RoomDescriptionText>)]
    description: Text,
    /// Who may join a group by themselves.
    #[serde(default)]
    #[schema(value_type = Option<Visibility>)]
    visibility: Field<Visibility>,
    /// What later members of a group see of the time before them.
    #[serde(default)]
    #[schema(value_type = Option<History>)]
    history: Field<History>,
}

/// Change the settings of a group or room (S-066). With `If-Match` only if they are as the caller has seen them.
#[utoipa::path(
    put, path = "/api/conversations/{id}", tag = "conversations", request_body = UpdateBody,
    params(
        ("id" = ConversationId, Path, description = "Which"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the settings as they were seen"),
    ),
    responses(
        (status = 200, description = "The settings", body = SettingsView<'_>),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`; a direct conversation", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
        (status = 409, description = "`DUPLICATE_ROOM`", body = ErrorBody),
        (status = 410, description = "`GONE`: closed", body = ErrorBody),
        (status = 412, description = "`PRECONDITION_FAILED`: they have changed since", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn update(
    State(state): State<RestState>,
    user: User,
    id: Parts<String>,
    headers: HeaderMap,
    Json(body): Json<UpdateBody>,
) -> Result<Response, ApiError> {
    let conversation_id = path::conversation(id)?;
    let mut problems = Problems::default();
    let update = UpdateConversation {
        conversation_id,
        name: problems.optional("name", body.name),
        description: problems.optional("description", body.description),
        visibility: problems.optional("visibility", body.visibility),
        history: problems.optional("history", body.history),
        if_version: if_match(&headers, &mut problems),
    };
    problems.check()?;
    let saved = user.run(&state, update).await?;
    let mut response = answer(StatusCode::OK, &saved)?;
    write_etag(&mut response, &saved.conversation);
    Ok(response)
}

/// The one version that `If-Match` names; `*` is any.
fn if_match(headers: &HeaderMap, problems: &mut Problems) -> Option<String> {
    let text = headers.get(IF_MATCH)?.to_str().unwrap_or_default().trim();
    if text == "*" {
        return None;
    }
    let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    if version.is_none() {
        problems.add("If-Match", Rule::Format);
    }
    version.map(str::to_owned)
}

/// Close a group for good: its members can read it, but nothing is added (S-137).
#[utoipa::path(
    delete, path = "/api/conversations/{id}", tag = "conversations",
    params(("id" = ConversationId, Path, description = "Which")),
    responses(
        (status = 204, description = "It is closed"),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`; a direct conversation", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`: not the owner", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn close(
    State(state): State<RestState>,
    user: User,
    id: Parts<String>,
) -> Result<StatusCode, ApiError> {
    let conversation_id = path::conversation(id)?;
    let close = CloseConversation { conversation_id };
    user.run(&state, close).await?;
    Ok(StatusCode::NO_CONTENT)
}
