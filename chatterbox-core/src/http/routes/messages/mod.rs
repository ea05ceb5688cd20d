//! Messages of conversations: `/api/conversations/{id}/messages` and what is below, `/api/conversations/{id}/read`,
//! `/api/rooms/{name}/messages`, `/api/search/messages` (S-070, S-073, S-077, S-129 to S-133, S-138).

pub(in crate::http) mod history;
pub(in crate::http) mod one;
pub(in crate::http) mod reactions;
pub(in crate::http) mod reading;
pub(in crate::http) mod search;
pub(in crate::http) mod write;

use axum::response::Response;
use http::StatusCode;

use crate::app::messages::{GetMessage, MessageFound};
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::ApiError;
use crate::http::json::answer;
use crate::http::state::RestState;

/// The list of what there is about a message, whatever the case of its ids.
fn list_about(what: &str, conversation_id: &str, message_id: &str) -> String {
    format!(
        "{what} {} {}",
        conversation_id.to_ascii_lowercase(),
        message_id.to_ascii_lowercase()
    )
}

/// The message as it stands now.
async fn current(
    state: &RestState,
    user: User,
    (conversation_id, message_id): (String, String),
) -> Result<MessageFound, Error> {
    let get = GetMessage {
        conversation_id,
        message_id,
    };
    user.run(state, get).await
}

/// The same, as an answer.
async fn answer_current(state: &RestState, user: User, ids: (String, String)) -> Result<Response, ApiError> {
    answer(StatusCode::OK, &current(state, user, ids).await?)
}
