//! Signing tokens for where there is no identity provider: development and tests.

use jsonwebtoken::{Algorithm, Header};
use serde_json::{Map, Value};

use crate::{Refusal, SigningSecret, Token};

/// Signs `claims`, as they are, with HS256.
///
/// Nothing is added or checked, so that tests can also make tokens that a [`Verifier`] refuses.
///
/// [`Verifier`]: crate::Verifier
pub fn mint(claims: &Map<String, Value>, secret: &SigningSecret) -> Result<Token, MintError> {
    let header = Header::new(Algorithm::HS256);
    let text = jsonwebtoken::encode(&header, claims, &secret.encoding_key())?;
    Token::parse(&text).map_err(MintError::Unusable)
}

/// Claims that cannot become a token.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The cryptographic library refused.
    #[error("the claims cannot be signed with HS256")]
    Signing(#[from] jsonwebtoken::errors::Error),
    /// So many claims that every service would refuse the token.
    #[error("the signed token would be refused; give it fewer or shorter claims")]
    Unusable(#[source] Refusal),
}
