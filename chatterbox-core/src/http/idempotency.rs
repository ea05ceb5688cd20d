//! `Idempotency-Key`: by it a retry is known (SPEC.md section 1).

use http::HeaderMap;

use super::field::Problems;
use crate::domain::rule::Rule;

/// The key, given once; what it may hold is the use case's affair.
pub(super) fn idempotency_key(headers: &HeaderMap, problems: &mut Problems) -> Option<String> {
    let mut values = headers.get_all("idempotency-key").iter();
    let value = values.next()?;
    if values.next().is_some() {
        problems.add("Idempotency-Key", Rule::Ambiguous);
        return None;
    }
    let text = value.to_str().ok();
    if text.is_none() {
        problems.add("Idempotency-Key", Rule::Characters);
    }
    text.map(str::to_owned)
}
