//! JSON from outside as a [`Value`], at a depth that the parser bounds.
//!
//! Why not `serde_json::from_str::<Value>`: with the feature `raw_value`, which axum's `json`
//! switches on for the whole build, an object whose first member is named
//! `$serde_json::private::RawValue` is replaced by what its string contains, parsed with a fresh
//! recursion limit. Nested in itself, less than 8 KB overflow a stack of 2 MB in a debug build,
//! which ends the process; a release build survived 1 MB, but nothing guarantees it. Such names
//! are refused here; nobody has another use for them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

const RESERVED: &str = "$serde_json::private::";
/// How the feature `arbitrary_precision` hands over a number that is no small integer: as an
/// object of this one member.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads one JSON text; order of members and digits of numbers are kept.
pub fn parse(text: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice::<Outside>(text).map(|Outside(value)| value)
}

struct Outside(Value);

impl<'de> Deserialize<'de> for Outside {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OutsideVisitor).map(Self)
    }
}

struct OutsideVisitor;

impl<'de> Visitor<'de> for OutsideVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Outside(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name == NUMBER && object.is_empty() {
                let number = members.next_value::<String>()?.parse::<Number>();
                return number.map(Value::Number).map_err(Error::custom);
            }
            if name.starts_with(RESERVED) {
                return Err(Error::custom(format_args!("the member name {name:.64} is reserved")));
            }
            let Outside(value) = members.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_keep_their_order_and_digits() {
        let text = r#"{"z":[1.00,-0,1e400,184467440737095516160,"\n",true,false,null],"a":{"":{}}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text.replace("1e400", "1e+400"));
        for wrong in ["", "01", "[1,]", "{\"a\"}", "1 2", "nul", "\"\\ud800\""] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reserved_names_are_refused_however_they_are_written() {
        for text in [
            r#"{"$serde_json::private::RawValue":"[]"}"#,
            r#"[{"a":1,"\u0024serde_json::private::RawValue":"[]"}]"#,
            r#"{"a":1,"$serde_json::private::Number":"7"}"#,
            r#"{"$serde_json::private::Number":"x"}"#,
            r#"{"$serde_json::private::Number":"1","a":1}"#,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded_whatever_hides_it() {
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
        let mut text = String::from("[]");
        while text.len() < 1 << 20 {
            let hidden = Value::from(text).to_string();
            let (open, close) = ("[".repeat(120), "]".repeat(120));
            text = format!(r#"{open}{{"$serde_json::private::RawValue":{hidden}}}{close}"#);
        }
        assert!(parse(text.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_reads_as_serde_json_reads_it(text in r#"([\[\]{},:"0-9.eE+a-z \\-]|"a":|null|true){0,40}"#) {
            let ours = parse(text.as_bytes()).ok();
            prop_assert_eq!(ours, serde_json::from_str::<Value>(&text).ok());
        }
    }
}
