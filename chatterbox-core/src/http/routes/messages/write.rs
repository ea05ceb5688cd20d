use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{answer_current, current};
use crate::app::messages::{DeleteMessage, EditMessage, IdList, MessagePosted, Scope, SendMessage};
use crate::domain::message::{ATTACHMENTS_MAX, MENTIONS_MAX};
use crate::domain::rule::Rule;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Field, Problems, Text};
use crate::http::idempotency::idempotency_key;
use crate::http::json::{Json, answer};
use crate::http::page::Query;
use crate::http::path::{self, Parts};
use crate::http::schema::{ClientMessageIdText, ContentText};
use crate::http::state::RestState;
use crate::ids::{ConversationId, EntryId, UserId};
use crate::views::MessageView;

/// A message to be sent.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SendBody {
    /// What it says.
    #[serde(default)]
    #[schema(value_type = ContentText, required)]
    content: Text,
    /// The client's own key, so that it can ask again; `Idempotency-Key` is another name for it.
    #[serde(default)]
    #[schema(value_type = Option<ClientMessageIdText>)]
    client_message_id: Text,
    /// Ids of files; none exist yet.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    attachments: Field<IdList<ATTACHMENTS_MAX>>,
    /// The message it answers.
    #[serde(default)]
    #[schema(value_type = Option<EntryId>)]
    reply_to: Text,
    /// Members it addresses.
    #[serde(default)]
    #[schema(value_type = Option<Vec<UserId>>)]
    mentions: Field<IdList<MENTIONS_MAX>>,
}

/// Write to a conversation (S-129). The same key again gives the same message, and 200.
#[utoipa::path(
    post, path = "/api/conversations/{id}/messages", tag = "messages", request_body = SendBody,
    params(
        ("id" = ConversationId, Path, description = "Which conversation"),
        ("Idempotency-Key" = Option<String>, Header, description = "As `clientMessageId` in the body"),
    ),
    responses(
        (status = 201, description = "Durable", body = MessageView<'_>),
        (status = 200, description = "It was sent before, under this key", body = MessageView<'_>),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`BLOCKED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`: the conversation, or the message to reply to", body = ErrorBody),
        (status = 409, description = "`CONFLICT`: the key was used for another message", body = ErrorBody),
        (status = 410, description = "`GONE`: the conversation is closed", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn send(
    State(state): State<RestState>,
    user: User,
    id: Parts<String>,
    headers: HeaderMap,
    Json(body): Json<SendBody>,
) -> Result<Response, ApiError> {
    let conversation_id = path::conversation(id)?;
    let mut problems = Problems::default();
    let content = problems.required("content", body.content);
    let key = problems.optional("clientMessageId", body.client_message_id);
    let header = idempotency_key(&headers, &mut problems);
    if key.is_some() && header.is_some() && key != header {
        problems.add("clientMessageId", Rule::Ambiguous);
    }
    let attachments = problems.optional("attachments", body.attachments);
    let reply_to = problems.optional("replyTo", body.reply_to);
    let mentions = problems.optional("mentions", body.mentions);
    problems.check()?;
    let send = SendMessage {
        conversation_id: conversation_id.clone(),
        content: content.unwrap_or_default(),
        client_message_id: key.or(header),
        attachments: attachments.unwrap_or_default(),
        reply_to,
        mentions: mentions.unwrap_or_default(),
    };
    let MessagePosted(sent) = user.run(&state, send).await?;
    let status = if sent.duplicate {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let ids = (conversation_id, sent.message.id.to_string());
    match current(&state, user, ids).await {
        Ok(message) => answer(status, &message),
        // A retry is answered to those, too, who see the conversation no more, or have deleted the message for
        // themselves: with what they were told the first time.
        Err(Error::NotFound(_)) => answer(status, &sent.message),
        Err(error) => Err(error.into()),
    }
}

/// A new text for a message.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct EditBody {
    /// What it says from now on.
    #[serde(default)]
    #[schema(value_type = ContentText, required)]
    content: Text,
    /// Members it addresses from now on; as before if missing.
    #[serde(default)]
    #[schema(value_type = Option<Vec<UserId>>)]
    mentions: Field<IdList<MENTIONS_MAX>>,
}

/// Give a message of one's own a new text (S-130).
#[utoipa::path(
    patch, path = "/api/conversations/{id}/messages/{message}", tag = "messages", request_body = EditBody,
    params(
        ("id" = ConversationId, Path, description = "Which conversation"),
        ("message" = EntryId, Path, description = "Which message"),
    ),
    responses(
        (status = 200, description = "The message as it is now", body = MessageView<'_>),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`: of somebody else, or too old; `BLOCKED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
        (status = 410, description = "`GONE`: deleted, or in a closed conversation", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn edit(
    State(state): State<RestState>,
    user: User,
    parts: Parts<(String, String)>,
    Json(body): Json<EditBody>,
) -> Result<Response, ApiError> {
    let (conversation_id, message_id) = path::message(parts)?;
    let mut problems = Problems::default();
    let content = problems.required("content", body.content);
    let mentions = problems.optional("mentions", body.mentions);
    problems.check()?;
    let edit = EditMessage {
        conversation_id: conversation_id.clone(),
        message_id: message_id.clone(),
        content: content.unwrap_or_default(),
        mentions,
    };
    user.run(&state, edit).await?;
    answer_current(&state, user, (conversation_id, message_id)).await
}

/// Take a message out, for everybody or for oneself (S-131). Twice is once.
#[utoipa::path(
    delete, path = "/api/conversations/{id}/messages/{message}", tag = "messages",
    params(
        ("id" = ConversationId, Path, description = "Which conversation"),
        ("message" = EntryId, Path, description = "Which message"),
        ("scope" = Option<String>, Query, description = "`all` (if missing): for everybody; `me`: for oneself alone"),
    ),
    responses(
        (status = 204, description = "It is taken out"),
        (status = 400, description = "`VALIDATION` or `INVALID_ID`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`: of somebody else, and one doesn't manage the conversation", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`", body = ErrorBody),
        (status = 409, description = "`QUOTA_EXCEEDED`: too many deleted for oneself here", body = ErrorBody),
        (status = 410, description = "`GONE`: the conversation is closed", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn delete(
    State(state): State<RestState>,
    user: User,
    parts: Parts<(String, String)>,
    query: Query,
) -> Result<StatusCode, ApiError> {
    let (conversation_id, message_id) = path::message(parts)?;
    let mut problems = Problems::default();
    let scope = match query.one("scope", &mut problems) {
        None | Some("all") => Scope::All,
        Some("me") => Scope::Me,
        Some(_) => {
            problems.add("scope", Rule::Format);
            Scope::Me
        }
    };
    problems.check()?;
    let delete = DeleteMessage {
        conversation_id,
        message_id,
        scope,
    };
    user.run(&state, delete).await?;
    Ok(StatusCode::NO_CONTENT)
}
