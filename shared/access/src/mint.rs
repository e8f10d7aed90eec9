//! Signs tokens for development and tests, where there is no identity provider.

use jsonwebtoken::{Algorithm, Header};
use serde_json::{Map, Value};

use crate::{Refusal, SigningSecret, Token};

/// Signs `claims`, as they are, with HS256.
///
/// Nothing is added or checked, so that tests can also create tokens that a [`Verifier`] refuses.
///
/// [`Verifier`]: crate::Verifier
pub fn mint(claims: &Map<String, Value>, secret: &SigningSecret) -> Result<Token, MintError> {
    let header = Header::new(Algorithm::HS256);
    let text = jsonwebtoken::encode(&header, claims, &secret.encoding_key())?;
    Token::parse(&text).map_err(MintError::Unusable)
}

/// Why claims cannot become a token.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The cryptographic library failed.
    #[error("the claims cannot be signed with HS256")]
    Signing(#[from] jsonwebtoken::errors::Error),
    /// The token would be too long, so that every service would refuse it.
    #[error("the signed token would be refused; give it fewer or shorter claims")]
    Unusable(#[source] Refusal),
}
