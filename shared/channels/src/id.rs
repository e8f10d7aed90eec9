//! Identifiers of deliveries. A receiver recognises a repetition by them.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Identifies a delivery: 1 to 64 characters of `A-Z`, `a-z`, `0-9`, `_` and `-`, which need no escape in a header, in a
/// `Message-ID`, and before the dots of a webhook's signed text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeliveryId(String);

impl DeliveryId {
    /// The longest identifier, in bytes.
    pub const MAX_LENGTH: usize = 64;

    /// Checks an identifier.
    pub fn parse(text: &str) -> Result<Self, DeliveryIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.bytes().all(allowed) {
            return Err(DeliveryIdError(text.chars().take(64).collect()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Makes the identifier of what these parts name, such as an envelope, a user and a target: the same parts in the same
    /// order have the same identifier, and no others do. Nobody learns the parts from it.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            // The length keeps ["ab", "c"] and ["a", "bc"] apart.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let hash = BASE64_URL_SAFE_NO_PAD.encode(context.finish());
        // 132 bits are enough, and leave receivers room in their own keys.
        Self(format!("dlv_{}", hash.get(..22).unwrap_or(&hash)))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for DeliveryId {
    type Error = DeliveryIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<DeliveryId> for String {
    fn from(id: DeliveryId) -> Self {
        id.0
    }
}

/// A text that is no identifier of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} identifies no delivery: 1 to 64 characters of A-Z, a-z, 0-9, _ and - are expected")]
pub struct DeliveryIdError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_the_identifier() {
        let id = DeliveryId::of(&["ops", "18f3a0c2b41-42", "ada", "webhook"]);
        assert_eq!(id, DeliveryId::of(&["ops", "18f3a0c2b41-42", "ada", "webhook"]));
        assert_eq!(DeliveryId::parse(id.as_str()), Ok(id.clone()));
        for other in [&["ops", "18f3a0c2b41-42", "adaw", "ebhook"][..], &["ops"], &[]] {
            assert_ne!(id, DeliveryId::of(other));
        }
    }

    #[test]
    fn what_needs_an_escape_is_refused() {
        for text in ["", "a.b", "a b", "a\r\nBcc: x", "ä", "<a@b>", &"a".repeat(65)] {
            assert!(DeliveryId::parse(text).is_err(), "{text:?}");
        }
    }
}
