//! Ids as clients write them: malformed ones are `INVALID_ID`, whatever door they come through, and lists of them are
//! bounded while they are read (SPEC.md section 1, I10).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use super::Error;
use crate::domain::limits::IDS_PER_CALL_MAX;
use crate::ids::UserId;

/// The id of a user.
pub fn user_id(text: &str) -> Result<UserId, Error> {
    text.parse().map_err(|_| Error::InvalidId("userId"))
}

/// At most [`IDS_PER_CALL_MAX`] texts that should be ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdTexts(Vec<String>);

/// More than [`IDS_PER_CALL_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at most {IDS_PER_CALL_MAX} ids")]
pub struct TooManyIds;

impl IdTexts {
    /// Adds one.
    pub fn push(&mut self, text: String) -> Result<(), TooManyIds> {
        if self.0.len() >= IDS_PER_CALL_MAX {
            return Err(TooManyIds);
        }
        self.0.push(text);
        Ok(())
    }

    /// The users, each once, in their order.
    pub fn users(&self, field: &'static str) -> Result<Vec<UserId>, Error> {
        let parsed: Result<Vec<UserId>, _> = self.0.iter().map(|text| text.parse()).collect();
        let mut users = parsed.map_err(|_| Error::InvalidId(field))?;
        let mut seen = std::collections::HashSet::with_capacity(users.len());
        users.retain(|user| seen.insert(*user));
        Ok(users)
    }
}

impl Serialize for IdTexts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IdTexts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<IdTexts, D::Error> {
        deserializer.deserialize_seq(IdTextsVisitor)
    }
}

struct IdTextsVisitor;

impl<'de> Visitor<'de> for IdTextsVisitor {
    type Value = IdTexts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<IdTexts, A::Error> {
        let mut ids = IdTexts::default();
        while let Some(id) = items.next_element()? {
            ids.push(id).map_err(A::Error::custom)?;
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i10_lists_of_ids_are_bounded_while_they_are_read() {
        let id = "0123456789abcdef01234567";
        let list = |count: usize| serde_json::to_string(&vec![id; count]).unwrap();
        let most = serde_json::from_str::<IdTexts>(&list(IDS_PER_CALL_MAX)).unwrap();
        assert_eq!(most.users("userIds").unwrap().len(), 1);
        assert!(serde_json::from_str::<IdTexts>(&list(IDS_PER_CALL_MAX + 1)).is_err());
        for wrong in ["1", "{}", "[1]", "[{\"$gt\":\"\"}]", "[null]", "\"x\""] {
            assert!(serde_json::from_str::<IdTexts>(wrong).is_err(), "{wrong}");
        }
        let malformed = serde_json::from_str::<IdTexts>("[\"x\"]").unwrap();
        assert!(matches!(malformed.users("userIds"), Err(Error::InvalidId("userIds"))));
    }
}
