//! What a message may say (S-088, edge case 21).

/// Most code points of a message, after trimming.
pub const CONTENT_CHARS_MAX: usize = 4000;
/// Most users a message may mention (THREATS.md G3).
pub const MENTIONS_MAX: usize = 50;
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

/// The text as it is stored: control characters but line feed and tab are taken out, white space at both ends too.
pub fn content(text: &str) -> Result<String, ContentError> {
    if text.len() > CONTENT_BYTES_MAX {
        return Err(ContentError::TooLong);
    }
    let kept: String = text
        .chars()
        .filter(|char| !char.is_control() || matches!(char, '\n' | '\t'))
        .collect();
    let trimmed = kept.trim();
    if trimmed.is_empty() {
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
