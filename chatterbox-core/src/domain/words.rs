//! The words that messages are found by (S-133): the same in every store, so that each finds the same.
//!
//! A word is a run of letters and digits, folded and without accents. Scripts that put no spaces between words (Chinese,
//! Japanese, Thai, …) are cut into overlapping pairs of characters instead, and the last character stands alone as
//! well, so that every single character begins one of these "words":
//!
//! ```text
//! "Crème brûlée, 3×"   creme · brulee · 3
//! "我的猫"              我的 · 的猫 · 猫
//! ```

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::text;

/// The rest of a longer word is not looked at.
const WORD_CHARS_MAX: usize = 64;

/// A word to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Folded, of letters, digits and marks only.
    pub word: String,
    /// Whether it is enough that a word begins with it.
    pub beginning: bool,
}

impl Wanted {
    /// Whether this word of a text is meant.
    pub fn is(&self, word: &str) -> bool {
        if self.beginning {
            word.starts_with(&self.word)
        } else {
            word == self.word
        }
    }
}

/// The words of a text, in order.
pub fn of(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for piece in pieces(text) {
        match piece {
            Piece::Word(word) => words.push(word),
            Piece::Unspaced(chars) => {
                words.extend(pairs(&chars));
                words.extend(chars.last().map(char::to_string));
            }
        }
    }
    words
}

/// The words that a message must have so that it matches all `terms`; of the last one a beginning suffices. None at
/// all if the terms have no letter and no digit.
pub fn wanted(terms: &[String]) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (index, term) in terms.iter().enumerate() {
        let mut pieces = pieces(term).into_iter().peekable();
        while let Some(piece) = pieces.next() {
            let is_last = index + 1 == terms.len() && pieces.peek().is_none();
            match piece {
                Piece::Word(word) => wanted.push(Wanted {
                    word,
                    beginning: is_last,
                }),
                Piece::Unspaced(chars) if chars.len() == 1 => wanted.push(Wanted {
                    word: chars.into_iter().collect(),
                    beginning: true,
                }),
                Piece::Unspaced(chars) => wanted.extend(pairs(&chars).map(|word| Wanted {
                    word,
                    beginning: false,
                })),
            }
        }
    }
    wanted
}

/// Whether a text has all the words; false if there are none.
pub fn has_all(text: &str, wanted: &[Wanted]) -> bool {
    let words = of(text);
    !wanted.is_empty()
        && wanted
            .iter()
            .all(|wanted| words.iter().any(|word| wanted.is(word)))
}

enum Piece {
    Word(String),
    /// Never empty.
    Unspaced(Vec<char>),
}

/// Folded and without accents.
fn plain(text: &str) -> String {
    if text.is_ascii() {
        // The same without three passes of normalization, which cost more than the rest together.
        return text.to_ascii_lowercase();
    }
    let folded = text::fold(text);
    folded.nfd().filter(|char| !is_accent(*char)).nfc().collect()
}

fn pieces(text: &str) -> Vec<Piece> {
    let plain = plain(text);
    let mut pieces = Vec::new();
    let mut was_in_word = false;
    let mut chars_in_word = 0;
    for char in plain.chars() {
        let is_in_word = is_in_word(char);
        match pieces.last_mut() {
            _ if !is_in_word => {}
            Some(Piece::Unspaced(chars)) if was_in_word && is_unspaced(char) => chars.push(char),
            Some(Piece::Word(word)) if was_in_word && !is_unspaced(char) => {
                if chars_in_word < WORD_CHARS_MAX {
                    word.push(char);
                    chars_in_word += 1;
                }
            }
            _ if is_unspaced(char) => pieces.push(Piece::Unspaced(vec![char])),
            _ => {
                pieces.push(Piece::Word(char.into()));
                chars_in_word = 1;
            }
        }
        was_in_word = is_in_word;
    }
    pieces
}

/// Whether a character belongs to a word: letters, digits, and the marks on them.
pub fn is_in_word(char: char) -> bool {
    char.is_alphanumeric() || is_combining_mark(char)
}

fn pairs(chars: &[char]) -> impl Iterator<Item = String> {
    chars.windows(2).map(|pair| pair.iter().collect())
}

/// Marks that people leave out when they search: accents, Hebrew points, Arabic vowels.
fn is_accent(char: char) -> bool {
    matches!(char, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{64b}'..='\u{65f}')
}

/// Han, kana, Thai, Lao, Burmese, Khmer.
fn is_unspaced(char: char) -> bool {
    matches!(char,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_into_words() {
        // S-133.
        for (text, expected) in [
            ("Crème brûlée, 3×", vec!["creme", "brulee", "3"]),
            ("STRASSE straße", vec!["strasse", "strasse"]),
            ("don't foo_bar-baz", vec!["don", "t", "foo", "bar", "baz"]),
            ("ｆｕｌｌ Ⅳ", vec!["full", "iv"]),
            ("Й й", vec!["и", "и"]),
            ("我的猫", vec!["我的", "的猫", "猫"]),
            ("東京tower 猫", vec!["東京", "京", "tower", "猫"]),
            ("한국어 검색", vec!["한국어", "검색"]),
            ("हिन्दी", vec!["हिन्दी"]),
            ("👍 — \" * ( )", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(of(&"x".repeat(5_000)), ["x".repeat(WORD_CHARS_MAX)]);
    }

    #[test]
    fn terms_find_what_has_them_all() {
        // S-133: every term, the last one from its beginning.
        let text = "The quick brown fox を見た cafés 我的猫";
        for (terms, expected) in [
            (&["quick"][..], true),
            (&["qui"], true),
            (&["qui", "fox"], false),
            (&["fox", "qui"], true),
            (&["FOX", "Brown"], true),
            (&["uick"], false),
            (&["cafe"], true),
            (&["cafés", "the"], true),
            (&["café", "the"], false),
            (&["brown-fox"], true),
            (&["brown-cat"], false),
            (&["猫"], true),
            (&["猫", "fox"], true),
            (&["的猫"], true),
            (&["我的猫"], true),
            (&["我猫"], false),
            (&["AND", "fox"], false),
            (&["*"], false),
            (&[], false),
        ] {
            let terms: Vec<String> = terms.iter().map(|term| (*term).to_owned()).collect();
            assert_eq!(has_all(text, &wanted(&terms)), expected, "{terms:?}");
        }
    }
}
