//! `/api/health`: S-082.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::http::error::{ApiError, out_of_service};
use crate::http::health::{HealthReport, HealthStatus};
use crate::http::json::answer;
use crate::http::state::RestState;

/// How the server is: 503 only when it can't accept writes (S-082).
#[utoipa::path(
    get, path = "/api/health", tag = "health",
    responses(
        (status = 200, description = "Writes are accepted", body = HealthReport),
        (status = 503, description = "They are not", body = HealthReport),
    )
)]
pub(in crate::http) async fn report(State(state): State<RestState>) -> Result<Response, ApiError> {
    let report = state.health.report().await;
    let response = answer(StatusCode::OK, &report)?;
    Ok(match report.status {
        HealthStatus::Ok | HealthStatus::Degraded => response,
        HealthStatus::Failing => out_of_service(response),
    })
}

/// Whether the process runs: else it should be started again.
#[utoipa::path(
    get, path = "/api/health/live", tag = "health",
    responses((status = 200, description = "It runs"))
)]
pub(in crate::http) async fn live() -> Result<Response, ApiError> {
    answer(StatusCode::OK, &json!({ "status": "ok" }))
}

/// Whether requests should be sent here.
#[utoipa::path(
    get, path = "/api/health/ready", tag = "health",
    responses(
        (status = 200, description = "Yes"),
        (status = 503, description = "Not now, or not any more"),
    )
)]
pub(in crate::http) async fn ready(State(state): State<RestState>) -> Result<Response, ApiError> {
    if state.health.is_ready().await {
        answer(StatusCode::OK, &json!({ "status": "ok" }))
    } else {
        Ok(out_of_service(answer(
            StatusCode::OK,
            &json!({ "status": "unavailable" }),
        )?))
    }
}
