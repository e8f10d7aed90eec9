//! JSON from outside as a [`Value`], at a depth that the parser bounds.
//!
//! Why not `serde_json::from_str::<Value>`: with the feature `raw_value`, which axum's `json`
//! switches on for the whole build, an object whose first member is named
//! `$serde_json::private::RawValue` is replaced by what its string contains, parsed with a fresh
//! recursion limit. Nested in itself, less than 8 KB overflow a stack of 2 MB in a debug build,
//! which ends the process; a release build survived 1 MB, but nothing guarantees it. Such names
//! are refused here; nobody has another use for them.
//!
//! Two things are read that the parser alone refuses, because common programs write them: a byte order mark in front,
//! and an escaped surrogate without its partner, which is what `JSON.stringify` makes of a cut emoji. The latter
//! becomes U+FFFD, as in every decoder of UTF-16.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

const RESERVED: &str = "$serde_json::private::";
/// How the feature `arbitrary_precision` hands over a number that is no small integer: as an
/// object of this one member.
const NUMBER: &str = "$serde_json::private::Number";

/// In UTF-8; Windows programs write it in front of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// `\uXXXX`.
const ESCAPE_LENGTH: usize = 6;
/// U+FFFD, the replacement character, as long as what it replaces, so that places in errors stay right.
const REPLACEMENT: &[u8; ESCAPE_LENGTH] = b"\\ufffd";

/// Reads one JSON text; order of members and digits of numbers are kept.
pub fn parse(text: &[u8]) -> serde_json::Result<Value> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    serde_json::from_slice::<Outside>(&without_lone_surrogates(text)).map(|Outside(value)| value)
}

/// The text with each escaped surrogate that has no partner replaced.
fn without_lone_surrogates(text: &[u8]) -> Cow<'_, [u8]> {
    let mut mended = Cow::Borrowed(text);
    let mut at = 0;
    while let Some(skipped) = text.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == b'\\')) {
        at += skipped;
        at += match (surrogate(text, at), surrogate(text, at + ESCAPE_LENGTH)) {
            (Some(Half::High), Some(Half::Low)) => 2 * ESCAPE_LENGTH,
            (Some(_), _) => {
                if let Some(escape) = mended.to_mut().get_mut(at..at + ESCAPE_LENGTH) {
                    escape.copy_from_slice(REPLACEMENT);
                }
                ESCAPE_LENGTH
            }
            // Whatever follows the backslash belongs to it, a second one, too.
            (None, _) => 2,
        };
    }
    mended
}

enum Half {
    High,
    Low,
}

/// Which half of a pair of surrogates is escaped here, if one is.
fn surrogate(text: &[u8], at: usize) -> Option<Half> {
    let digits = text.get(at..at + ESCAPE_LENGTH)?.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    match u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()? {
        0xD800..=0xDBFF => Some(Half::High),
        0xDC00..=0xDFFF => Some(Half::Low),
        _ => None,
    }
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
        for wrong in ["", "01", "[1,]", "{\"a\"}", "1 2", "nul", "\"\\ud80\"", "\\ud800"] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cut_emoji_is_a_replacement_character() {
        for (text, expected) in [
            (r#""\ud83d""#, "\u{FFFD}"),
            (r#""\uD83D!""#, "\u{FFFD}!"),
            (r#""\ude00\ud83d""#, "\u{FFFD}\u{FFFD}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{FFFD}😀"),
            (r#""\ud83d\ude00\ude00""#, "😀\u{FFFD}"),
            (r#""\ud83d\n""#, "\u{FFFD}\n"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""\\\ud83d""#, "\\\u{FFFD}"),
            (r#""\u00e9😀""#, "é😀"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap(), expected, "{text}");
        }
        assert_eq!(parse(br#"{"\ud83d":1}"#).unwrap()["\u{FFFD}"], 1);
        let wrong = parse(br#"{"a":"\ud83d",}"#).unwrap_err();
        assert_eq!((wrong.line(), wrong.column()), (1, 15));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(parse(b"\xEF\xBB\xBF[1]").unwrap().to_string(), "[1]");
        for wrong in
            [&b"\xEF\xBB\xBF"[..], b"\xEF\xBB\xBF\xEF\xBB\xBF[]", b"[\xEF\xBB\xBF]", b"\xFF\xFE[\0]\0"]
        {
            assert!(parse(wrong).is_err(), "{wrong:?}");
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

        /// As the standard library decodes UTF-16.
        #[test]
        fn any_escapes_read_as_utf_16(units in prop::collection::vec(prop_oneof![0xD7F0..0xE010u16, any::<u16>()], 0..8)) {
            let escapes: Vec<_> = units.iter().map(|unit| format!("\\u{unit:04X}")).collect();
            let read = parse(format!("\"{}\"", escapes.concat()).as_bytes()).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }
    }
}
