//! Deserializes JSON whose placeholders stand for attachments.
//!
//! Plain arguments go straight to serde_json. Only in binary packets a tree is built, and its placeholders are shown
//! to the visitor as bytes.

use bytes::Bytes;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Value};

/// `json` as a `T`, with `attachments` in place of its placeholders.
pub(super) fn from_json<T: DeserializeOwned>(json: &str, attachments: &[Bytes]) -> Result<T, Error> {
    if attachments.is_empty() {
        return serde_json::from_str(json);
    }
    T::deserialize(Resolved {
        value: serde_json::from_str(json)?,
        attachments,
    })
}

/// A value on its way into a type.
struct Resolved<'a> {
    value: Value,
    attachments: &'a [Bytes],
}

impl<'a> Resolved<'a> {
    /// The attachment it stands for, if it is a placeholder.
    fn attachment(&self) -> Option<&'a Bytes> {
        let object = self.value.as_object()?;
        if object.get("_placeholder") != Some(&Value::Bool(true)) {
            return None;
        }
        self.attachments
            .get(usize::try_from(object.get("num")?.as_u64()?).ok()?)
    }

    fn map<'de, V: Visitor<'de>>(self, object: Map<String, Value>, visitor: V) -> Result<V::Value, Error> {
        let attachments = self.attachments;
        let entries = object
            .into_iter()
            .map(|(key, value)| (key, Resolved { value, attachments }));
        let mut entries = MapDeserializer::new(entries);
        let value = visitor.visit_map(&mut entries)?;
        entries.end()?;
        Ok(value)
    }
}

impl IntoDeserializer<'_, Error> for Resolved<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> de::Deserializer<'de> for Resolved<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        if let Some(bytes) = self.attachment() {
            return visitor.visit_byte_buf(bytes.to_vec());
        }
        match std::mem::take(&mut self.value) {
            Value::Object(object) => self.map(object, visitor),
            Value::Array(elements) => {
                let attachments = self.attachments;
                let mut elements =
                    SeqDeserializer::new(elements.into_iter().map(|value| Resolved { value, attachments }));
                let value = visitor.visit_seq(&mut elements)?;
                elements.end()?;
                Ok(value)
            }
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                plain.deserialize_any(visitor)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// A `Vec<u8>` takes an attachment too.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.attachment() {
            Some(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            None => self.deserialize_any(visitor),
        }
    }

    /// Bytes are no text, though they may be UTF-8.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.attachment() {
            Some(bytes) => Err(de::Error::invalid_type(de::Unexpected::Bytes(bytes), &visitor)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Value::Object(object) = &mut self.value else {
            return self.value.deserialize_enum(name, variants, visitor);
        };
        let mut entries = std::mem::take(object).into_iter();
        let (Some((variant, value)), None) = (entries.next(), entries.next()) else {
            return Err(de::Error::custom(
                "expected an object with the variant as its only key",
            ));
        };
        visitor.visit_enum(Variant {
            variant,
            content: Resolved {
                value,
                attachments: self.attachments,
            },
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// `{"Variant": content}`.
struct Variant<'a> {
    variant: String,
    content: Resolved<'a>,
}

impl<'de, 'a> de::EnumAccess<'de> for Variant<'a> {
    type Error = Error;
    type Variant = Resolved<'a>;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Resolved<'a>), Error> {
        let name: de::value::StringDeserializer<Error> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, self.content))
    }
}

impl<'de> de::VariantAccess<'de> for Resolved<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_tuple(self, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_struct(self, "", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::Binary;
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    enum Shape {
        Empty,
        One(Binary),
        Two(u8, Vec<u8>),
        Named { content: Binary, label: Option<String> },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(transparent)]
    struct Wrapped(Option<Binary>);

    fn same_type<T>(value: T, _as: &T) -> T {
        value
    }

    #[test]
    fn attachments_stand_wherever_a_type_wants_bytes() {
        let attachments = [Bytes::from_static(&[1, 2]), Bytes::from_static(&[3])];
        let (a, b) = (
            r#"{"_placeholder":true,"num":0}"#,
            r#"{"num":1,"_placeholder":true}"#,
        );
        let binary = |index: usize| Binary(attachments[index].clone());
        macro_rules! check {
            ($json:expr, $expected:expr) => {
                let expected = $expected;
                let parsed = same_type(from_json(&$json, &attachments).unwrap(), &expected);
                assert_eq!(parsed, expected, "{}", $json);
            };
        }
        check!(a, binary(0));
        check!(a, vec![1_u8, 2]);
        check!(format!("[{b},{a},{b}]"), vec![binary(1), binary(0), binary(1)]);
        check!(
            format!(r#"{{"x":{b}}}"#),
            BTreeMap::from([("x".to_owned(), binary(1))])
        );
        check!(b, Wrapped(Some(binary(1))));
        check!("null", Wrapped(None));
        check!("\"Empty\"", Shape::Empty);
        check!(format!(r#"{{"One":{a}}}"#), Shape::One(binary(0)));
        check!(format!(r#"{{"Two":[7,{a}]}}"#), Shape::Two(7, vec![1, 2]));
        let named = Shape::Named {
            content: binary(1),
            label: Some("l".to_owned()),
        };
        check!(format!(r#"{{"Named":{{"content":{b},"label":"l"}}}}"#), named);
        check!("[1,\"two\",3.5]", (1_u8, "two".to_owned(), 3.5_f64));
        assert!(from_json::<Binary>("[1,2]", &attachments).is_err());
        assert!(from_json::<String>(a, &attachments).is_err());
    }
}
