//! API keys: credentials of programs that publish events and have no identity provider.
//!
//! A key is `tdk_<id>_<secret>`, of which the id is no secret. What is stored is the SHA-256 hash of the whole. The secret
//! has 256 random bits, so that nothing can be guessed and no slow hash is needed; who reads the hashes cannot make a key of
//! them. The prefix lets scanners for leaked credentials find keys.

use std::fmt::Write as _;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use tidings_model::KeyId;

use crate::Token;

const PREFIX: &str = "tdk_";
/// Random bytes of an id, and of a secret.
const ID_BYTES: usize = KeyId::LENGTH / 2;
const SECRET_BYTES: usize = 32;

/// A key as its owner sends it, not yet verified. `Debug` shows the id alone.
#[derive(Clone)]
pub struct ApiKey {
    id: KeyId,
    digest: String,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("ApiKey").field(&self.id).finish()
    }
}

impl ApiKey {
    /// Makes a key. The token is shown to its owner once and kept nowhere.
    pub fn generate() -> Result<(Self, Token), RandomError> {
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        aws_lc_rs::rand::fill(&mut id)
            .and_then(|()| aws_lc_rs::rand::fill(&mut secret))
            .map_err(|_| RandomError)?;
        let text = format!("{PREFIX}{}_{}", hex(&id), hex(&secret));
        let token = Token::parse(&text).map_err(|_| RandomError)?;
        let key = Self::parse(&token).ok_or(RandomError)?;
        Ok((key, token))
    }

    /// Reads a key; `None` for what is not one, such as a JSON Web Token.
    #[must_use]
    pub fn parse(token: &Token) -> Option<Self> {
        let text = token.expose();
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if secret.len() != 2 * SECRET_BYTES || !secret.bytes().all(is_digit) {
            return None;
        }
        let id = KeyId::parse(id).ok()?;
        Some(Self { id, digest: hex(digest(&SHA256, text.as_bytes()).as_ref()) })
    }

    /// Whether a text is meant as a key.
    #[must_use]
    pub fn is_meant(token: &Token) -> bool {
        token.expose().starts_with(PREFIX)
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The hash to store, hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether this is the key with the stored hash.
    #[must_use]
    pub fn has_digest(&self, stored: &str) -> bool {
        verify_slices_are_equal(self.digest.as_bytes(), stored.as_bytes()).is_ok()
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The system has no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random numbers for an API key")]
pub struct RandomError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_digest_alone() {
        let (key, token) = ApiKey::generate().unwrap();
        let (other, other_token) = ApiKey::generate().unwrap();
        assert_eq!(token.expose().len(), 4 + 16 + 1 + 64);
        assert_ne!((key.id(), token.expose()), (other.id(), other_token.expose()));
        let sent = ApiKey::parse(&token).unwrap();
        assert!(sent.has_digest(key.digest()) && !sent.has_digest(other.digest()) && !sent.has_digest(""));
        assert_eq!((sent.id(), sent.digest()), (key.id(), key.digest()));
        let secret = token.expose().rsplit('_').next().unwrap();
        assert!(!format!("{key:?} {token:?}").contains(secret) && !key.digest().contains(secret));
        // The whole counts: another id with the same secret is another key.
        let forged = Token::parse(&format!("tdk_{}_{secret}", other.id())).unwrap();
        assert!(!ApiKey::parse(&forged).unwrap().has_digest(key.digest()));
    }

    #[test]
    fn what_has_another_form_is_no_key() {
        let (_, token) = ApiKey::generate().unwrap();
        let text = token.expose();
        for wrong in
            ["tdk_", "abc", &text[1..], &text[..84], &format!("{text}0"), &text.to_uppercase(), "a.b.c"]
        {
            assert!(ApiKey::parse(&Token::parse(wrong).unwrap()).is_none(), "{wrong}");
        }
    }
}
