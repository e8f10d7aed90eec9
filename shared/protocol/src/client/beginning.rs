//! Finds the id of a message of which only the beginning was kept, so that the error about a too long message can name
//! it.

use serde_json::Value;
use tidings_model::json;

use super::{ID_MEMBERS, Limits, identify};
use crate::error::MessageId;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Returns the id of the message that begins so, if these bytes contain it. Of several id members the most specific one
/// counts.
#[must_use]
pub fn id_in_beginning(beginning: &[u8], limits: &Limits) -> Option<MessageId> {
    let beginning = beginning.strip_prefix(BYTE_ORDER_MARK).unwrap_or(beginning);
    let mut found = [const { None }; ID_MEMBERS.len()];
    let mut rest = beginning.trim_ascii_start().strip_prefix(b"{")?;
    while let Some((name, value, behind)) = member(rest) {
        rest = behind;
        let place = ID_MEMBERS.iter().position(|known| name == format!("\"{known}\"").as_bytes());
        if let Some(place) = place {
            found[place] = scalar(value).and_then(|value| identify(&value, limits));
        }
    }
    found.into_iter().flatten().next()
}

/// Returns the first member: its name with the quotes, its value, and the text after its comma.
fn member(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let (name, rest) = text.split_at(string_end(text)?);
    let value = rest.trim_ascii_start().strip_prefix(b":")?;
    let (end, rest) = value_end(value)?;
    Some((name, &value[..end], rest))
}

/// Returns the end of the string at the beginning of the text.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut bytes = text.iter().enumerate();
    bytes.next().filter(|(_, byte)| **byte == b'"')?;
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next()?,
            b'"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

/// Returns the end of a member's value, and the text after it. It does not recurse.
fn value_end(text: &[u8]) -> Option<(usize, &[u8])> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        match text.get(at)? {
            b'"' => {
                at += string_end(&text[at..])?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => depth -= 1,
            b',' if depth == 0 => return Some((at, &text[at + 1..])),
            b'}' if depth == 0 => return Some((at, &[])),
            _ => {}
        }
        at += 1;
    }
}

/// Parses a value that is neither an array nor an object: only such a value is an id, and none of them is nested.
fn scalar(value: &[u8]) -> Option<Value> {
    json::parse(value).ok().filter(|value| !value.is_array() && !value.is_object())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(beginning: &str, expected: Option<&str>) {
        let found = id_in_beginning(beginning.as_bytes(), &Limits::default());
        assert_eq!(found.map(|id| id.to_string()).as_deref(), expected, "{beginning}");
    }

    #[test]
    fn an_id_is_found_where_it_is_whole() {
        check(r#"{"id":"m1","pad":"xxx"#, Some("m1"));
        check(r#"{ "type" : "ping" , "id" : 17 , "pad":"#, Some("17"));
        check(r#"{"data":{"id":"inner","list":[{"}":1}]},"id":"outer","pad"#, Some("outer"));
        check(r#"{"id":"one","message_id":"two","messageId":"three","x":"#, Some("two"));
        check(r#"{"text":"a \" , \"id\":\"no\"","id":"yes",""#, Some("yes"));
        check(r#"{"id":"\ud83d!","x"#, Some("\u{fffd}!"));
        check("\u{feff}{\"id\":1}", Some("1"));
        for none in ["", "{", "[1", r#"{"id":"m1"#, r#"{"id":"m1""#, r#"{"id":12"#, r#"{"pad":"xxx"#] {
            check(none, None);
        }
        check(r#"{"id":"m1"}"#, Some("m1"));
        for none in [r#"{"id":null,"#, r#"{"id":{"id":1},"#, r#"{"ID":1,"#] {
            check(none, None);
        }
        check(&format!(r#"{{"id":"{}","x"#, "y".repeat(600)), None);
    }

    proptest! {
        /// Any text can be read, wherever it is cut.
        #[test]
        fn any_beginning_is_read(text in r#"[{}\[\]:,"\\ a1]{0,60}"#) {
            let _ = id_in_beginning(text.as_bytes(), &Limits::default());
        }

        #[test]
        fn an_id_in_front_is_found_whatever_follows(id in "\\PC{1,20}", pad in "\\PC{0,20}", cut in 0..20usize) {
            let text = json!({ "id": id, "pad": pad, "more": [{ "id": "other" }] }).to_string();
            let end = text.len() - cut;
            let whole = text.find(",\"pad\"").is_some_and(|comma| comma < end);
            let found = id_in_beginning(&text.as_bytes()[..end], &Limits::default());
            prop_assert_eq!(found, whole.then_some(MessageId::Text(id)));
        }
    }
}
