//! A JSON tokenizer that checks the grammar and never builds a tree.
//!
//! ```text
//! ["chat",{"text":"hi"},7]
//! ^ArrayStart
//!  ^String  ^ObjectStart, Key, String, ObjectEnd
//!                       ^Number, ArrayEnd
//! ```
//!
//! Payloads pass through the engine as text, so all it needs to know is that the text is JSON, where the arguments
//! begin and end, and where placeholders stand. One pass, no recursion and no allocation: the nesting is a bit per
//! level. Deeper than [`DEPTH_MAX`] levels is refused (PROTOCOL.md section 13).
//!
//! Two things that JavaScript writes and strict parsers refuse are taken here (PROTOCOL.md section 8): numbers beyond
//! the range of a double (`1e400`) are grammar like any other, and a lone surrogate escape (`"\ud83d"`, a cut emoji)
//! is reported by [`Scanner::saw_lone_surrogate`], for [`repair`](super::escape::repair) to turn it into U+FFFD.

use super::Malformed;
use super::escape::Escape;

/// Levels of arrays and objects, the array of arguments included.
pub const DEPTH_MAX: u32 = 128;

/// One piece of the text; [`Scanner::token_start`] and [`Scanner::position`] say where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    /// A string in front of a colon; the colon is consumed with it.
    Key,
    String,
    Number,
    True,
    False,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    CommaOrEnd,
    Nothing,
}

/// Reads one JSON value with white space around it, to the end of the text.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    token_start: usize,
    token_end: usize,
    expect: Expect,
    depth: u32,
    /// Bit n is set if level n + 1 is an object; [`DEPTH_MAX`] bits.
    objects: u128,
    lone_surrogate: bool,
}

impl<'a> Scanner<'a> {
    /// At byte `from` of `text`.
    pub(super) fn new(text: &'a str, from: usize) -> Scanner<'a> {
        Scanner {
            text: text.as_bytes(),
            at: from,
            token_start: from,
            token_end: from,
            expect: Expect::Value,
            depth: 0,
            objects: 0,
            lone_surrogate: false,
        }
    }

    /// First byte of the last token.
    pub(super) fn token_start(&self) -> usize {
        self.token_start
    }

    /// Behind the last token (of a key: behind its closing quote).
    pub(super) fn token_end(&self) -> usize {
        self.token_end
    }

    /// Whether a string so far held half of a surrogate pair as an escape.
    pub(super) fn saw_lone_surrogate(&self) -> bool {
        self.lone_surrogate
    }

    /// The next token; `None` at the end of the text.
    pub(super) fn next(&mut self) -> Result<Option<Token>, Malformed> {
        self.skip_white_space();
        if self.expect == Expect::CommaOrEnd && self.peek() == Some(b',') {
            self.at += 1;
            self.expect = if self.in_object() {
                Expect::Key
            } else {
                Expect::Value
            };
            self.skip_white_space();
        }
        self.token_start = self.at;
        let Some(byte) = self.peek() else {
            return if self.expect == Expect::Nothing {
                Ok(None)
            } else {
                Err(Malformed::Json)
            };
        };
        let token = match (self.expect, byte) {
            (Expect::CommaOrEnd | Expect::KeyOrEnd, b'}') if self.in_object() => self.leave(Token::ObjectEnd),
            (Expect::CommaOrEnd | Expect::ValueOrEnd, b']') if !self.in_object() => {
                self.leave(Token::ArrayEnd)
            }
            (Expect::Key | Expect::KeyOrEnd, b'"') => self.key()?,
            (Expect::Value | Expect::ValueOrEnd, _) => self.value(byte)?,
            (Expect::Key | Expect::KeyOrEnd | Expect::CommaOrEnd | Expect::Nothing, _) => {
                return Err(Malformed::Json);
            }
        };
        if token != Token::Key {
            self.token_end = self.at;
        }
        Ok(Some(token))
    }

    /// Consumes the rest of the value that `first` began, and returns the end of it.
    pub(super) fn finish_value(&mut self, first: Token) -> Result<usize, Malformed> {
        if matches!(first, Token::ArrayStart | Token::ObjectStart) {
            let outside = self.depth - 1;
            while self.depth > outside {
                self.next()?;
            }
        }
        Ok(self.token_end)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn in_object(&self) -> bool {
        self.depth > 0 && self.objects >> (self.depth - 1) & 1 == 1
    }

    fn enter(&mut self, token: Token, expect: Expect) -> Result<Token, Malformed> {
        if self.depth == DEPTH_MAX {
            return Err(Malformed::TooDeep);
        }
        let bit = 1 << self.depth;
        if token == Token::ObjectStart {
            self.objects |= bit;
        } else {
            self.objects &= !bit;
        }
        self.depth += 1;
        self.at += 1;
        self.expect = expect;
        Ok(token)
    }

    fn leave(&mut self, token: Token) -> Token {
        self.depth -= 1;
        self.at += 1;
        self.after_value();
        token
    }

    fn after_value(&mut self) {
        self.expect = if self.depth == 0 {
            Expect::Nothing
        } else {
            Expect::CommaOrEnd
        };
    }

    fn key(&mut self) -> Result<Token, Malformed> {
        self.string()?;
        self.token_end = self.at;
        self.skip_white_space();
        if self.peek() != Some(b':') {
            return Err(Malformed::Json);
        }
        self.at += 1;
        self.expect = Expect::Value;
        Ok(Token::Key)
    }

    fn value(&mut self, first: u8) -> Result<Token, Malformed> {
        let token = match first {
            b'{' => return self.enter(Token::ObjectStart, Expect::KeyOrEnd),
            b'[' => return self.enter(Token::ArrayStart, Expect::ValueOrEnd),
            b'"' => {
                self.string()?;
                Token::String
            }
            b't' => self.word("true", Token::True)?,
            b'f' => self.word("false", Token::False)?,
            b'n' => self.word("null", Token::Null)?,
            _ => {
                self.number()?;
                Token::Number
            }
        };
        self.after_value();
        Ok(token)
    }

    fn word(&mut self, word: &str, token: Token) -> Result<Token, Malformed> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(Malformed::Json);
        }
        self.at += word.len();
        Ok(token)
    }

    fn number(&mut self) -> Result<(), Malformed> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == from {
            Err(Malformed::Json)
        } else {
            Ok(())
        }
    }

    /// From the opening to behind the closing quote.
    fn string(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let plain = rest
                .iter()
                .position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            self.at += plain.ok_or(Malformed::Json)?;
            match self.text[self.at] {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    let escape = Escape::at(&self.text[self.at..]).ok_or(Malformed::Json)?;
                    self.lone_surrogate |= escape == Escape::LoneSurrogate;
                    self.at += escape.len();
                }
                // JSON writes control characters as escapes; a raw 0x1E would split a polling body.
                _ => return Err(Malformed::Json),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::escape::repair;
    use super::*;

    /// Reads all of it; whether a lone surrogate was in it.
    fn scan(text: &str) -> Result<bool, Malformed> {
        let mut scanner = Scanner::new(text, 0);
        while scanner.next()?.is_some() {}
        Ok(scanner.saw_lone_surrogate())
    }

    #[test]
    fn the_grammar_is_that_of_json() {
        for text in [
            "0",
            "-0",
            "1.5e-7",
            "1e400",
            " [ ] ",
            "{}",
            "[[],{}]",
            "{\"a\":{\"b\":[1,2]}}",
            "\"\\u00e9\\n\\/\"",
            "\"\u{7f}\"",
            "true",
            "null",
            "[false,\"\u{1F600}\"]",
            "\t\r\n1 ",
        ] {
            assert_eq!(scan(text), Ok(false), "{text}");
        }
        for text in [
            "",
            " ",
            "01",
            "+1",
            ".5",
            "1.",
            "1e",
            "-",
            "[",
            "]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:2}",
            "{\"a\" 1}",
            "[1}",
            "{]",
            "tru",
            "nul",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\u{1e}\"",
            "\"\n\"",
            "1 2",
            "[] []",
            "NaN",
            "Infinity",
            "'a'",
            "/**/1",
            "{\"a\":1]",
        ] {
            assert_eq!(scan(text), Err(Malformed::Json), "{text}");
        }
    }

    #[test]
    fn nesting_ends_at_128_levels() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nest = |levels| format!("{}1{}", open.repeat(levels), close.repeat(levels));
            assert_eq!(scan(&nest(128)), Ok(false));
            assert_eq!(scan(&nest(129)), Err(Malformed::TooDeep));
            assert_eq!(scan(&open.repeat(100_000)), Err(Malformed::TooDeep));
        }
    }

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        for (text, repaired) in [
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\ude00""#, r#""\ufffd""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83dx""#, r#""\ufffdx""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#"{"\uDBFF":"\uDFFF\n"}"#, r#"{"\ufffd":"\ufffd\n"}"#),
        ] {
            assert_eq!(scan(text), Ok(text != repaired), "{text}");
            assert_eq!(repair(text), repaired);
            serde_json::from_str::<serde_json::Value>(repaired).unwrap();
        }
    }

    proptest! {
        /// serde_json is the oracle: what it takes we take, and what we take it takes, but for the three exceptions
        /// of the module's documentation.
        #[test]
        fn agrees_with_another_parser(text in "[\\[\\]{}\",:\\\\u0-9a-f.+\\- \netrulsn]{0,24}") {
            let ours = scan(&text);
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}: {:?} {:?}", text, ours, theirs);
        }

        #[test]
        fn any_value_passes(value in any_json()) {
            prop_assert_eq!(scan(&value.to_string()), Ok(false));
            prop_assert_eq!(scan(&serde_json::to_string_pretty(&value).unwrap()), Ok(false));
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
            ]
        })
    }
}
