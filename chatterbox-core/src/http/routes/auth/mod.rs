//! `/api/auth`: S-052 to S-056, S-134.

mod account;
mod sessions;

use axum::extract::State;
use axum::response::Response;
use http::header::USER_AGENT;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

pub(in crate::http) use account::{
    __path_change_password, __path_me, __path_update, change_password, me, update,
};
pub(in crate::http) use sessions::{
    __path_end, __path_end_others, __path_sessions, end, end_others, sessions,
};

use crate::app::accounts::{LoggedIn, Login, Logout, Refresh, Refreshed, Register, Tokens};
use crate::error::Error;
use crate::http::auth::{Caller, Identity, bearer_token};
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Problems, Text};
use crate::http::json::{Json, MaybeJson, answer};
use crate::http::page::Query;
use crate::http::schema::{DisplayNameText, EmailText, PasswordAttempt, PasswordText, UsernameText};
use crate::http::state::RestState;

/// A new account.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RegisterBody {
    /// Unique, also in look.
    #[serde(default)]
    #[schema(value_type = UsernameText, required)]
    username: Text,
    /// Unique.
    #[serde(default)]
    #[schema(value_type = EmailText, required)]
    email: Text,
    /// Counted in code points, never cut.
    #[serde(default)]
    #[schema(value_type = PasswordText, required)]
    password: Text,
    /// Shown beside the username.
    #[serde(default)]
    #[schema(value_type = Option<DisplayNameText>)]
    display_name: Text,
}

/// Create an account and log in (S-052).
#[utoipa::path(
    post, path = "/api/auth/register", tag = "auth", request_body = RegisterBody,
    responses(
        (status = 201, description = "Created and logged in", body = LoggedIn),
        (status = 400, description = "`VALIDATION`", body = ErrorBody),
        (status = 409, description = "`USERNAME_TAKEN` or `EMAIL_TAKEN`", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
        (status = 503, description = "`UNAVAILABLE`", body = ErrorBody),
    )
)]
pub(in crate::http) async fn register(
    State(state): State<RestState>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<RegisterBody>,
) -> Result<Response, ApiError> {
    let mut problems = Problems::default();
    let username = problems.required("username", body.username);
    let email = problems.required("email", body.email);
    let password = problems.required("password", body.password);
    let display_name = problems.optional("displayName", body.display_name);
    problems.check()?;
    let register = Register {
        username: username.unwrap_or_default(),
        email: email.unwrap_or_default(),
        password: password.unwrap_or_default().into(),
        display_name,
        user_agent: user_agent(&headers),
    };
    let registered = caller.run(&state, register).await?;
    answer(StatusCode::CREATED, &registered)
}

/// Name or address, and password.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct LoginBody {
    /// Either this or `email`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    username: Text,
    /// Either this or `username`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    email: Text,
    /// The password.
    #[serde(default)]
    #[schema(value_type = PasswordAttempt, required)]
    password: Text,
}

/// Log in (S-053).
#[utoipa::path(
    post, path = "/api/auth/login", tag = "auth", request_body = LoginBody,
    responses(
        (status = 200, description = "Logged in", body = LoggedIn),
        (status = 400, description = "`VALIDATION`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED`: unknown name or wrong password", body = ErrorBody),
        (status = 403, description = "`ACCOUNT_SUSPENDED`", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
        (status = 503, description = "`UNAVAILABLE`", body = ErrorBody),
    )
)]
pub(in crate::http) async fn login(
    State(state): State<RestState>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<LoginBody>,
) -> Result<Response, ApiError> {
    let mut problems = Problems::default();
    let email = problems.optional("email", body.email);
    let username = match &email {
        Some(_) => problems.optional("username", body.username),
        None => problems.required("username", body.username),
    };
    let password = problems.required("password", body.password);
    problems.check()?;
    let login = Login {
        login: username.or(email).unwrap_or_default(),
        password: password.unwrap_or_default().into(),
        user_agent: user_agent(&headers),
    };
    let logged_in = caller.run(&state, login).await?;
    answer(StatusCode::OK, &logged_in)
}

/// A refresh token.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RefreshBody {
    /// As it was given.
    #[serde(default)]
    #[schema(value_type = String, required)]
    refresh_token: Text,
}

/// Take a refresh token for new tokens (S-055). The one just replaced is answered with the current one for 30 seconds;
/// an older one ends the session.
#[utoipa::path(
    post, path = "/api/auth/refresh", tag = "auth", request_body = RefreshBody,
    responses(
        (status = 200, description = "New tokens", body = Tokens),
        (status = 400, description = "`VALIDATION`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED`: the token is worth nothing", body = ErrorBody),
        (status = 403, description = "`ACCOUNT_SUSPENDED`", body = ErrorBody),
        (status = 429, description = "`RATE_LIMITED`", body = ErrorBody),
    )
)]
pub(in crate::http) async fn refresh(
    State(state): State<RestState>,
    caller: Caller,
    Json(body): Json<RefreshBody>,
) -> Result<Response, ApiError> {
    let mut problems = Problems::default();
    let token = problems.required("refreshToken", body.refresh_token);
    problems.check()?;
    let refresh = Refresh {
        refresh_token: token.unwrap_or_default().into(),
    };
    match caller.run(&state, refresh).await? {
        Refreshed::Tokens(tokens) => answer(StatusCode::OK, &tokens),
        Refreshed::Refused => Err(Error::Unauthenticated("the refresh token is not valid").into()),
    }
}

/// End the session, or with `all=true` every session of the user (S-054). Without a valid access token the body names
/// the session by its refresh token. Again is fine.
#[utoipa::path(
    post, path = "/api/auth/logout", tag = "auth", request_body = Option<RefreshBody>,
    params(("all" = Option<bool>, Query, description = "Every session")),
    responses(
        (status = 204, description = "Ended"),
        (status = 400, description = "`VALIDATION`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
    ),
    security(("bearer" = []), ())
)]
pub(in crate::http) async fn logout(
    State(state): State<RestState>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    MaybeJson(body): MaybeJson<RefreshBody>,
) -> Result<StatusCode, ApiError> {
    let mut problems = Problems::default();
    let all = query.flag("all", &mut problems);
    let token = problems.optional("refreshToken", body.unwrap_or_default().refresh_token);
    problems.check()?;
    let refused = match caller.identity() {
        Identity::Refused(_) if has_ended(&state, &headers) => return Ok(StatusCode::NO_CONTENT),
        Identity::Unknown => return Err(Error::Unavailable(None).into()),
        Identity::Expired => Some(Error::TokenExpired),
        Identity::Refused(why) => Some(Error::Unauthenticated(why)),
        Identity::User(_) | Identity::Anonymous => None,
    };
    if let (Some(refused), None) = (refused, &token) {
        return Err(refused.into());
    }
    let logout = Logout {
        refresh_token: token.map(Into::into),
        all,
    };
    caller.run(&state, logout).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether a refused access token is good but for its session, which has ended.
fn has_ended(state: &RestState, headers: &HeaderMap) -> bool {
    matches!(bearer_token(headers), Ok(Some(token)) if state.live.verify_signature(token).is_ok())
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    headers.get(USER_AGENT)?.to_str().ok().map(str::to_owned)
}
