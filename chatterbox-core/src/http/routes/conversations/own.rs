//! What a member sets for themselves: S-063, S-122.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::conversations::{SetHidden, SetNotifications};
use crate::clock::Timestamp;
use crate::domain::conversation::Notify;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Field, Flag, Problems};
use crate::http::json::{Json, MaybeJson, answer};
use crate::http::path::{self, Parts};
use crate::http::state::RestState;
use crate::ids::ConversationId;
use crate::views::Notifications;

/// Left out of the list, or not.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::http) struct HiddenBody {
    /// `true` if missing.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    hidden: Flag,
}

/// Leave a conversation out of one's list until something is written in it (S-063).
#[utoipa::path(
    put, path = "/api/conversations/{id}/hidden", tag = "conversations",
    request_body(content = HiddenBody, description = "May be missing"),
    params(("id" = ConversationId, Path, description = "Which")),
    responses(
        (status = 204, description = "So it is"),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn set_hidden(
    State(state): State<RestState>,
    user: User,
    id: Parts<String>,
    MaybeJson(body): MaybeJson<HiddenBody>,
) -> Result<StatusCode, ApiError> {
    let conversation_id = path::conversation(id)?;
    let mut problems = Problems::default();
    let hidden = problems.optional("hidden", body.unwrap_or_default().hidden);
    problems.check()?;
    let set = SetHidden {
        conversation_id,
        hidden: hidden.unwrap_or(true),
    };
    user.run(&state, set).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which messages notify.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct NotificationsBody {
    /// All, those that mention the caller, or none.
    #[serde(default)]
    #[schema(value_type = Notify, required)]
    level: Field<Notify>,
    /// None before this moment.
    #[serde(default)]
    #[schema(value_type = Option<Timestamp>)]
    mute_until: Field<Timestamp>,
}

/// Set which messages of a conversation notify (S-122).
#[utoipa::path(
    put, path = "/api/conversations/{id}/notifications", tag = "conversations", request_body = NotificationsBody,
    params(("id" = ConversationId, Path, description = "Of which")),
    responses(
        (status = 200, description = "So it is", body = Notifications),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn set_notifications(
    State(state): State<RestState>,
    user: User,
    id: Parts<String>,
    Json(body): Json<NotificationsBody>,
) -> Result<Response, ApiError> {
    let conversation_id = path::conversation(id)?;
    let mut problems = Problems::default();
    let level = problems.required("level", body.level);
    let mute_until = problems.optional("muteUntil", body.mute_until);
    problems.check()?;
    let set = SetNotifications {
        conversation_id,
        level: level.unwrap_or_default(),
        mute_until,
    };
    let saved = user.run(&state, set).await?;
    answer(StatusCode::OK, &saved.notifications)
}
