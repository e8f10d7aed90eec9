//! Shared secrets for HS256, of at least [`SigningSecret::MIN_LENGTH`] bytes.

use std::fmt;

use jsonwebtoken::{DecodingKey, EncodingKey};

/// A secret for HS256. `Debug` hides it.
#[derive(Clone)]
pub struct SigningSecret(Box<[u8]>);

impl SigningSecret {
    /// The shortest secret, in bytes: the size of the hash (RFC 7518, section 3.2).
    pub const MIN_LENGTH: usize = 32;

    /// Creates a secret if it is long enough. The bytes are used as they are, without decoding.
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

/// A secret that is too short.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a secret for HS256 has {length} bytes; use at least {min}", min = SigningSecret::MIN_LENGTH)]
pub struct ShortSecret {
    /// Its length in bytes.
    pub length: usize,
}
