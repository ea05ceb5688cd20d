use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::app::Error;
use crate::ids::InvalidId;

/// At most `MAX` texts that should be ids, counted while they are read (I10).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdList<const MAX: usize>(Vec<String>);

/// The list is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl<const MAX: usize> IdList<MAX> {
    /// Puts a text behind the others, unless there are `MAX` of them.
    pub fn push(&mut self, text: String) -> Result<(), TooMany> {
        if self.0.len() >= MAX {
            return Err(TooMany);
        }
        self.0.push(text);
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids, each once, in their order.
    pub fn parse<T: FromStr<Err = InvalidId> + Copy + Eq + std::hash::Hash>(
        &self,
        field: &'static str,
    ) -> Result<Vec<T>, Error> {
        let parsed: Result<Vec<T>, _> = self.0.iter().map(|text| text.parse()).collect();
        let mut ids = parsed.map_err(|_| Error::InvalidId(field))?;
        let mut seen = std::collections::HashSet::with_capacity(ids.len());
        ids.retain(|id| seen.insert(*id));
        Ok(ids)
    }
}

impl<const MAX: usize> Serialize for IdList<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for IdList<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<IdList<MAX>, D::Error> {
        deserializer.deserialize_seq(IdListVisitor)
    }
}

struct IdListVisitor<const MAX: usize>;

impl<'de, const MAX: usize> Visitor<'de> for IdListVisitor<MAX> {
    type Value = IdList<MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<IdList<MAX>, A::Error> {
        let mut ids = IdList::default();
        while let Some(id) = items.next_element()? {
            ids.push(id)
                .map_err(|TooMany| A::Error::custom(format_args!("at most {MAX} ids")))?;
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EntryId;

    #[test]
    fn i10_a_list_is_counted_while_it_is_read() {
        let id = "0123456789abcdef01234567";
        let list = |count: usize| serde_json::to_string(&vec![id; count]).unwrap();
        let three = serde_json::from_str::<IdList<3>>(&list(3)).unwrap();
        assert_eq!(three.parse::<EntryId>("ids").unwrap().len(), 1, "each once");
        assert!(serde_json::from_str::<IdList<3>>(&list(4)).is_err());
        for wrong in ["1", "{}", "[1]", "[{\"$gt\":\"\"}]", "[null]", "\"x\""] {
            assert!(serde_json::from_str::<IdList<3>>(wrong).is_err(), "{wrong}");
        }
        let malformed = serde_json::from_str::<IdList<3>>("[\"x\"]").unwrap();
        assert!(matches!(
            malformed.parse::<EntryId>("ids"),
            Err(Error::InvalidId("ids"))
        ));
    }
}
