//! A token from a client: bounded, with restricted characters, and hidden in logs.

use std::fmt;

use crate::Refusal;

/// The text of a bearer token, not yet verified.
///
/// It has 1 to [`Token::MAX_LENGTH`] characters of `b64token` (RFC 6750, section 2.1). There is no `Display`, and
/// `Debug` hides the text, so that it does not get into logs by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The longest token that can be configured, in bytes. A [`Policy`](crate::Policy) allows fewer.
    pub const MAX_LENGTH: usize = 64 * 1024;

    /// Checks length and characters.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Err(Refusal::Malformed("a token that is not empty"));
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(Refusal::TooLong { length: text.len(), max: Self::MAX_LENGTH });
        }
        if !text.bytes().all(is_b64token) {
            return Err(Refusal::Malformed("letters, digits and any of -._~+/= only"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text of the token: a credential, to be given only to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

fn is_b64token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({} bytes)", self.0.len())
    }
}
