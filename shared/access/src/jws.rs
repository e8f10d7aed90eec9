//! Parses a token in the compact form (RFC 7515, section 7.1) before it is verified.
//!
//! Of the claims only `iss` is read, which selects the issuer's keys. The other claims are parsed after the signature
//! was verified: a parser is the largest attack surface for an unsigned token.
//! found to have signed it: a parser is the largest thing that an unsigned token could attack.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use tidings_model::json;

use crate::keyring::Search;
use crate::{Issuer, Refusal, Token};

/// A token whose signature has not been verified.
pub(crate) struct Unverified<'t> {
    header: Header,
    issuer: Option<String>,
    payload: Vec<u8>,
    message: &'t str,
    signature: &'t str,
}

/// The relevant members of a header. Keys in the header, or references to keys (`jwk`, `jku`, `x5c`, `x5u`), are
/// ignored.
struct Header {
    algorithm: String,
    key: Option<String>,
    media_type: Option<String>,
}

impl<'t> Unverified<'t> {
    /// Checks the form of the token, and parses the header and `iss`.
    pub(crate) fn parse(token: &'t Token) -> Result<Self, Refusal> {
        let (message, signature) = token.expose().rsplit_once('.').ok_or(NOT_COMPACT)?;
        let (header, payload) = message.split_once('.').ok_or(NOT_COMPACT)?;
        if payload.contains('.') || URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(NOT_COMPACT);
        }
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| BAD_HEADER)?;
        let header = Header::read(&header)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| BAD_CLAIMS)?;
        let issuer = json::text_member(&payload, "iss").map_err(|_| BAD_CLAIMS)?;
        Ok(Self { header, issuer, payload, message, signature })
    }

    /// The token's `iss`, unverified.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The token's `typ`, unverified.
    pub(crate) fn media_type(&self) -> Option<&str> {
        self.header.media_type.as_deref()
    }

    /// Verifies the signature with the issuer's keys and returns the claims.
    pub(crate) fn check_signature(&self, issuer: &Issuer) -> Result<Map<String, Value>, Refusal> {
        let named = self.header.algorithm.parse().ok();
        let allowed = named.filter(|algorithm| issuer.algorithms.contains(algorithm));
        let Some(algorithm) = allowed else {
            return Err(Refusal::Algorithm { expected: issuer.algorithms.clone() });
        };
        let message = self.message.as_bytes();
        let found = issuer
            .keys
            .search(self.header.key.as_deref(), |key| key.verifies(self.signature, message, algorithm));
        match found {
            Search::Signed => self.claims(),
            Search::Wrong => Err(Refusal::Signature),
            Search::Unknown => Err(Refusal::UnknownKey),
            Search::Unusable => Err(Refusal::UnusableKey),
            Search::Unavailable(retry_after) => Err(Refusal::KeysUnavailable { retry_after }),
        }
    }

    fn claims(&self) -> Result<Map<String, Value>, Refusal> {
        match json::parse_unique(&self.payload) {
            Ok(Value::Object(claims)) => Ok(claims),
            _ => Err(BAD_CLAIMS),
        }
    }
}

impl Header {
    fn read(text: &[u8]) -> Result<Self, Refusal> {
        let Ok(Value::Object(mut header)) = json::parse_unique(text) else { return Err(BAD_HEADER) };
        // RFC 7515, section 4.1.11: a token with critical extensions must be refused unless all are understood. This
        // crate understands none, and an empty list is invalid.
        if header.contains_key("crit") {
            return Err(Refusal::Malformed("a header without critical extensions"));
        }
        let mut text = |member: &str| match header.remove(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(BAD_HEADER),
        };
        Ok(Self { algorithm: text("alg")?.ok_or(BAD_HEADER)?, key: text("kid")?, media_type: text("typ")? })
    }
}

const NOT_COMPACT: Refusal =
    Refusal::Malformed("a JSON Web Token: header, claims and signature in base64url, joined by dots");
const BAD_HEADER: Refusal = Refusal::Malformed(
    "a header that is a JSON object with a text as `alg` and no member twice, in base64url without padding",
);
const BAD_CLAIMS: Refusal =
    Refusal::Malformed("claims that are a JSON object with no member twice, in base64url without padding");
