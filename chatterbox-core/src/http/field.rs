//! Fields of request bodies: read whatever is there, then say everything that is wrong with it at once.
//!
//! A field never fails to parse, so a body that is JSON but of the wrong shape is answered with the names of its fields
//! (SPEC.md section 1), and an object where a string belongs goes no further than this file (THREATS.md E1).

use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use crate::app::conversations::{GroupRole, ListedKind};
use crate::app::messages::{IdList, TooMany};
use crate::clock::Timestamp;
use crate::domain::conversation::{History, Notify, Visibility};
use crate::domain::rule::Rule;
use crate::error::{Error, FieldError};

/// A field that holds a `T`.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) enum Field<T> {
    /// Not there, or null.
    #[default]
    Missing,
    /// Something that breaks this rule.
    Wrong(Rule),
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

    fn wrong_type() -> Field<Self> {
        Field::Wrong(Rule::Type(Self::TYPE))
    }

    fn from_text(_: &str) -> Field<Self> {
        Self::wrong_type()
    }

    fn from_flag(_: bool) -> Field<Self> {
        Self::wrong_type()
    }

    fn from_number(_: u64) -> Field<Self> {
        Self::wrong_type()
    }

    fn from_list<'de, A: SeqAccess<'de>>(mut items: A) -> Result<Field<Self>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::wrong_type())
    }

    fn from_object<'de, A: MapAccess<'de>>(mut entries: A) -> Result<Field<Self>, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::wrong_type())
    }
}

impl Value for String {
    const TYPE: &'static str = "string";

    fn from_text(text: &str) -> Text {
        Field::Is(text.to_owned())
    }
}

impl Value for bool {
    const TYPE: &'static str = "boolean";

    fn from_flag(flag: bool) -> Flag {
        Field::Is(flag)
    }
}

impl Value for u64 {
    const TYPE: &'static str = "whole number";

    fn from_number(number: u64) -> Number {
        Field::Is(number)
    }
}

impl<const MAX: usize> Value for IdList<MAX> {
    const TYPE: &'static str = "list of strings";

    fn from_list<'de, A: SeqAccess<'de>>(mut items: A) -> Result<Field<Self>, A::Error> {
        let mut list = Field::Is(IdList::default());
        while let Some(item) = items.next_element::<Text>()? {
            list = match (list, item) {
                (Field::Is(mut ids), Text::Is(id)) => match ids.push(id) {
                    Ok(()) => Field::Is(ids),
                    Err(TooMany) => Field::Wrong(Rule::Items { max: MAX }),
                },
                (Field::Is(_), Text::Missing | Text::Wrong(_)) => Self::wrong_type(),
                (wrong @ (Field::Missing | Field::Wrong(_)), _) => wrong,
            };
        }
        Ok(list)
    }
}

/// What is written as a text, but not as any text: a word out of a few, or a moment.
pub(super) trait Word: DeserializeOwned {
    /// What the text stands for, if it stands for something.
    fn read(text: &str) -> Option<Self> {
        let text: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
        Self::deserialize(text).ok()
    }
}

impl Word for GroupRole {}
impl Word for History {}
impl Word for ListedKind {}
impl Word for Notify {}
impl Word for Timestamp {}
impl Word for Visibility {}

impl<T: Word> Value for T {
    const TYPE: &'static str = String::TYPE;

    fn from_text(text: &str) -> Field<T> {
        T::read(text).map_or(Field::Wrong(Rule::Format), Field::Is)
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
            Field::Wrong(rule) => {
                self.add(field, rule);
                None
            }
            Field::Is(value) => Some(value),
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
        Ok(T::from_text(text))
    }

    fn visit_unit<E>(self) -> Result<Field<T>, E> {
        Ok(Field::Missing)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Field<T>, E> {
        Ok(T::from_flag(flag))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field<T>, E> {
        Ok(T::wrong_type())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field<T>, E> {
        Ok(T::from_number(number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field<T>, E> {
        Ok(T::wrong_type())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Field<T>, A::Error> {
        T::from_list(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Field<T>, A::Error> {
        T::from_object(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e1_whatever_is_no_text_is_told_apart() {
        let wrong_type = || Text::Wrong(Rule::Type("string"));
        for (json, expected) in [
            ("\"a\"", Text::Is("a".to_owned())),
            ("\"\\u0061\"", Text::Is("a".to_owned())),
            ("null", Text::Missing),
            ("true", wrong_type()),
            ("1", wrong_type()),
            ("-1", wrong_type()),
            ("1.5", wrong_type()),
            ("[\"a\", {\"b\": []}]", wrong_type()),
            ("{\"$gt\": \"\"}", wrong_type()),
        ] {
            assert!(serde_json::from_str::<Text>(json).unwrap() == expected, "{json}");
        }
        // E12: depth costs no stack, and what is no JSON at all stays an error.
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(serde_json::from_str::<Text>(&deep).unwrap() == wrong_type());
        for json in ["\"\\ud800\"", "1e400", "{"] {
            assert!(serde_json::from_str::<Text>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn i10_a_list_is_counted_while_it_is_read() {
        let too_many = Rule::Items { max: 2 };
        let wrong_type = Rule::Type("list of strings");
        for (json, expected) in [
            ("[\"a\", \"b\", \"c\"]", too_many),
            ("[\"a\", \"b\", \"c\", 1]", too_many),
            ("[\"a\", 1]", wrong_type),
            ("[1, \"a\", \"b\", \"c\"]", wrong_type),
            ("[null]", wrong_type),
            ("[{\"$gt\": \"\"}]", wrong_type),
            ("{\"$gt\": \"\"}", wrong_type),
            ("\"a\"", wrong_type),
            ("1", wrong_type),
            ("true", wrong_type),
        ] {
            let list = serde_json::from_str::<Field<IdList<2>>>(json).unwrap();
            assert!(list == Field::Wrong(expected), "{json}");
        }
        for json in ["[]", "[\"a\", \"b\"]"] {
            let ids: IdList<2> = serde_json::from_str(json).unwrap();
            assert!(
                serde_json::from_str::<Field<IdList<2>>>(json).unwrap() == Field::Is(ids),
                "{json}"
            );
        }
        assert!(serde_json::from_str::<Field<IdList<2>>>("null").unwrap() == Field::Missing);
    }
}
