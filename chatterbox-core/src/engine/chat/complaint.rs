//! What is wrong with a payload, told by its field and the rule it broke, as REST tells it. The parser's own words name
//! types of ours and quote what was sent.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::domain::rule::Rule;
use crate::error::Error;

/// Longest name of a field that is sent back: parts of it may be the client's own keys.
const FIELD_BYTES_MAX: usize = 80;

/// Reads an object, or says which of its fields is wrong.
pub(super) fn read<T: DeserializeOwned>(json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|_| complaint::<T>(json))
}

/// Reads once more, minding where: a price that only wrong payloads pay.
fn complaint<T: DeserializeOwned>(json: &str) -> Error {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut deserializer) else {
        return Error::invalid("payload", Rule::Format.to_string());
    };
    let (path, words) = (error.path(), error.inner().to_string());
    let (within, (of_object, rule)) = match error.inner().classify() {
        Category::Data => (path.iter().next().map(|_| path.to_string()), rule_in(&words)),
        Category::Io | Category::Syntax | Category::Eof => (None, (None, Rule::Format)),
    };
    let mut field = match (within, of_object) {
        (Some(object), Some(field)) => format!("{object}.{field}"),
        (None, Some(field)) => field.to_owned(),
        (Some(field), None) => field,
        (None, None) => "payload".to_owned(),
    };
    field.truncate(field.floor_char_boundary(FIELD_BYTES_MAX));
    Error::invalid(field, rule.to_string())
}

/// The rule behind the words of serde, and the field that they name, where it is one of the object at hand.
fn rule_in(words: &str) -> (Option<&str>, Rule) {
    let named = |beginning: &str| words.strip_prefix(beginning)?.split('`').next();
    if let Some(field) = named("missing field `") {
        return (Some(field), Rule::Required);
    }
    if let Some(field) = named("duplicate field `") {
        return (Some(field), Rule::Ambiguous);
    }
    if words.starts_with("invalid type: null") {
        return (None, Rule::Required);
    }
    let expected = words
        .strip_prefix("invalid type: ")
        .and_then(|words| words.rsplit_once(", expected "));
    let rule = expected.map_or(Rule::Format, |(_, expected)| {
        let expected = expected.split(" at line ").next().unwrap_or_default();
        match expected.split(' ').next().unwrap_or_default() {
            _ if expected == "a string" || expected == "a borrowed string" => Rule::Type("string"),
            _ if expected == "a boolean" => Rule::Type("boolean"),
            _ if expected == "a sequence" => Rule::Type("JSON array"),
            _ if expected == "a map" => Rule::Type("JSON object"),
            "struct" => Rule::Type("JSON object"),
            "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
                Rule::Type("whole number")
            }
            "f32" | "f64" => Rule::Type("number"),
            _ => Rule::Format,
        }
    });
    (None, rule)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    #[expect(dead_code, reason = "only read")]
    struct Sample {
        text: String,
        #[serde(default)]
        some_count: Option<u32>,
        #[serde(default)]
        part: f64,
        #[serde(default)]
        is_set: bool,
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        kind: Option<Kind>,
        #[serde(default)]
        map: HashMap<String, u32>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Inner {
        name: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Tea,
    }

    #[test]
    fn a_complaint_names_field_and_rule_and_nothing_of_rust_or_the_sender() {
        let long = format!(r#"{{"text":"a","map":{{"{}":"x"}}}}"#, "é".repeat(500));
        for (json, expected) in [
            ("{}", "text: required"),
            (r#"{"text":null}"#, "text: required"),
            (r#"{"text":[]}"#, "text: must be a string"),
            (
                r#"{"text":"a","text":"b"}"#,
                "text: given more than once, or beside another that excludes it",
            ),
            (
                r#"{"text":"a","someCount":"1"}"#,
                "someCount: must be a whole number",
            ),
            (
                r#"{"text":"a","someCount":1.5}"#,
                "someCount: must be a whole number",
            ),
            (r#"{"text":"a","someCount":-1}"#, "someCount: malformed"),
            (r#"{"text":"a","part":{}}"#, "part: must be a number"),
            (
                r#"{"text":"a","isSet":", expected a string"}"#,
                "isSet: must be a boolean",
            ),
            (r#"{"text":"a","list":"x"}"#, "list: must be a JSON array"),
            (
                r#"{"text":"a","list":[{"name":"x"},{}]}"#,
                "list[1].name: required",
            ),
            (r#"{"text":"a","list":["x"]}"#, "list[0]: must be a JSON object"),
            (r#"{"text":"a","kind":"secret"}"#, "kind: malformed"),
            (r#"{"text":"a","map":7}"#, "map: must be a JSON object"),
            (r#"{"text":"a""#, "payload: malformed"),
            (r#""x""#, "payload: must be a JSON object"),
            (&long, &format!("map.{}: must be a whole number", "é".repeat(38))),
        ] {
            assert_eq!(
                read::<Sample>(json).unwrap_err().to_string(),
                expected,
                "{json:.60}"
            );
        }
        assert_eq!(
            read::<Sample>(r#"{"text":"a","kind":"tea"}"#)
                .unwrap()
                .kind
                .map(|_| ()),
            Some(())
        );
    }
}
