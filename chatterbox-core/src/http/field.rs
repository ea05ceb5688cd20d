//! Fields of request bodies: read whatever is there, then say everything that is wrong with it at once.
//!
//! A field never fails to parse, so a body that is JSON but of the wrong shape is answered with the names of its fields
//! (SPEC.md section 1), and an object where a string belongs goes no further than this file (THREATS.md E1).

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::domain::rule::Rule;
use crate::error::{Error, FieldError};

/// A field that holds a text.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) enum Text {
    /// Not there, or null.
    #[default]
    Missing,
    /// Something else.
    WrongType,
    /// The text.
    Is(String),
}

/// What is wrong with a body or a query, field by field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Problems(pub(super) Vec<(&'static str, Rule)>);

impl Problems {
    pub(super) fn add(&mut self, field: &'static str, rule: Rule) {
        self.0.push((field, rule));
    }

    /// The text of a field that must be there.
    pub(super) fn required(&mut self, field: &'static str, text: Text) -> Option<String> {
        if text == Text::Missing {
            self.add(field, Rule::Required);
        }
        self.optional(field, text)
    }

    /// The text of a field that may be missing or null.
    pub(super) fn optional(&mut self, field: &'static str, text: Text) -> Option<String> {
        match text {
            Text::Missing => None,
            Text::WrongType => {
                self.add(field, Rule::Type("string"));
                None
            }
            Text::Is(text) => Some(text),
        }
    }

    /// The refusal, if anything is wrong.
    pub(super) fn check(self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let field = |(field, rule): (&str, Rule)| FieldError {
            field: field.to_owned(),
            rule: rule.to_string(),
        };
        Err(Error::Validation(self.0.into_iter().map(field).collect()))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text::Is(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Text, E> {
        Ok(Text::Is(text))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text::Missing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text::WrongType)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
        Ok(Text::WrongType)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
        Ok(Text::WrongType)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text::WrongType)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text::WrongType)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Text, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::WrongType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e1_whatever_is_no_text_is_told_apart() {
        for (json, expected) in [
            ("\"a\"", Text::Is("a".to_owned())),
            ("\"\\u0061\"", Text::Is("a".to_owned())),
            ("null", Text::Missing),
            ("true", Text::WrongType),
            ("1", Text::WrongType),
            ("-1", Text::WrongType),
            ("1.5", Text::WrongType),
            ("[\"a\", {\"b\": []}]", Text::WrongType),
            ("{\"$gt\": \"\"}", Text::WrongType),
        ] {
            assert!(serde_json::from_str::<Text>(json).unwrap() == expected, "{json}");
        }
        // E12: depth costs no stack, and what is no JSON at all stays an error.
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(serde_json::from_str::<Text>(&deep).unwrap() == Text::WrongType);
        for json in ["\"\\ud800\"", "1e400", "{"] {
            assert!(serde_json::from_str::<Text>(json).is_err(), "{json}");
        }
    }
}
