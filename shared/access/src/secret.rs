//! The secret that both sides of HS256 share. None is short enough to be guessed.

use std::fmt;

use jsonwebtoken::{DecodingKey, EncodingKey};

/// A secret for HS256; `Debug` hides it.
#[derive(Clone)]
pub struct SigningSecret(Box<[u8]>);

impl SigningSecret {
    /// The shortest secret, in bytes: the size of the hash (RFC 7518, section 3.2).
    pub const MIN_LENGTH: usize = 32;

    /// Checks the length. The bytes are the key as they are; no encoding is undone.
    pub fn new(bytes: &[u8]) -> Result<Self, ShortSecret> {
        if bytes.len() < Self::MIN_LENGTH {
            return Err(ShortSecret { length: bytes.len() });
        }
        Ok(Self(bytes.into()))
    }

    pub(crate) fn decoding_key(&self) -> DecodingKey {
        DecodingKey::from_secret(&self.0)
    }

    pub(crate) fn encoding_key(&self) -> EncodingKey {
        EncodingKey::from_secret(&self.0)
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningSecret({} bytes)", self.0.len())
    }
}

/// A secret that is too easy to guess.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a secret for HS256 has {length} bytes; use at least {min}", min = SigningSecret::MIN_LENGTH)]
pub struct ShortSecret {
    /// Its length in bytes.
    pub length: usize,
}
