use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::MapAccess;
use serde::de::value::MapAccessDeserializer;
use utoipa::ToSchema;

use crate::app::accounts::{ChangePassword, Me, OwnAccount, UpdateProfile};
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::etag::with_etag;
use crate::http::field::{Field, Flag, Problems, Text, Value, given};
use crate::http::json::Json;
use crate::http::schema::{DisplayNameText, PasswordAttempt, PasswordText};
use crate::http::state::RestState;

/// The caller's own account (S-056).
#[utoipa::path(
    get, path = "/api/auth/me", tag = "auth",
    responses(
        (status = 200, description = "The account, with an `ETag`", body = OwnAccount),
        (status = 304, description = "As `If-None-Match` has it"),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn me(
    State(state): State<RestState>,
    user: User,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let account = user.run(&state, Me {}).await?;
    with_etag(&account, &headers)
}

/// What is to change about the account; the rest of it may stand there too and is ignored.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct UpdateBody {
    /// Shown beside the username; `null` or empty takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<DisplayNameText>)]
    display_name: Option<Text>,
    /// What others see and find.
    #[serde(default)]
    #[schema(value_type = Option<SettingsBody>)]
    settings: Field<SettingsBody>,
}

/// Settings to change.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SettingsBody {
    /// Others see how far the user has read, and the user how far they have.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    read_receipts: Flag,
    /// Others see whether the user is online.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    show_presence: Flag,
    /// Who knows the user's address finds the user by it.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    allow_email_search: Flag,
}

impl Value for SettingsBody {
    const TYPE: &'static str = "object";

    fn from_object<'de, A: MapAccess<'de>>(entries: A) -> Result<Field<SettingsBody>, A::Error> {
        SettingsBody::deserialize(MapAccessDeserializer::new(entries)).map(Field::Is)
    }
}

/// Change the caller's own account (S-134): what is named changes, all else stays.
#[utoipa::path(
    put, path = "/api/auth/me", tag = "auth", request_body = UpdateBody,
    responses(
        (status = 200, description = "The account as it is now, with an `ETag`", body = OwnAccount),
        (status = 400, description = "`VALIDATION`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn update(
    State(state): State<RestState>,
    user: User,
    Json(body): Json<UpdateBody>,
) -> Result<Response, ApiError> {
    let mut problems = Problems::default();
    let display_name = match body.display_name {
        None => None,
        Some(Text::Missing) => Some(String::new()),
        Some(text) => problems.optional("displayName", text),
    };
    let settings = problems.optional("settings", body.settings).unwrap_or_default();
    let update = UpdateProfile {
        display_name,
        read_receipts: problems.optional("settings.readReceipts", settings.read_receipts),
        show_presence: problems.optional("settings.showPresence", settings.show_presence),
        allow_email_search: problems.optional("settings.allowEmailSearch", settings.allow_email_search),
    };
    problems.check()?;
    let updated = user.run(&state, update).await?;
    with_etag(&updated.0, &HeaderMap::new())
}

/// The password and what it is to become.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ChangePasswordBody {
    /// As it is.
    #[serde(default)]
    #[schema(value_type = PasswordAttempt, required)]
    current_password: Text,
    /// As it is to be.
    #[serde(default)]
    #[schema(value_type = PasswordText, required)]
    new_password: Text,
}

/// Change the caller's password (S-134). The caller's other sessions end.
#[utoipa::path(
    post, path = "/api/auth/change-password", tag = "auth", request_body = ChangePasswordBody,
    responses(
        (status = 204, description = "Changed"),
        (status = 400, description = "`VALIDATION`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 403, description = "`FORBIDDEN`: the current password is wrong", body = ErrorBody),
        (status = 409, description = "`CONFLICT`: it was changed meanwhile", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
        (status = 503, description = "`UNAVAILABLE`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn change_password(
    State(state): State<RestState>,
    user: User,
    Json(body): Json<ChangePasswordBody>,
) -> Result<StatusCode, ApiError> {
    let mut problems = Problems::default();
    let current = problems.required("currentPassword", body.current_password);
    let new = problems.required("newPassword", body.new_password);
    problems.check()?;
    let change = ChangePassword {
        current_password: current.unwrap_or_default().into(),
        new_password: new.unwrap_or_default().into(),
    };
    user.run(&state, change).await?;
    Ok(StatusCode::NO_CONTENT)
}
