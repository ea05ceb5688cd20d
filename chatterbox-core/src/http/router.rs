//! All routes of the API. The OpenAPI document is checked against this list.

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use tower_http::catch_panic::CatchPanicLayer;

use super::error::ApiError;
use super::routes::{auth, conversations, health, messages, presence, rooms, users};
use super::state::RestState;
use super::{openapi, pipeline};
use crate::role::Role;

/// Method, path and handler of every route.
#[rustfmt::skip] // One line a route.
pub(super) fn routes() -> Vec<(&'static str, &'static str, MethodRouter<RestState>)> {
    vec![
        ("post", "/api/auth/register", post(auth::register)),
        ("post", "/api/auth/login", post(auth::login)),
        ("post", "/api/auth/logout", post(auth::logout)),
        ("post", "/api/auth/refresh", post(auth::refresh)),
        ("get", "/api/auth/me", get(auth::me)),
        ("put", "/api/auth/me", put(auth::update)),
        ("post", "/api/auth/change-password", post(auth::change_password)),
        ("get", "/api/auth/sessions", get(auth::sessions)),
        ("delete", "/api/auth/sessions", delete(auth::end_others)),
        ("delete", "/api/auth/sessions/{id}", delete(auth::end)),
        ("get", "/api/users", get(users::search)),
        ("get", "/api/users/blocked", get(users::blocked)),
        ("get", "/api/users/{id}", get(users::user)),
        ("put", "/api/users/{id}/block", put(users::block)),
        ("delete", "/api/users/{id}/block", delete(users::unblock)),
        ("get", "/api/users/{id}/presence", get(presence::one)),
        ("get", "/api/users/presence", get(presence::several)),
        ("get", "/api/rooms", get(rooms::list)),
        ("post", "/api/rooms", post(rooms::create)),
        ("get", "/api/rooms/{name}", get(rooms::one)),
        ("get", "/api/rooms/{name}/messages", get(messages::history::of_room)),
        ("get", "/api/conversations/{id}/messages", get(messages::history::of_conversation)),
        ("post", "/api/conversations/{id}/messages", post(messages::write::send)),
        ("get", "/api/conversations/{id}/messages/{message}", get(messages::one::get)),
        ("patch", "/api/conversations/{id}/messages/{message}", patch(messages::write::edit)),
        ("delete", "/api/conversations/{id}/messages/{message}", delete(messages::write::delete)),
        ("get", "/api/conversations/{id}/messages/{message}/thread", get(messages::one::thread)),
        ("get", "/api/conversations/{id}/messages/{message}/readers", get(messages::reading::readers)),
        ("put", "/api/conversations/{id}/messages/{message}/reactions/{emoji}", put(messages::reactions::add)),
        ("delete", "/api/conversations/{id}/messages/{message}/reactions/{emoji}", delete(messages::reactions::remove)),
        ("post", "/api/conversations/{id}/read", post(messages::reading::mark_read)),
        ("get", "/api/search/messages", get(messages::search::search)),
        ("get", "/api/conversations", get(conversations::list)),
        ("post", "/api/conversations/direct", post(conversations::direct)),
        ("post", "/api/conversations/group", post(conversations::group)),
        ("get", "/api/conversations/{id}", get(conversations::one)),
        ("put", "/api/conversations/{id}", put(conversations::update)),
        ("delete", "/api/conversations/{id}", delete(conversations::close)),
        ("get", "/api/conversations/{id}/participants", get(conversations::participants)),
        ("post", "/api/conversations/{id}/participants", post(conversations::add)),
        ("delete", "/api/conversations/{id}/participants/{userId}", delete(conversations::remove)),
        ("put", "/api/conversations/{id}/participants/{userId}/role", put(conversations::set_role)),
        ("post", "/api/conversations/{id}/join", post(conversations::join)),
        ("post", "/api/conversations/{id}/leave", post(conversations::leave)),
        ("put", "/api/conversations/{id}/bans/{userId}", put(conversations::ban)),
        ("delete", "/api/conversations/{id}/bans/{userId}", delete(conversations::unban)),
        ("post", "/api/conversations/{id}/invites", post(conversations::create_invite)),
        ("delete", "/api/conversations/{id}/invites", delete(conversations::revoke_invites)),
        ("get", "/api/invites/{token}", get(conversations::look_at_invite)),
        ("put", "/api/conversations/{id}/hidden", put(conversations::set_hidden)),
        ("put", "/api/conversations/{id}/notifications", put(conversations::set_notifications)),
        ("delete", "/api/rooms/{name}", delete(rooms::close)),
        ("get", "/api/health", get(health::report)),
        ("get", "/api/health/live", get(health::live)),
        ("get", "/api/health/ready", get(health::ready)),
        ("get", "/api/openapi.json", get(openapi::serve)),
    ]
}

/// The routes in their pipeline.
pub(super) fn router(state: RestState) -> Router {
    pipelined(with_routes(Router::new(), state.role), state)
}

fn with_routes(router: Router<RestState>, role: Role) -> Router<RestState> {
    routes()
        .into_iter()
        .filter(|(_, path, _)| role.serves_rest() || path.starts_with(HEALTH))
        .fold(router, |router, (_, path, handler)| router.route(path, handler))
}

fn pipelined(router: Router<RestState>, state: RestState) -> Router {
    let role = state.role;
    router
        .fallback(async move |request: Request| elsewhere(role, request.uri().path()))
        .method_not_allowed_fallback(async || ApiError::Method)
        .layer(from_fn_with_state(state.clone(), pipeline::gate))
        .layer(CatchPanicLayer::custom(pipeline::panicked))
        // Outside of what may refuse: a page must be able to read why.
        .layer(state.origins.layer())
        .layer(from_fn_with_state(state.clone(), pipeline::finish))
        .with_state(state)
}

/// What every process answers.
pub(super) const HEALTH: &str = "/api/health";

/// Why there is no such route: another process may have it (S-023).
fn elsewhere(role: Role, path: &str) -> ApiError {
    if !role.serves_rest() && path.starts_with("/api/") {
        ApiError::Elsewhere {
            role,
            what: "the REST API",
        }
    } else if !role.serves_sockets() && path.starts_with("/socket.io") {
        ApiError::Elsewhere {
            role,
            what: "sockets",
        }
    } else {
        ApiError::NoRoute
    }
}

/// The pipeline around a route that panics.
#[cfg(test)]
pub(super) fn panicking(state: RestState) -> Router {
    let route = get(async || -> &'static str { panic!("secret detail") });
    pipelined(Router::new().route("/api/panic", route), state)
}
