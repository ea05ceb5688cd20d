//! Names of rooms.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};

/// The unique name of a room: `^[a-z0-9][a-z0-9-]{1,31}$` (S-076).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RoomName(Arc<str>);

/// Why a text is no room name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoomNameError {
    /// Not of the pattern.
    #[error("a room name is 2 to 32 of a-z, 0-9 and -, and does not begin with -")]
    Malformed,
    /// Kept for the server.
    #[error("this room name is reserved")]
    Reserved,
}

/// Names nobody may take: parts of URLs and words that look like authority (S-076, THREATS.md F2).
const RESERVED: [&str; 14] = [
    "admin",
    "administrator",
    "all",
    "api",
    "everyone",
    "here",
    "me",
    "moderator",
    "new",
    "root",
    "search",
    "support",
    "system",
    "undefined",
];

impl RoomName {
    /// A name for a new room: compatibility-normalised and case-folded, then checked.
    pub fn parse(text: &str) -> Result<RoomName, RoomNameError> {
        let name = RoomName::look_up(text).ok_or(RoomNameError::Malformed)?;
        if RESERVED.contains(&&*name.0) {
            Err(RoomNameError::Reserved)
        } else {
            Ok(name)
        }
    }

    /// A name to find a room by; `None` if no room can have it.
    pub fn look_up(text: &str) -> Option<RoomName> {
        // Folding may lengthen a text 18-fold at most; anything longer than that can't fold to 32 bytes either.
        if text.len() > 1024 {
            return None;
        }
        if is_well_formed(text) {
            return Some(RoomName(text.into()));
        }
        let folded = super::text::fold(text);
        is_well_formed(&folded).then(|| RoomName(folded.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_well_formed(name: &str) -> bool {
    (2..=32).contains(&name.len())
        && !name.starts_with('-')
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

impl<'de> Deserialize<'de> for RoomName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RoomName, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        RoomName::look_up(&text).ok_or_else(|| de::Error::custom(RoomNameError::Malformed))
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_names_fold_and_keep_to_the_pattern() {
        // Edge case 19, THREATS.md F2.
        for (text, expected) in [
            ("general", Ok("general")),
            ("General", Ok("general")),
            ("ｇｅｎｅｒａｌ", Ok("general")),
            ("a1", Ok("a1")),
            ("x-", Ok("x-")),
            ("a", Err(RoomNameError::Malformed)),
            ("-a", Err(RoomNameError::Malformed)),
            ("", Err(RoomNameError::Malformed)),
            ("..", Err(RoomNameError::Malformed)),
            ("a/b", Err(RoomNameError::Malformed)),
            ("%2f", Err(RoomNameError::Malformed)),
            ("__proto__", Err(RoomNameError::Malformed)),
            ("zażółć", Err(RoomNameError::Malformed)),
            ("🎉🎉", Err(RoomNameError::Malformed)),
            ("ADMIN", Err(RoomNameError::Reserved)),
        ] {
            let parsed = RoomName::parse(text);
            assert_eq!(
                parsed.as_ref().map(RoomName::as_str).map_err(|error| *error),
                expected,
                "{text}"
            );
        }
        assert!(RoomName::parse(&"a".repeat(32)).is_ok());
        assert!(RoomName::parse(&"a".repeat(33)).is_err());
        assert!(RoomName::parse(&"a".repeat(1_000_000)).is_err());
    }
}
