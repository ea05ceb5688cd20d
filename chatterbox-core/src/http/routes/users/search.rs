use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::app::people::SearchUsers;
use crate::domain::user_search::UserQuery;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::Problems;
use crate::http::json::answer;
use crate::http::page::{Page, PageParams, Query, Turned, turn_to};
use crate::http::schema::UserQueryText;
use crate::http::state::RestState;
use crate::views::PublicUser;

/// People one of whose names has a word that begins with `q`, in order of that word; and the one whose whole address
/// `q` is, if they allow it (S-059). Those who block the caller are left out.
#[utoipa::path(
    get, path = "/api/users", tag = "users",
    params(
        ("q" = UserQueryText, Query, description = "What to look for, literally, in any case"),
        PageParams,
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
    query: Query,
) -> Result<Response, ApiError> {
    let mut problems = Problems::default();
    let limit = query.limit(&mut problems);
    let place = query.place(&mut problems);
    let q = query.one("q", &mut problems).unwrap_or_default();
    let list = match UserQuery::parse(q) {
        Ok(parsed) => format!("users {}", parsed.as_str()),
        Err(rule) => {
            problems.add("q", rule);
            String::new()
        }
    };
    problems.check()?;
    let state = &state;
    let read = |after| {
        let search = SearchUsers {
            q: q.to_owned(),
            after,
            limit,
        };
        async move {
            let found = user.run(state, search).await?;
            Ok((found.items, found.next))
        }
    };
    match turn_to(place.page, state.open(&list, place.cursor)?, read).await? {
        Turned::Beyond(_) => answer(StatusCode::OK, &Page::beyond(limit)),
        Turned::To(items, next) => {
            let next = next.map(|next| state.seal(&list, &next));
            answer(StatusCode::OK, &Page::new(items, limit, next))
        }
    }
}
