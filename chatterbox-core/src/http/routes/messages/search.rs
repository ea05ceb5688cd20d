use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::app::messages::{Hit, SearchMessages};
use crate::clock::Timestamp;
use crate::domain::rule::Rule;
use crate::error::Error;
use crate::http::auth::User;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::field::{Problems, Word};
use crate::http::json::answer;
use crate::http::page::{Page, Query, Turned, turn_to};
use crate::http::state::RestState;
use crate::ids::{ConversationId, EntryId, UserId};

/// Find messages in everything one can see now, newest first (S-133).
#[utoipa::path(
    get, path = "/api/search/messages", tag = "messages",
    params(
        ("q" = String, Query, description = "1 to 8 words, each of which must occur; of the last one a beginning \
            suffices. Letters and digits count, and case doesn't; there are no operators"),
        ("in" = Option<ConversationId>, Query, description = "Only in this conversation"),
        ("from" = Option<UserId>, Query, description = "Only of this author"),
        ("before" = Option<String>, Query, description = "Only older than this message id or RFC 3339 time"),
        ("has" = Option<String>, Query, description = "`link`: only messages that link somewhere"),
        ("limit" = Option<usize>, Query, description = "Items of a page, 1 to 100 (50); more is clamped"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before, for the same search"),
        ("page" = Option<usize>, Query, description = "For older clients, 1 to 20, instead of a cursor"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<Hit<'_>>),
        (status = 400, description = "`VALIDATION`, `INVALID_ID`, `INVALID_CURSOR` or `QUERY_TOO_COSTLY`", body = ErrorBody),
        (status = 401, description = "`UNAUTHENTICATED` or `TOKEN_EXPIRED`", body = ErrorBody),
        (status = 404, description = "`NOT_FOUND`: the conversation of `in`", body = ErrorBody),
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
    let q = query.one("q", &mut problems);
    if q.is_none() {
        problems.add("q", Rule::Required);
    }
    let place = query.place(&mut problems);
    let [within, from, before, has] =
        ["in", "from", "before", "has"].map(|name| query.one(name, &mut problems));
    if has.is_some_and(|has| has != "link") {
        problems.add("has", Rule::Format);
    }
    problems.check()?;
    // A cursor goes on with the search that it came from.
    let asked = (q, within, from, before, has);
    let list = format!("search {asked:?}");
    let before = match state.open(&list, place.cursor)? {
        Some(reached) => Some(reached),
        None => before.map(moment).transpose()?,
    };
    let state = &state;
    let read = |before| {
        let search = SearchMessages {
            q: q.unwrap_or_default().to_owned(),
            within: within.map(str::to_owned),
            from: from.map(str::to_owned),
            before,
            has_link: has.is_some(),
            limit,
        };
        async move {
            let found = user.run(state, search).await?;
            let next = found.next;
            Ok((found, next))
        }
    };
    match turn_to(place.page, before, read).await? {
        Turned::Beyond(_) => answer(StatusCode::OK, &Page::beyond(limit)),
        Turned::To(found, next) => {
            let next = next.map(|id| state.seal(&list, &id));
            answer(StatusCode::OK, &Page::new(found.items().collect(), limit, next))
        }
    }
}

/// The id of a message, or the lowest id of a moment: ids begin with their second.
fn moment(text: &str) -> Result<EntryId, Error> {
    if text.len() == 24 && !text.contains(':') {
        return text.parse().map_err(|_| Error::InvalidId("before"));
    }
    let time =
        Timestamp::read(text).ok_or_else(|| Error::invalid("before", "a message id or an RFC 3339 time"))?;
    let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&seconds.to_be_bytes());
    Ok(EntryId::from_bytes(bytes))
}
