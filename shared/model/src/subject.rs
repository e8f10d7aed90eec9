//! How free text becomes one token of a NATS subject, and back.
//!
//! Ids come from users (`john.doe@example.com`, `*`, `>`, `a b`), and NATS gives `.`, `*`, `>`
//! and white space a meaning. The encoding is injective, so two ids never share a subject and no
//! id is ever interpreted: every byte outside `A-Z a-z 0-9 _ -` becomes `=HH` (upper-case
//! hexadecimal), which is also safe in a JetStream key-value key (NATS ADR-8).

use std::fmt::Write as _;

/// Stands for a part that is absent; the text `-` itself is encoded as `=2D`.
pub const ABSENT: &str = "-";

/// Encodes `text` as one subject token. Empty text becomes `=`, which no other text does.
#[must_use]
pub fn encode(text: &str) -> String {
    match text {
        "" => return "=".to_owned(),
        ABSENT => return "=2D".to_owned(),
        _ => {}
    }
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            token.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(token, "={byte:02X}");
        }
    }
    token
}

/// Encodes a part that may be absent.
#[must_use]
pub fn encode_optional(text: Option<&str>) -> String {
    text.map_or_else(|| ABSENT.to_owned(), encode)
}

/// The text that [`encode`] made this token from, or `None` if it made none such.
#[must_use]
pub fn decode(token: &str) -> Option<String> {
    match token {
        "=" => return Some(String::new()),
        ABSENT | "" => return None,
        _ => {}
    }
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'=' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    let text = String::from_utf8(bytes).ok()?;
    // Only the one canonical spelling is accepted, so that decoding is injective too.
    (encode(&text) == token).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_encoded_never_interpreted() {
        for (text, token) in [
            ("ada", "ada"),
            ("first_responder", "first_responder"),
            ("john.doe@example.com", "john=2Edoe=40example=2Ecom"),
            ("*", "=2A"),
            (">", "=3E"),
            ("a b", "a=20b"),
            ("-", "=2D"),
            ("", "="),
            ("=", "=3D"),
            ("é", "=C3=A9"),
        ] {
            assert_eq!(encode(text), token);
            assert_eq!(decode(token).as_deref(), Some(text));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for token in ["-", "", "=2", "=61", "=2e", "=C3", "a.b", "=+1", "a b"] {
            assert_eq!(decode(token), None, "{token}");
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_and_is_one_literal_token(text in ".*") {
            let token = encode(&text);
            prop_assert!(!token.is_empty());
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-=".contains(&b)));
            prop_assert_eq!(decode(&token), Some(text));
        }

        #[test]
        fn decoding_never_panics(token in ".*") {
            let _ = decode(&token);
        }
    }
}
