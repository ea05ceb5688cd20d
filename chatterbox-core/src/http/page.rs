//! Pages of lists: `limit`, `cursor` and `page` in, `{items, limit, nextCursor, prevCursor, hasMore}` out
//! (SPEC.md section 1, Pagination).

use std::convert::Infallible;
use std::future::Future;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::field::{Problems, Word};
use super::state::RestState;
use crate::domain::limits::{PAGE_ITEMS, PAGE_ITEMS_DEFAULT, PAGE_NUMBER};
use crate::domain::rule::Rule;
use crate::error::Error;

/// A query string, decoded once. Names nobody asks for are ignored.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    fn parse(query: Option<&str>) -> Query {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Query(pairs.into_owned().collect())
    }

    /// A parameter; given twice it is refused, since proxies and frameworks differ in which one they see.
    pub(super) fn one(&self, name: &'static str, problems: &mut Problems) -> Option<&str> {
        let mut values = self
            .0
            .iter()
            .filter(|(given, _)| given == name)
            .map(|(_, value)| value.as_str());
        let value = values.next()?;
        if values.next().is_some() {
            problems.add(name, Rule::Ambiguous);
            return None;
        }
        Some(value)
    }

    /// `limit`, and where the page begins, for lists that are asked for by nothing else.
    pub(super) fn limit_and_place(&self) -> Result<(usize, Place<'_>), Error> {
        let mut problems = Problems::default();
        let limit = self.limit(&mut problems);
        let place = self.place(&mut problems);
        problems.check()?;
        Ok((limit, place))
    }

    /// `cursor`, or instead of it `page`.
    pub(super) fn place(&self, problems: &mut Problems) -> Place<'_> {
        let page = self.page(problems);
        let cursor = self.one("cursor", problems);
        if page.is_some() && cursor.is_some() {
            problems.add("page", Rule::Ambiguous);
        }
        Place {
            cursor,
            page: page.unwrap_or(1),
        }
    }

    /// A word out of a few, or a moment.
    pub(super) fn word<T: Word>(&self, name: &'static str, problems: &mut Problems) -> Option<T> {
        let word = T::read(self.one(name, problems)?);
        if word.is_none() {
            problems.add(name, Rule::Format);
        }
        word
    }

    /// `true`, `false`, or missing, which is false.
    pub(super) fn flag(&self, name: &'static str, problems: &mut Problems) -> bool {
        match self.one(name, problems) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                problems.add(name, Rule::Type("boolean"));
                false
            }
        }
    }

    /// `page`, from 1, for older clients.
    pub(super) fn page(&self, problems: &mut Problems) -> Option<usize> {
        let text = self.one("page", problems)?;
        let page = positive(text).filter(|page| PAGE_NUMBER.contains(page));
        if page.is_none() {
            let (min, max) = (*PAGE_NUMBER.start(), *PAGE_NUMBER.end());
            problems.add("page", Rule::Range { min, max });
        }
        page
    }

    /// `limit`: 50 if missing, at most 100 however much is asked for.
    pub(super) fn limit(&self, problems: &mut Problems) -> usize {
        match self.one("limit", problems) {
            None => PAGE_ITEMS_DEFAULT,
            Some(text) => positive(text).map_or_else(
                || {
                    let (min, max) = (*PAGE_ITEMS.start(), *PAGE_ITEMS.end());
                    problems.add("limit", Rule::Range { min, max });
                    PAGE_ITEMS_DEFAULT
                },
                |limit| limit.min(*PAGE_ITEMS.end()),
            ),
        }
    }
}

/// Where a page begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The cursor of the page before.
    pub(super) cursor: Option<&'a str>,
    /// Which page from there, for older clients; from 1.
    pub(super) page: usize,
}

/// What turning to a page has led to.
pub(super) enum Turned<T, P> {
    /// The page, and where the next one begins.
    To(T, Option<P>),
    /// There are fewer pages; this is the last.
    Beyond(T),
}

/// Reads the page of this number from `at` on. Numbers are for older clients, and few: what lies before is read over.
pub(super) async fn turn_to<T, P, F>(
    page: usize,
    mut at: Option<P>,
    read: impl Fn(Option<P>) -> F,
) -> Result<Turned<T, P>, Error>
where
    F: Future<Output = Result<(T, Option<P>), Error>>,
{
    for _ in 1..page {
        let (found, next) = read(at).await?;
        if next.is_none() {
            return Ok(Turned::Beyond(found));
        }
        at = next;
    }
    let (found, next) = read(at).await?;
    Ok(Turned::To(found, next))
}

impl FromRequestParts<RestState> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &RestState) -> Result<Query, Infallible> {
        Ok(Query::parse(parts.uri.query()))
    }
}

/// What every list can be asked for, as the API's document has it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "names the parameters; `Query` reads them")]
pub(super) struct PageParams {
    /// Items of a page, 1 to 100 (50); more is clamped
    limit: Option<usize>,
    /// `nextCursor` of the page before
    cursor: Option<String>,
    /// For older clients, 1 to 20, instead of a cursor
    page: Option<usize>,
}

/// A whole number from 1; too many digits count as very much.
pub(super) fn positive(text: &str) -> Option<usize> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = text.parse().unwrap_or(usize::MAX);
    (number > 0).then_some(number)
}

/// One page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    /// The items, in the list's order.
    pub(super) items: Vec<T>,
    /// How many a page holds at most: what was asked for, clamped.
    pub(super) limit: usize,
    /// Where the list goes on; `null` at its end.
    pub(super) next_cursor: Option<String>,
    /// Where the page before begins; `null` where the list can't be read backwards, or at its beginning.
    pub(super) prev_cursor: Option<String>,
    /// Whether there are items behind this page.
    pub(super) has_more: bool,
}

impl<T> Page<T> {
    /// A page of a list that is read forward only, and which goes on where `next_cursor` says.
    pub(super) fn new(items: Vec<T>, limit: usize, next_cursor: Option<String>) -> Page<T> {
        Page {
            items,
            limit,
            has_more: next_cursor.is_some(),
            next_cursor,
            prev_cursor: None,
        }
    }
}

impl Page<()> {
    /// What is behind the last page.
    pub(super) fn beyond(limit: usize) -> Page<()> {
        Page::new(Vec::new(), limit, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edge_22_limits_are_clamped_or_refused() {
        for (query, expected) in [
            (None, Some(50)),
            (Some(""), Some(50)),
            (Some("limit=1"), Some(1)),
            (Some("limit=100"), Some(100)),
            (Some("limit=101"), Some(100)),
            (Some("limit=1000000000"), Some(100)),
            (Some("limit=99999999999999999999999999"), Some(100)),
            (Some("limit=%35"), Some(5)),
            (Some("other[$gt]=1&limit=5"), Some(5)),
            (Some("limit=0"), None),
            (Some("limit=-1"), None),
            (Some("limit=1e9"), None),
            (Some("limit=abc"), None),
            (Some("limit="), None),
            (Some("limit=1.5"), None),
            (Some("limit=%2535"), None),
            (Some("limit=5&limit=6"), None),
        ] {
            let mut problems = Problems::default();
            let limit = Query::parse(query).limit(&mut problems);
            assert_eq!(problems.0.is_empty().then_some(limit), expected, "{query:?}");
        }
    }
}
