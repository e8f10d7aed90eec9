//! Parses untrusted JSON into a [`Value`] with bounded depth.
//!
//! `serde_json::from_str::<Value>` is not safe here. With the feature `raw_value`, which axum's `json` enables for the
//! whole build, an object whose first member is named `$serde_json::private::RawValue` is replaced by the contents of
//! its string, parsed with a new recursion limit. Nested in itself, less than 8 KB overflow a stack of 2 MB in a debug
//! build, which ends the process; a release build survived 1 MB, but nothing guarantees it. This module refuses such
//! names, which have no other use.
//!
//! It accepts two things that the parser alone refuses, because common programs write them: a byte order mark at the
//! beginning, and an escaped surrogate without its partner, which `JSON.stringify` makes of a cut emoji. Such a
//! surrogate becomes U+FFFD, as in every decoder of UTF-16.
//!
//! All code in this project parses JSON by this module. `clippy.toml` forbids other parsers.

mod member;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

pub use self::member::text_member;

const RESERVED: &str = "$serde_json::private::";
/// The only member of the object by which the feature `arbitrary_precision` passes a number that is not a small
/// integer.
const NUMBER: &str = "$serde_json::private::Number";

/// The byte order mark in UTF-8. Windows programs write it at the beginning of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// The length of `\uXXXX`.
const ESCAPE_LENGTH: usize = 6;
/// U+FFFD, the replacement character. It is as long as the text it replaces, so that positions in errors stay right.
const REPLACEMENT: &[u8; ESCAPE_LENGTH] = b"\\ufffd";

/// Parses one JSON text. The order of members and the digits of numbers are kept.
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn parse(text: &[u8]) -> serde_json::Result<Value> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    serde_json::from_slice::<Outside>(&without_lone_surrogates(text)).map(|Outside(value)| value)
}

/// Replaces each escaped surrogate without a partner.
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
            // The character after a backslash belongs to it, including a second backslash.
            (None, _) => 2,
        };
    }
    mended
}

enum Half {
    High,
    Low,
}

/// Returns which half of a surrogate pair is escaped here, if any.
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

/// Parses one JSON text like [`parse`], but refuses duplicate members.
///
/// It is for texts that several programs must read in the same way, such as the parts of a signed token. Parsers differ
/// in which of two duplicate members they use.
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn parse_unique(text: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice::<Outside<true>>(text).map(|Outside(value)| value)
}

/// Deserialises a member that may be `null` but must be present; for serde's `deserialize_with`.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(deserializer)
}

/// Parses one JSON text as a `T`.
///
/// If the text cannot contain a reserved name, since it has none and no numeric escapes, it is parsed directly.
/// Otherwise it is parsed by [`parse`] first.
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn read<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    let is_plain =
        |text: &str| !text.starts_with('\u{feff}') && !text.contains("\\u") && !text.contains(RESERVED);
    if std::str::from_utf8(text).is_ok_and(is_plain) {
        return serde_json::from_slice(text);
    }
    serde_json::from_value(parse(text)?)
}

/// A value from an untrusted text. `UNIQUE` refuses duplicate members.
struct Outside<const UNIQUE: bool = false>(Value);

impl<'de, const UNIQUE: bool> Deserialize<'de> for Outside<UNIQUE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OutsideVisitor::<UNIQUE>).map(Self)
    }
}

struct OutsideVisitor<const UNIQUE: bool>;

impl<'de, const UNIQUE: bool> Visitor<'de> for OutsideVisitor<UNIQUE> {
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
        while let Some(Outside(element)) = elements.next_element::<Outside<UNIQUE>>()? {
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
            if UNIQUE && object.contains_key(&name) {
                return Err(Error::custom(format_args!("the member {name:.64} is there twice")));
            }
            let Outside(value) = members.next_value::<Outside<UNIQUE>>()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what is compared with")]
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

    /// Returns whether all parsers of this module refuse the text.
    fn is_refused_by_all(text: &str) -> bool {
        parse(text.as_bytes()).is_err()
            && parse_unique(text.as_bytes()).is_err()
            && read::<Value>(text.as_bytes()).is_err()
            && read::<Vec<Value>>(text.as_bytes()).is_err()
    }

    #[test]
    fn depth_is_bounded_whatever_hides_it() {
        assert!(is_refused_by_all(&"[".repeat(1_000_000)));
        for name in ["$serde_json::private::RawValue", r"\u0024serde_json::private::RawValue"] {
            let mut text = String::from("[]");
            while text.len() < 1 << 20 {
                let hidden = Value::from(text).to_string();
                let (open, close) = ("[".repeat(120), "]".repeat(120));
                text = format!(r#"{open}{{"{name}":{hidden}}}{close}"#);
            }
            assert!(is_refused_by_all(&text));
        }
    }

    #[test]
    fn members_are_unique_where_that_is_asked_for() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert!(parse_unique(text.as_bytes()).is_err(), "{text}");
            assert!(parse(text.as_bytes()).is_ok(), "{text}");
        }
        assert!(parse_unique(br#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#).is_ok());
    }

    #[test]
    fn one_member_is_read_without_the_others() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(text_member(text.as_bytes(), "iss").unwrap().as_deref(), expected, "{text}");
        };
        check("{}", None);
        check(r#"{"a":{"iss":"inner"},"iss":"outer","b":[1]}"#, Some("outer"));
        check(r#"{"\u0069ss":"escaped"}"#, Some("escaped"));
        for other in ["1", "1.5", "1e400", "-1", "true", "null", "[\"a\"]", r#"{"iss":"a"}"#] {
            check(&format!(r#"{{"iss":{other}}}"#), None);
        }
        let (open, close) = ("[".repeat(500_000), "]".repeat(500_000));
        check(&format!(r#"{{"a":{open}{close},"iss":"x"}}"#), Some("x"));
        check(&format!(r#"{{"iss":{open}{close}}}"#), None);
        check(r#"{"iss":{"$serde_json::private::RawValue":"[[["}}"#, None);
        for wrong in ["", "[]", "null", "{", "{} {}", r#"{"iss":"a","iss":"b"}"#, r#"{"iss":1,"iss":"b"}"#] {
            assert!(text_member(wrong.as_bytes(), "iss").is_err(), "{wrong}");
        }
    }

    #[test]
    fn types_are_read_both_ways() {
        for text in [r#"{"a":["x"]}"#, r#"{"\u0061":["x"]}"#] {
            let read: std::collections::BTreeMap<String, Vec<String>> = read(text.as_bytes()).unwrap();
            assert_eq!(read["a"], ["x"]);
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_as_serde_json_reads_it(text in r#"([\[\]{},:"0-9.eE+a-z \\-]|"a":|null|true){0,40}"#) {
            let ours = parse(text.as_bytes()).ok();
            prop_assert_eq!(&ours, &serde_json::from_str::<Value>(&text).ok());
            prop_assert_eq!(ours, read::<Value>(text.as_bytes()).ok());
        }

        /// Any depth is parsed or refused, on the stack of a test thread, which has 2 MB.
        #[test]
        fn any_nesting_is_answered(
            layers in prop::collection::vec((0usize..130, prop::sample::select(vec![
                "$serde_json::private::RawValue", r"\u0024serde_json::private::RawValue",
                "$serde_json::private::Number", "a",
            ])), 0..12),
        ) {
            let mut text = String::from("{}");
            for (depth, name) in &layers {
                let hidden = Value::from(text).to_string();
                text = format!(r#"{}{{"{name}":{hidden}}}{}"#, "[".repeat(*depth), "]".repeat(*depth));
            }
            let is_harmless = layers.last().is_none_or(|(depth, name)| *name == "a" && *depth < 127);
            prop_assert_eq!(parse(text.as_bytes()).is_ok(), is_harmless);
            prop_assert_eq!(parse_unique(text.as_bytes()).is_ok(), is_harmless);
            prop_assert_eq!(read::<Value>(text.as_bytes()).is_ok(), is_harmless);
        }

        /// Decodes like the standard library's UTF-16.
        #[test]
        fn any_escapes_read_as_utf_16(units in prop::collection::vec(prop_oneof![0xD7F0..0xE010u16, any::<u16>()], 0..8)) {
            let escapes: Vec<_> = units.iter().map(|unit| format!("\\u{unit:04X}")).collect();
            let read = parse(format!("\"{}\"", escapes.concat()).as_bytes()).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }
    }
}
