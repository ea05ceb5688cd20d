use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use crate::app::people::SearchUsers;
use crate::domain::user_search::UserQuery;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::Problems;
use crate::http::json::answer;
use crate::http::page::{Page, Query};
use crate::http::schema::UserQueryText;
use crate::http::state::RestState;
use crate::ids::UserId;
use crate::ports::storage::FoundAt;
use crate::views::PublicUser;

/// Bytes of a user's id at the beginning of a cursor's position; the key follows.
const ID_BYTES: usize = 12;

/// People one of whose names has a word that begins with `q`, in order of that word; and the one whose whole address
/// `q` is, if they allow it (S-059). Those who block the caller are left out.
#[utoipa::path(
    get, path = "/api/users", tag = "users",
    params(
        ("q" = UserQueryText, Query, description = "What to look for, literally, in any case"),
        ("limit" = Option<usize>, Query, description = "Items of a page, 1 to 100 (50); more is clamped"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<PublicUser>),
        (status = 400, description = "`VALIDATION` or `INVALID_CURSOR`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn search(
    State(state): State<RestState>,
    user: User,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(query.as_deref());
    let mut problems = Problems::default();
    let limit = query.limit(&mut problems);
    let cursor = query.one("cursor", &mut problems);
    let q = query.one("q", &mut problems).unwrap_or_default();
    let list = match UserQuery::parse(q) {
        Ok(parsed) => format!("users {}", parsed.as_str()),
        Err(rule) => {
            problems.add("q", rule);
            String::new()
        }
    };
    problems.check()?;
    let search = SearchUsers {
        q: q.to_owned(),
        after: cursor.map(|cursor| open(&state, &list, cursor)).transpose()?,
        limit,
    };
    let found = state.stack.run_as::<SearchUsers>(user.call(search)).await?;
    let page = Page {
        limit,
        next_cursor: found.next.as_ref().map(|next| seal(&state, &list, next)),
        prev_cursor: None,
        has_more: found.next.is_some(),
        items: found.items,
    };
    answer(StatusCode::OK, &page)
}

fn seal(state: &RestState, list: &str, at: &FoundAt) -> String {
    let mut position = at.user.as_bytes().to_vec();
    position.extend_from_slice(at.key.as_bytes());
    state.cursors.seal(list, &position)
}

fn open(state: &RestState, list: &str, cursor: &str) -> Result<FoundAt, Error> {
    let position = state
        .cursors
        .open(list, cursor)
        .map_err(|_| Error::InvalidCursor)?;
    let (id, key) = position
        .split_first_chunk::<ID_BYTES>()
        .ok_or(Error::InvalidCursor)?;
    Ok(FoundAt {
        key: std::str::from_utf8(key)
            .map_err(|_| Error::InvalidCursor)?
            .to_owned(),
        user: UserId::from_bytes(*id),
    })
}
