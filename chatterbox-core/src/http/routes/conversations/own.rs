//! What a member sets for themselves: S-063, S-122.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::in_path;
use crate::app::conversations::{SetHidden, SetNotifications};
use crate::clock::Timestamp;
use crate::domain::conversation::Notify;
use crate::domain::rule::Rule;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Flag, Problems, Text};
use crate::http::json::{Json, MaybeJson, answer};
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
    id: Result<Path<String>, PathRejection>,
    MaybeJson(body): MaybeJson<HiddenBody>,
) -> Result<StatusCode, ApiError> {
    let conversation_id = in_path(id)?;
    let mut problems = Problems::default();
    let hidden = problems.optional("hidden", body.unwrap_or_default().hidden);
    problems.check()?;
    let set = SetHidden {
        conversation_id,
        hidden: hidden.unwrap_or(true),
    };
    state.stack.run_as::<SetHidden>(user.call(set)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which messages notify.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct NotificationsBody {
    /// All, those that mention the caller, or none.
    #[serde(default)]
    #[schema(value_type = Notify, required)]
    level: Text,
    /// None before this moment.
    #[serde(default)]
    #[schema(value_type = Option<Timestamp>)]
    mute_until: Text,
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
    id: Result<Path<String>, PathRejection>,
    Json(body): Json<NotificationsBody>,
) -> Result<Response, ApiError> {
    let conversation_id = in_path(id)?;
    let mut problems = Problems::default();
    if matches!(body.level, Text::Missing) {
        problems.add("level", Rule::Required);
    }
    let level = problems.word("level", body.level, level_named);
    let mute_until = problems.word("muteUntil", body.mute_until, moment);
    problems.check()?;
    let set = SetNotifications {
        conversation_id,
        level: level.ok_or_else(|| Error::invalid("level", Rule::Required.to_string()))?,
        mute_until,
    };
    let saved = state.stack.run_as::<SetNotifications>(user.call(set)).await?;
    answer(StatusCode::OK, &saved.notifications)
}

fn level_named(text: &str) -> Option<Notify> {
    match text {
        "all" => Some(Notify::All),
        "mentions" => Some(Notify::Mentions),
        "none" => Some(Notify::None),
        _ => None,
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    Timestamp::deserialize(text).ok()
}
