//! What somebody looks for in messages: words, and nothing of any query language (S-133, THREATS.md E2).

use super::limits::{SEARCH_CHARS_MAX, SEARCH_TERMS_MAX};
use super::text::fold;
use super::words;

/// Words to look for: 1 to [`SEARCH_TERMS_MAX`], folded. The last one may be the beginning of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms(Vec<String>);

/// Why a text can't be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// It has no letter and no digit.
    #[error("must hold a letter or a digit")]
    Nothing,
    /// Over [`SEARCH_CHARS_MAX`].
    #[error("at most 256 code points")]
    TooLong,
    /// Over [`SEARCH_TERMS_MAX`].
    #[error("at most 8 words")]
    TooMany,
    /// One letter of an alphabet would find next to everything (THREATS.md G7).
    #[error("at least 2 letters")]
    TooShort,
}

impl Terms {
    /// The words of a text. Whatever is neither letter nor digit separates them: there are no operators.
    pub fn parse(text: &str) -> Result<Terms, TermsError> {
        if text.len() > 4 * SEARCH_CHARS_MAX || text.chars().count() > SEARCH_CHARS_MAX {
            return Err(TermsError::TooLong);
        }
        let folded = fold(text);
        let words = folded.split(|c: char| !c.is_alphanumeric());
        let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
        match words.as_slice() {
            [] => Err(TermsError::Nothing),
            // Of other scripts, one character may be a word.
            [one] if one.len() == 1 => Err(TermsError::TooShort),
            all if all.len() > SEARCH_TERMS_MAX => Err(TermsError::TooMany),
            _ => Ok(Terms(words)),
        }
    }

    /// The words.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// Where a text has the words, as `[start, end)` in code points, in order.
    pub fn highlights(&self, text: &str) -> Vec<(usize, usize)> {
        let mut places = Vec::new();
        let mut word = String::new();
        let mut start = 0;
        // The end of the text ends its last word.
        for (at, c) in text.chars().chain([' ']).enumerate() {
            if words::is_in_word(c) {
                if word.is_empty() {
                    start = at;
                }
                word.push(c);
            } else if !word.is_empty() {
                if self.names(&word) {
                    places.push((start, at));
                }
                word.clear();
            }
        }
        places
    }

    /// Whether a run of letters and digits has one of the words, in the sense in which the search finds them.
    fn names(&self, run: &str) -> bool {
        let wanted = words::wanted(&self.0);
        let words = words::of(run);
        words
            .iter()
            .any(|word| wanted.iter().any(|wanted| wanted.is(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_133_a_query_is_words_and_operators_mean_nothing() {
        let eight = "ab ".repeat(8);
        let nine = "ab ".repeat(9);
        for (text, expected) in [
            ("Tea", Ok(&["tea"][..])),
            (" tea  TIME ", Ok(&["tea", "time"])),
            (
                "\"tea\" OR -time* NEAR(x)",
                Ok(&["tea", "or", "time", "near", "x"]),
            ),
            ("content:tea AND (a)", Ok(&["content", "tea", "and", "a"])),
            ("Straße", Ok(&["strasse"])),
            ("ｔｅａ", Ok(&["tea"])),
            ("茶", Ok(&["茶"])),
            ("a%_b", Ok(&["a", "b"])),
            (eight.as_str(), Ok(&["ab"; 8])),
            (nine.as_str(), Err(TermsError::TooMany)),
            ("a", Err(TermsError::TooShort)),
            ("", Err(TermsError::Nothing)),
            (" *\"'() ", Err(TermsError::Nothing)),
            (&"x".repeat(257), Err(TermsError::TooLong)),
        ] {
            let terms = Terms::parse(text);
            let words = terms.as_ref().map(Terms::words).map_err(|error| *error);
            assert_eq!(
                words.map(<[String]>::to_vec),
                expected.map(|words| words.iter().map(|one| (*one).to_owned()).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn s_133_highlights_are_places_in_code_points() {
        for (query, text, expected) in [
            ("tea", "Tea, more TEA!", &[(0, 3), (10, 13)][..]),
            ("te", "tea time", &[(0, 3)]),
            ("tea ti", "ti tea time teatime", &[(0, 2), (3, 6), (7, 11)]),
            ("strasse", "😀 Straße", &[(2, 8)]),
            ("brulee", "Crème brûlée", &[(6, 12)]),
            ("cafe", "cafe\u{301}s", &[(0, 6)]),
            ("猫", "我的猫 dog", &[(0, 3)]),
            ("tea", "coffee", &[]),
            ("tea", "", &[]),
        ] {
            let terms = Terms::parse(query).unwrap();
            assert_eq!(terms.highlights(text), expected, "{query} in {text}");
        }
    }
}
