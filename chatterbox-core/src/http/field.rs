//! Fields of request bodies: read whatever is there, then say everything that is wrong with it at once.
//!
//! A field never fails to parse, so a body that is JSON but of the wrong shape is answered with the names of its fields
//! (SPEC.md section 1), and an object where a string belongs goes no further than this file (THREATS.md E1).

use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::domain::rule::Rule;
use crate::error::{Error, FieldError};

/// A field that holds a `T`.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) enum Field<T> {
    /// Not there, or null.
    #[default]
    Missing,
    /// Something else.
    WrongType,
    /// The value.
    Is(T),
}

/// A field that holds a text.
pub(super) type Text = Field<String>;
/// A field that holds `true` or `false`.
pub(super) type Flag = Field<bool>;
/// A field that holds a whole number that is not negative.
pub(super) type Number = Field<u64>;

/// What a field can hold, each from the one JSON type that belongs there.
pub(super) trait Value: Sized {
    /// The type, as clients are told.
    const TYPE: &'static str;

    fn from_text(_: &str) -> Option<Self> {
        None
    }

    fn from_flag(_: bool) -> Option<Self> {
        None
    }

    fn from_number(_: u64) -> Option<Self> {
        None
    }

    fn from_object<'de, A: MapAccess<'de>>(mut entries: A) -> Result<Option<Self>, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl Value for String {
    const TYPE: &'static str = "string";

    fn from_text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }
}

impl Value for bool {
    const TYPE: &'static str = "boolean";

    fn from_flag(flag: bool) -> Option<bool> {
        Some(flag)
    }
}

impl Value for u64 {
    const TYPE: &'static str = "whole number";

    fn from_number(number: u64) -> Option<u64> {
        Some(number)
    }
}

/// For a field whose `null` means something else than its absence: `None` if it is absent.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

/// What is wrong with a body or a query, field by field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Problems(pub(super) Vec<(&'static str, Rule)>);

impl Problems {
    pub(super) fn add(&mut self, field: &'static str, rule: Rule) {
        self.0.push((field, rule));
    }

    /// The value of a field that must be there.
    pub(super) fn required<T: Value>(&mut self, field: &'static str, value: Field<T>) -> Option<T> {
        if matches!(value, Field::Missing) {
            self.add(field, Rule::Required);
        }
        self.optional(field, value)
    }

    /// The value of a field that may be missing or null.
    pub(super) fn optional<T: Value>(&mut self, field: &'static str, value: Field<T>) -> Option<T> {
        match value {
            Field::Missing => None,
            Field::WrongType => {
                self.add(field, Rule::Type(T::TYPE));
                None
            }
            Field::Is(value) => Some(value),
        }
    }

    /// One of a few words, as `read` understands them.
    pub(super) fn word<T>(
        &mut self,
        field: &'static str,
        text: Text,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.optional(field, text)?;
        let word = read(&text);
        if word.is_none() {
            self.add(field, Rule::Format);
        }
        word
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

impl<'de, T: Value> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field<T>, D::Error> {
        deserializer.deserialize_any(FieldVisitor(PhantomData))
    }
}

struct FieldVisitor<T>(PhantomData<T>);

impl<'de, T: Value> Visitor<'de> for FieldVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Field<T>, E> {
        Ok(T::from_text(text).map_or(Field::WrongType, Field::Is))
    }

    fn visit_unit<E>(self) -> Result<Field<T>, E> {
        Ok(Field::Missing)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Field<T>, E> {
        Ok(T::from_flag(flag).map_or(Field::WrongType, Field::Is))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field<T>, E> {
        Ok(Field::WrongType)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field<T>, E> {
        Ok(T::from_number(number).map_or(Field::WrongType, Field::Is))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field<T>, E> {
        Ok(Field::WrongType)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field<T>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::WrongType)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Field<T>, A::Error> {
        Ok(T::from_object(entries)?.map_or(Field::WrongType, Field::Is))
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
