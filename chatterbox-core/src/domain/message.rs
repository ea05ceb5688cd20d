//! What a message may say (S-088, edge case 21).

use super::text::is_default_ignorable;

/// Most code points of a message, after trimming.
pub const CONTENT_CHARS_MAX: usize = 4000;
/// Most users a message may mention (THREATS.md G3).
pub const MENTIONS_MAX: usize = 50;
/// Most files a message may bring.
pub const ATTACHMENTS_MAX: usize = 10;
/// Longest content looked at at all: what the network may bring, before trimming and stripping.
const CONTENT_BYTES_MAX: usize = 64 * 1024;

/// Why a text is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Nothing is left of it.
    #[error("must not be empty")]
    Empty,
    /// Over [`CONTENT_CHARS_MAX`].
    #[error("at most 4000 code points")]
    TooLong,
}

/// The text as it is stored: control characters but line feed and tab are taken out, white space at both ends too. A
/// text of which nothing can be seen is none.
pub fn content(text: &str) -> Result<String, ContentError> {
    if text.len() > CONTENT_BYTES_MAX {
        return Err(ContentError::TooLong);
    }
    let kept: String = text
        .chars()
        .filter(|char| !char.is_control() || matches!(char, '\n' | '\t'))
        .collect();
    let trimmed = kept.trim();
    if trimmed.chars().all(is_blank) {
        return Err(ContentError::Empty);
    }
    // Bytes bound code points from above, so most texts need no counting.
    if trimmed.len() > CONTENT_CHARS_MAX && trimmed.chars().count() > CONTENT_CHARS_MAX {
        return Err(ContentError::TooLong);
    }
    Ok(if trimmed.len() == kept.len() {
        kept
    } else {
        trimmed.to_owned()
    })
}

/// Whether nothing is seen where this character stands alone. U+2800 is a pattern of no dots.
fn is_blank(char: char) -> bool {
    char.is_whitespace() || char == '\u{2800}' || is_default_ignorable(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_trimmed_stripped_and_bounded() {
        let kilo = |text: &str, times: usize| text.repeat(times);
        for (text, expected) in [
            ("hi", Ok("hi".to_owned())),
            ("  hi \n", Ok("hi".to_owned())),
            ("a\nb\tc", Ok("a\nb\tc".to_owned())),
            ("a\u{0}b\u{7}c\r\n", Ok("abc".to_owned())),
            ("\u{202e}abc", Ok("\u{202e}abc".to_owned())),
            ("", Err(ContentError::Empty)),
            (" \u{0}\t\n", Err(ContentError::Empty)),
            // Nothing that anybody could see: zero width, joiners, byte order mark, soft hyphen, fillers, braille blank.
            (
                "\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}",
                Err(ContentError::Empty),
            ),
            ("\u{2060}\u{feff} \u{ad}", Err(ContentError::Empty)),
            (
                "\u{3164}\u{115f}\u{ffa0}\u{2800}\u{fe0f}\u{e0041}",
                Err(ContentError::Empty),
            ),
            // They stay where they shape what is seen.
            ("\u{200b}a", Ok("\u{200b}a".to_owned())),
            ("👨\u{200d}👩\u{200d}👧", Ok("👨\u{200d}👩\u{200d}👧".to_owned())),
            ("❤\u{fe0f}", Ok("❤\u{fe0f}".to_owned())),
            ("\u{301}", Ok("\u{301}".to_owned())),
            (&kilo("é", 4000), Ok(kilo("é", 4000))),
            (&kilo("é", 4001), Err(ContentError::TooLong)),
            (&kilo("😀", 4000), Ok(kilo("😀", 4000))),
            (
                &format!("a{}", kilo("\u{301}", 10_000)),
                Err(ContentError::TooLong),
            ),
            (&kilo(" ", 70_000), Err(ContentError::TooLong)),
        ] {
            assert_eq!(content(text), expected, "{text:.20}");
        }
    }
}
