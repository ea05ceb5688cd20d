//! Reactions are real emoji (S-132).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One emoji of Unicode, fully qualified, so that two spellings of one emoji are one reaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Emoji(Arc<str>);

/// A text that is not exactly one emoji.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one emoji")]
pub struct NotAnEmoji;

impl Emoji {
    /// Checks `text`, in any spelling that Unicode lists.
    pub fn parse(text: &str) -> Result<Emoji, NotAnEmoji> {
        emojis::get(text)
            .map(|emoji| Emoji(emoji.as_str().into()))
            .ok_or(NotAnEmoji)
    }

    /// The emoji.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Emoji {
    type Error = NotAnEmoji;

    fn try_from(text: String) -> Result<Emoji, NotAnEmoji> {
        // Stored ones were checked when they came in; a later Unicode doesn't take emoji back.
        Emoji::parse(&text)
    }
}

impl fmt::Display for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_emoji_are_emoji_and_spellings_are_one() {
        // S-132.
        for (text, expected) in [
            ("👍", Some("👍")),
            ("👍🏽", Some("👍🏽")),
            ("❤️", Some("❤️")),
            ("❤", Some("❤️")),
            ("👩‍💻", Some("👩‍💻")),
            ("🇩🇪", Some("🇩🇪")),
            ("", None),
            ("a", None),
            ("1", None),
            ("👍👍", None),
            ("\u{200d}", None),
            ("<script>", None),
        ] {
            assert_eq!(
                Emoji::parse(text).ok().as_ref().map(Emoji::as_str),
                expected,
                "{text}"
            );
        }
    }
}
