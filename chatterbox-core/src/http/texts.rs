//! Lists of texts in bodies, bounded while they are read (I10).

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::field::{Problems, Text};
use crate::domain::rule::Rule;

/// A field that holds at most `MAX` texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Texts<const MAX: usize> {
    /// Not there, or null.
    #[default]
    Missing,
    /// Something else, or a list with something else in it.
    WrongType,
    /// More of them.
    TooMany,
    /// The texts.
    Are(Vec<String>),
}

impl<const MAX: usize> Texts<MAX> {
    /// The texts, if the field is there.
    pub(super) fn optional(self, field: &'static str, problems: &mut Problems) -> Option<Vec<String>> {
        let wrong = match self {
            Texts::Missing => return None,
            Texts::Are(texts) => return Some(texts),
            Texts::WrongType => Rule::Type("list of strings"),
            Texts::TooMany => Rule::Items { max: MAX },
        };
        problems.add(field, wrong);
        None
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Texts<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Texts<MAX>, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

struct TextsVisitor<const MAX: usize>;

impl<'de, const MAX: usize> Visitor<'de> for TextsVisitor<MAX> {
    type Value = Texts<MAX>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts<MAX>, A::Error> {
        let mut texts = Texts::Are(Vec::new());
        while let Some(item) = items.next_element::<Text>()? {
            texts = match (texts, item) {
                (Texts::Are(texts), Text::Is(_)) if texts.len() >= MAX => Texts::TooMany,
                (Texts::Are(mut texts), Text::Is(text)) => {
                    texts.push(text);
                    Texts::Are(texts)
                }
                (Texts::TooMany, _) => Texts::TooMany,
                (Texts::Missing | Texts::WrongType | Texts::Are(_), _) => Texts::WrongType,
            };
        }
        Ok(texts)
    }

    fn visit_unit<E>(self) -> Result<Texts<MAX>, E> {
        Ok(Texts::Missing)
    }

    fn visit_str<E>(self, _: &str) -> Result<Texts<MAX>, E> {
        Ok(Texts::WrongType)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Texts<MAX>, E> {
        Ok(Texts::WrongType)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Texts<MAX>, E> {
        Ok(Texts::WrongType)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Texts<MAX>, E> {
        Ok(Texts::WrongType)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Texts<MAX>, E> {
        Ok(Texts::WrongType)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Texts<MAX>, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Texts::WrongType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i10_a_list_is_counted_while_it_is_read() {
        for (json, expected) in [
            ("[\"a\", \"b\"]", Texts::Are(vec!["a".to_owned(), "b".to_owned()])),
            ("[]", Texts::Are(Vec::new())),
            ("null", Texts::Missing),
            ("[\"a\", \"b\", \"c\"]", Texts::TooMany),
            ("[\"a\", 1]", Texts::WrongType),
            ("[null]", Texts::WrongType),
            ("[{\"$gt\": \"\"}]", Texts::WrongType),
            ("{\"$gt\": \"\"}", Texts::WrongType),
            ("\"a\"", Texts::WrongType),
            ("1", Texts::WrongType),
            ("true", Texts::WrongType),
        ] {
            assert_eq!(
                serde_json::from_str::<Texts<2>>(json).unwrap(),
                expected,
                "{json}"
            );
        }
    }
}
