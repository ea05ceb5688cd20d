//! `{"_placeholder":true,"num":0}`: where an attachment belongs within the JSON of a binary packet (PROTOCOL.md
//! section 9).

use std::ops::Range;

use super::Malformed;
use super::json::{Scanner, Token};

/// One placeholder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placeholder {
    /// Its bytes, from `{` to `}`.
    pub(super) at: Range<usize>,
    /// Index of the attachment.
    pub(super) num: u8,
}

/// The placeholders of `json` in the order of the text, outermost ones only, each with `num < count`.
///
/// An object is a placeholder if its `_placeholder` is `true`, whatever else it holds, as the reference client sees
/// it. A `num` that is no index of an attachment is refused: taken unchecked, `"splice"` gave a function
/// (CVE-2022-2421).
pub(super) fn find(json: &str, count: u8) -> Result<Vec<Placeholder>, Malformed> {
    let mut found: Vec<Placeholder> = Vec::new();
    let mut scanner = Scanner::new(json, 0);
    let mut open: Vec<Candidate> = Vec::new();
    while let Some(token) = scanner.next()? {
        let text = &json[scanner.token_start()..scanner.token_end()];
        match token {
            Token::Key => {
                if let Some(object) = open.last_mut() {
                    object.field = Field::named(text);
                }
            }
            Token::ObjectStart => {
                note_value(&mut open, token, text);
                open.push(Candidate {
                    start: scanner.token_start(),
                    ..Candidate::default()
                });
            }
            // An array between an object and its inner values hides them from it.
            Token::ArrayStart => {
                note_value(&mut open, token, text);
                open.push(Candidate::default());
            }
            Token::ArrayEnd => {
                open.pop();
            }
            Token::ObjectEnd => {
                let Some(object) = open.pop() else { continue };
                if object.marked {
                    let num = object
                        .num
                        .filter(|num| *num < count)
                        .ok_or(Malformed::Placeholder)?;
                    // Those inside of it go with it; they are the last ones found.
                    while found.last().is_some_and(|inner| inner.at.start > object.start) {
                        found.pop();
                    }
                    found.push(Placeholder {
                        at: object.start..scanner.token_end(),
                        num,
                    });
                }
            }
            Token::String | Token::Number | Token::True | Token::False | Token::Null => {
                note_value(&mut open, token, text);
            }
        }
    }
    Ok(found)
}

/// An array or object that is open.
#[derive(Debug, Default)]
struct Candidate {
    start: usize,
    /// Of the last key.
    field: Field,
    marked: bool,
    num: Option<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Field {
    Placeholder,
    Num,
    #[default]
    Other,
}

impl Field {
    /// Of a key with its quotes; escapes count as what they stand for.
    fn named(quoted: &str) -> Field {
        let unescaped;
        let name = if quoted.contains('\\') {
            unescaped = serde_json::from_str::<String>(quoted).unwrap_or_default();
            &unescaped
        } else {
            quoted.trim_matches('"')
        };
        match name {
            "_placeholder" => Field::Placeholder,
            "num" => Field::Num,
            _ => Field::Other,
        }
    }
}

/// The value of the last key; of a repeated key the last value counts, as in JavaScript.
fn note_value(open: &mut [Candidate], token: Token, text: &str) {
    let Some(object) = open.last_mut() else { return };
    match object.field {
        Field::Placeholder => object.marked = token == Token::True,
        // `parse` of a small unsigned integer takes no point and no exponent; a sign or a leading zero is no number
        // or no index.
        Field::Num => object.num = (token == Token::Number).then(|| text.parse().ok()).flatten(),
        Field::Other => {}
    }
    object.field = Field::Other;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nums(json: &str, count: u8) -> Result<Vec<(u8, &str)>, Malformed> {
        Ok(find(json, count)?
            .into_iter()
            .map(|found| (found.num, &json[found.at]))
            .collect())
    }

    #[test]
    fn placeholders_are_found_wherever_they_stand() {
        let first = r#"{"_placeholder":true,"num":0}"#;
        let second = r#"{ "num" : 1 , "x":[{}], "_placeholder" : true }"#;
        assert_eq!(nums(&format!(r#"["a",{first}]"#), 1), Ok(vec![(0, first)]));
        assert_eq!(
            nums(&format!(r#"["a",{{"b":[{second},{first}]}}]"#), 2),
            Ok(vec![(1, second), (0, first)])
        );
        let escaped = r#"{"\u005fplaceholder":true,"num":0}"#;
        assert_eq!(nums(escaped, 1), Ok(vec![(0, escaped)]));
        let nested = format!(r#"{{"_placeholder":true,"x":{first},"num":1}}"#);
        assert_eq!(nums(&nested, 2), Ok(vec![(1, nested.as_str())]));
    }

    #[test]
    fn look_alikes_are_plain_data() {
        for json in [
            r#"{"_placeholder":false,"num":0}"#,
            r#"{"_placeholder":"true","num":0}"#,
            r#"{"_placeholder":true,"num":0,"_placeholder":1}"#,
            r#"{"_placeholder":[true],"num":0}"#,
            r#"{"placeholder":true,"num":9}"#,
            r#"[true,"_placeholder"]"#,
        ] {
            assert_eq!(nums(json, 1), Ok(vec![]), "{json}");
        }
    }

    /// CVE-2022-2421.
    #[test]
    fn a_num_that_is_no_index_is_refused() {
        for num in [
            "\"splice\"",
            "\"0\"",
            "null",
            "-1",
            "-0",
            "1",
            "256",
            "0.0",
            "0e0",
            "1e400",
            "[0]",
            "{}",
            "true",
        ] {
            let json = format!(r#"[{{"_placeholder":true,"num":{num}}}]"#);
            assert_eq!(nums(&json, 1), Err(Malformed::Placeholder), "{json}");
        }
        assert_eq!(nums(r#"{"_placeholder":true}"#, 1), Err(Malformed::Placeholder));
        assert_eq!(
            nums(r#"{"_placeholder":true,"num":0,"num":7}"#, 1),
            Err(Malformed::Placeholder)
        );
    }
}
