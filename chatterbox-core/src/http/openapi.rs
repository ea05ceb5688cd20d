//! The OpenAPI document, made from the types that the routes read and write.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::error::ApiError;
use super::json::answer;
use super::routes;
use super::state::RestState;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ChatterBox",
        description = "The REST API. Refusals are `{error: {code, message, details?}, requestId}`; switch on the code. \
            Every answer carries `X-Request-Id`, and `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds until \
            the bucket is full).",
    ),
    paths(
        routes::auth::register,
        routes::auth::login,
        routes::auth::logout,
        routes::auth::refresh,
        routes::auth::me,
        routes::auth::update,
        routes::auth::change_password,
        routes::auth::sessions,
        routes::auth::end_others,
        routes::auth::end,
        routes::users::search,
        routes::users::blocked,
        routes::users::user,
        routes::users::block,
        routes::users::unblock,
        routes::presence::one,
        routes::presence::several,
        routes::rooms::list,
        routes::rooms::create,
        routes::rooms::one,
        routes::messages::history::of_room,
        routes::messages::history::of_conversation,
        routes::messages::write::send,
        routes::messages::write::edit,
        routes::messages::write::delete,
        routes::messages::one::get,
        routes::messages::one::thread,
        routes::messages::reactions::add,
        routes::messages::reactions::remove,
        routes::messages::reading::mark_read,
        routes::messages::reading::readers,
        routes::messages::search::search,
        routes::conversations::list,
        routes::conversations::direct,
        routes::conversations::group,
        routes::conversations::one,
        routes::conversations::update,
        routes::conversations::close,
        routes::conversations::participants,
        routes::conversations::add,
        routes::conversations::remove,
        routes::conversations::set_role,
        routes::conversations::join,
        routes::conversations::leave,
        routes::conversations::ban,
        routes::conversations::unban,
        routes::conversations::create_invite,
        routes::conversations::revoke_invites,
        routes::conversations::look_at_invite,
        routes::conversations::set_hidden,
        routes::conversations::set_notifications,
        routes::rooms::close,
        routes::health::report,
        routes::health::live,
        routes::health::ready,
        serve,
    ),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "about", responses((status = 200, description = "This document")))]
pub(super) async fn serve(State(_): State<RestState>) -> Result<Response, ApiError> {
    answer(StatusCode::OK, &document())
}
