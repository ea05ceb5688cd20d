use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::answer_current;
use crate::app::messages::{AddReaction, RemoveReaction};
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::path::{self, Parts};
use crate::http::state::RestState;
use crate::ids::{ConversationId, EntryId};
use crate::views::MessageView;

/// Put a reaction on a message (S-132). Twice is once.
#[utoipa::path(
    put, path = "/api/conversations/{id}/messages/{message}/reactions/{emoji}", tag = "messages",
    params(
        ("id" = ConversationId, Path, description = "Which conversation"),
        ("message" = EntryId, Path, description = "On which message"),
        ("emoji" = String, Path, description = "Exactly one emoji"),
    ),
    responses(
        (status = 200, description = "The message as it is now", body = MessageView<'_>),
        (status = 400, description = "`VALIDATION`: no emoji; `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`BLOCKED`; `FORBIDDEN`: not a person's message", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
        (status = 409, description = "`QUOTA_EXCEEDED`: 20 different emoji, or 500 reactions", body = ErrorBody),
        (status = 410, description = "`GONE`: deleted, or in a closed conversation", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn add(
    State(state): State<RestState>,
    user: User,
    parts: Parts<(String, String, String)>,
) -> Result<Response, ApiError> {
    let (conversation_id, message_id, emoji) = decoded(parts)?;
    let add = AddReaction {
        conversation_id: conversation_id.clone(),
        message_id: message_id.clone(),
        emoji,
    };
    user.run(&state, add).await?;
    answer_current(&state, user, (conversation_id, message_id)).await
}

/// Take one's reaction off again (S-132). Not there is fine.
#[utoipa::path(
    delete, path = "/api/conversations/{id}/messages/{message}/reactions/{emoji}", tag = "messages",
    params(
        ("id" = ConversationId, Path, description = "Which conversation"),
        ("message" = EntryId, Path, description = "On which message"),
        ("emoji" = String, Path, description = "Exactly one emoji"),
    ),
    responses(
        (status = 204, description = "It is not there"),
        (status = 400, description = "`VALIDATION`: no emoji; `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`: not a person's message", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
        (status = 410, description = "`GONE`: deleted, or in a closed conversation", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn remove(
    State(state): State<RestState>,
    user: User,
    parts: Parts<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    let (conversation_id, message_id, emoji) = decoded(parts)?;
    let remove = RemoveReaction {
        conversation_id,
        message_id,
        emoji,
    };
    user.run(&state, remove).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What does not decode is no emoji.
fn decoded(parts: Parts<(String, String, String)>) -> Result<(String, String, String), Error> {
    path::decoded(
        parts,
        Error::invalid("emoji", crate::domain::emoji::NotAnEmoji.to_string()),
    )
}
