//! Finding people by what they are called (S-059).
//!
//! ```text
//! "Ann.Lee" ──▶ ann.lee · lee          a user is found by the beginning of any of these keys,
//! "Dr. Ann" ──▶ dr. ann · ann          which is one range of an index: nothing is scanned, no pattern is run
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::limits::USER_QUERY_CHARS;
use super::rule::Rule;
use super::text::{fold, is_default_ignorable};

/// No query is normalised from more bytes than this.
const INPUT_BYTES_MAX: usize = 1024;
/// Code points of a key: what folding adds beyond them is left away.
const KEY_CHARS_MAX: usize = *USER_QUERY_CHARS.end();

/// The folded beginning of a name that somebody looks for; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct UserQuery(String);

impl UserQuery {
    /// Takes a text literally: no character in it has a meaning (THREATS.md E2).
    pub fn parse(text: &str) -> Result<UserQuery, Rule> {
        let text = text.trim();
        if text.len() > INPUT_BYTES_MAX || !USER_QUERY_CHARS.contains(&text.chars().count()) {
            return Err(Rule::length(&USER_QUERY_CHARS));
        }
        let key = key(text);
        if key.is_empty() {
            // Characters nobody sees.
            return Err(Rule::length(&USER_QUERY_CHARS));
        }
        Ok(UserQuery(key))
    }

    /// What keys begin with.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserQuery {
    type Error = Rule;

    fn try_from(text: String) -> Result<UserQuery, Rule> {
        UserQuery::parse(&text)
    }
}

/// The keys that a user is found by: both names from each of their words on, folded.
pub fn search_keys(username: &str, display_name: Option<&str>) -> BTreeSet<String> {
    [Some(username), display_name]
        .into_iter()
        .flatten()
        .flat_map(|name| {
            let name = folded(name);
            let starts = word_starts(&name);
            starts.into_iter().map(|at| cut(&name[at..])).collect::<Vec<_>>()
        })
        .collect()
}

/// Where words begin: at the name's first character, and at each letter or digit behind something else.
fn word_starts(name: &str) -> Vec<usize> {
    let mut in_word = false;
    let mut starts = Vec::new();
    for (at, c) in name.char_indices() {
        let is_part = c.is_alphanumeric();
        if at == 0 || (is_part && !in_word) {
            starts.push(at);
        }
        in_word = is_part || (in_word && unicode_normalization::char::is_combining_mark(c));
    }
    starts
}

fn key(text: &str) -> String {
    cut(&folded(text))
}

/// Case-folded, without what can't be seen, with single blanks between words.
fn folded(text: &str) -> String {
    let seen: String = text.chars().filter(|c| !is_default_ignorable(*c)).collect();
    let words: Vec<String> = fold(&seen).split_whitespace().map(str::to_owned).collect();
    words.join(" ")
}

fn cut(text: &str) -> String {
    text.chars().take(KEY_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_059_a_user_is_found_by_the_beginning_of_each_word_of_both_names() {
        for (username, display_name, expected) in [
            ("ann", None, vec!["ann"]),
            ("Ann.Lee_7", None, vec!["7", "ann.lee_7", "lee_7"]),
            ("ann", Some("Ann"), vec!["ann"]),
            (
                "ann",
                Some("Dr.  Ann Lee"),
                vec!["ann", "ann lee", "dr. ann lee", "lee"],
            ),
            ("strasse", Some("STRAßE"), vec!["strasse"]),
            ("ＡＮＮ", Some("a\u{200d}nn"), vec!["ann"]),
            ("ann", Some("★ star"), vec!["ann", "star", "★ star"]),
            ("ann", Some("अनुराग"), vec!["ann", "अनुराग"]),
        ] {
            let keys = search_keys(username, display_name);
            assert_eq!(
                keys.iter().collect::<Vec<_>>(),
                expected,
                "{username:?} {display_name:?}"
            );
        }
    }

    #[test]
    fn s_059_keys_are_bounded_whatever_the_names_are() {
        let long = "ΐ ".repeat(32);
        let keys = search_keys(&"ΐ".repeat(32), Some(&long));
        assert!(keys.len() <= 33, "{}", keys.len());
        assert!(keys.iter().all(|key| key.chars().count() <= 64));
    }

    #[test]
    fn e2_a_query_is_taken_literally() {
        const LENGTH: Rule = Rule::Length { min: 1, max: 64 };
        for (text, expected) in [
            ("ann", Ok("ann")),
            ("  ANN  Lee ", Ok("ann lee")),
            ("%", Ok("%")),
            (".*", Ok(".*")),
            ("a\u{200b}nn", Ok("ann")),
            ("", Err(LENGTH)),
            ("   ", Err(LENGTH)),
            ("\u{200b}\u{202e}", Err(LENGTH)),
        ] {
            let query = UserQuery::parse(text);
            assert_eq!(
                query.as_ref().map(UserQuery::as_str).map_err(|rule| *rule),
                expected
            );
        }
        assert!(UserQuery::parse(&"ü".repeat(64)).is_ok());
        assert_eq!(UserQuery::parse(&"ü".repeat(65)), Err(LENGTH));
        assert_eq!(UserQuery::parse(&"a".repeat(1_000_000)), Err(LENGTH));
    }
}
