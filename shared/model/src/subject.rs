//! Encodes free text as one token of a NATS subject.
//!
//! Ids come from users (`john.doe@example.com`, `*`, `>`, `a b`), and in NATS `.`, `*`, `>` and white space are
//! special. The encoding is injective, so two ids never share a subject and no id is interpreted. Every byte outside of
//! `A-Z a-z 0-9 _ -` becomes `=HH` (upper-case hexadecimal), which is also valid in a JetStream key-value key (NATS
//! ADR-8).

use std::fmt::{self, Write as _};

/// The token for an absent part. The text `-` itself is encoded as `=2D`.
pub const ABSENT: &str = "-";

/// A text or its absence as one subject token. Empty text becomes `=`, which no other text does.
#[derive(Debug, Clone, Copy)]
pub struct Token<'text>(pub Option<&'text str>);

impl fmt::Display for Token<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = match self.0 {
            None => return formatter.write_str(ABSENT),
            Some("") => return formatter.write_str("="),
            Some(ABSENT) => return formatter.write_str("=2D"),
            Some(text) => text,
        };
        let is_literal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        while let Some(at) = rest.bytes().position(|byte| !is_literal(byte)) {
            formatter.write_str(&rest[..at])?;
            let character = rest[at..].chars().next().map_or(1, char::len_utf8);
            for byte in rest[at..at + character].bytes() {
                write!(formatter, "={byte:02X}")?;
            }
            rest = &rest[at + character..];
        }
        formatter.write_str(rest)
    }
}

/// Encodes `text` as one subject token.
#[must_use]
pub fn encode(text: &str) -> String {
    Token(Some(text)).to_string()
}

/// Formats text of about this many bytes with one allocation.
pub(crate) fn written(bytes: usize, text: fmt::Arguments<'_>) -> String {
    let mut written = String::with_capacity(bytes);
    // Writing to a String cannot fail.
    let _ = written.write_fmt(text);
    written
}

/// Decodes a token of [`encode`]. Returns `None` if it is not one.
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
    // Only the canonical spelling is accepted, so that decoding is injective, too.
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
