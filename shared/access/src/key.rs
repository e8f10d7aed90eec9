//! Keys that signatures are checked with.
//!
//! A key knows what it is, and is never used with an algorithm that is not for its kind: the bytes of a public key are
//! no secret for HS256, and a point on one curve is none on another. That holds whatever an issuer is configured with.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;

use crate::{Algorithm, SigningSecret};

/// What a key is, and so what it can check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// A key that checks signatures; `Debug` hides it.
#[derive(Clone)]
pub struct VerifyingKey {
    id: Option<String>,
    kind: Kind,
    /// The one algorithm that the key's owner says it is for.
    only: Option<Algorithm>,
    key: DecodingKey,
    /// What makes two keys the same key.
    material: Box<[u8]>,
}

impl VerifyingKey {
    /// RSA keys have 2048 to 8192 bits (RFC 7518, section 3.3; the upper bound is the library's).
    const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
    /// An identifier is repeated in every token, so it is short.
    const MAX_ID: usize = 256;

    /// A secret shared with the issuer, for HS256.
    #[must_use]
    pub fn from_secret(secret: &SigningSecret) -> Self {
        Self { id: None, kind: Kind::Secret, only: None, key: secret.decoding_key(), material: [].into() }
    }

    /// The keys of a file: one public key in PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`), or a JSON Web Key or a set of them,
    /// whose keys have a `kid`.
    ///
    /// Unlike a fetched set, a file has no key that is not usable.
    pub fn from_file(content: &[u8]) -> Result<Vec<Self>, KeyError> {
        let text = str::from_utf8(content).map_err(|_| KeyError::NotPem)?.trim();
        if !text.starts_with('{') {
            return Ok(vec![Self::from_pem(text)?]);
        }
        let value: Value = serde_json::from_str(text).map_err(|_| KeyError::NotJson)?;
        match value.get("keys") {
            Some(Value::Array(keys)) if keys.is_empty() => Err(KeyError::Empty),
            Some(Value::Array(keys)) => keys.iter().map(Self::from_jwk).collect(),
            Some(_) => Err(KeyError::NotJson),
            None => Ok(vec![Self::from_jwk(&value)?]),
        }
    }

    fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let is_public = |label: &str| text.starts_with(&format!("-----BEGIN {label}-----"));
        if !is_public("PUBLIC KEY") && !is_public("RSA PUBLIC KEY") {
            return Err(KeyError::NotPem);
        }
        let pem = text.as_bytes();
        if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            let components = DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
            let der = key.try_get_as_bytes().map_err(|_| KeyError::NotPem)?;
            let (modulus, exponent) = components(der).map_err(|_| KeyError::NotPem)?;
            return Self::rsa(&modulus, &exponent);
        }
        if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            return Self::point(key.try_get_as_bytes().map_err(|_| KeyError::NotPem)?);
        }
        match DecodingKey::from_ed_pem(pem) {
            Ok(key) => Self::ed25519(key.try_get_as_bytes().map_err(|_| KeyError::NotPem)?),
            Err(_) => Err(KeyError::NotPem),
        }
    }

    /// A public key as RFC 7517 and RFC 7518, section 6, write it. Members that are not known are ignored.
    pub(crate) fn from_jwk(value: &Value) -> Result<Self, KeyError> {
        if value.get("d").is_some() {
            return Err(KeyError::Private);
        }
        let jwk = Jwk::deserialize(value).map_err(|_| KeyError::NotJson)?;
        let common = &jwk.common;
        let is_for_signatures =
            common.public_key_use.as_ref().is_none_or(|use_| *use_ == PublicKeyUse::Signature)
                && common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !is_for_signatures {
            return Err(KeyError::OtherUse);
        }
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::NotJson);
        let mut key = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => Self::rsa(&decode(&rsa.n)?, &decode(&rsa.e)?)?,
            AlgorithmParameters::EllipticCurve(point) => {
                let size = match point.curve {
                    EllipticCurve::P256 => 32,
                    EllipticCurve::P384 => 48,
                    _ => return Err(KeyError::Unsupported),
                };
                let (x, y) = (decode(&point.x)?, decode(&point.y)?);
                if x.len() != size || y.len() != size {
                    return Err(KeyError::Size);
                }
                Self::point(&[&[UNCOMPRESSED], &*x, &*y].concat())?
            }
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                Self::ed25519(&decode(&pair.x)?)?
            }
            // A secret in a set that everybody can read is none.
            _ => return Err(KeyError::Unsupported),
        };
        // Not from the library's list, which knows no more of an unknown algorithm than that it is unknown.
        key.only = match value.get("alg") {
            None | Some(Value::Null) => None,
            Some(name) => {
                let algorithm =
                    name.as_str().and_then(|name| name.parse().ok()).ok_or(KeyError::Unsupported)?;
                if !key.kind.fits(algorithm) {
                    return Err(KeyError::Unsupported);
                }
                Some(algorithm)
            }
        };
        key.id.clone_from(&common.key_id);
        if key.id.as_ref().is_some_and(|id| id.len() > Self::MAX_ID) {
            return Err(KeyError::Size);
        }
        Ok(key)
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let first = modulus.iter().position(|byte| *byte != 0).unwrap_or(modulus.len());
        let modulus = modulus.get(first..).unwrap_or_default();
        if !Self::RSA_BYTES.contains(&modulus.len()) {
            return Err(KeyError::Size);
        }
        let key = DecodingKey::from_rsa_raw_components(modulus, exponent);
        Ok(Self::new(Kind::Rsa, key, &[modulus, exponent].concat()))
    }

    /// A point on a curve, which its size tells apart (SEC 1, section 2.3.3). One that is on neither curve checks nothing.
    fn point(bytes: &[u8]) -> Result<Self, KeyError> {
        let kind = match (bytes.first(), bytes.len()) {
            (Some(&UNCOMPRESSED), 65) => Kind::P256,
            (Some(&UNCOMPRESSED), 97) => Kind::P384,
            _ => return Err(KeyError::Unsupported),
        };
        Ok(Self::new(kind, DecodingKey::from_ec_der(bytes), bytes))
    }

    fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != 32 {
            return Err(KeyError::Size);
        }
        Ok(Self::new(Kind::Ed25519, DecodingKey::from_ed_der(bytes), bytes))
    }

    fn new(kind: Kind, key: DecodingKey, material: &[u8]) -> Self {
        Self { id: None, kind, only: None, key, material: material.into() }
    }

    /// Whether the key can be used with `algorithm`.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.kind.fits(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    #[cfg(test)]
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether a token that names `id`, or no key at all, may mean this one. A key without an identifier may be any.
    pub(crate) fn may_be(&self, id: Option<&str>) -> bool {
        match (&self.id, id) {
            (Some(own), Some(id)) => own == id,
            (None, _) | (_, None) => true,
        }
    }

    /// Whether both are one key under one name.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.id == other.id
            && self.kind == other.kind
            && self.only == other.only
            && self.material == other.material
    }

    /// Whether `signature`, in base64url, is this key's for `message`.
    pub(crate) fn verifies(&self, signature: &str, message: &[u8], algorithm: Algorithm) -> bool {
        self.fits(algorithm)
            && jsonwebtoken::crypto::verify(signature, message, &self.key, algorithm.library())
                .unwrap_or(false)
    }
}

/// SEC 1, section 2.3.3: what a point begins with whose both coordinates follow.
const UNCOMPRESSED: u8 = 4;

impl Kind {
    fn fits(self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Hs256 => self == Self::Secret,
            Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 | Algorithm::Ps256 => self == Self::Rsa,
            Algorithm::Es256 => self == Self::P256,
            Algorithm::Es384 => self == Self::P384,
            Algorithm::EdDsa => self == Self::Ed25519,
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VerifyingKey")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What is no key to check signatures with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither PEM nor JSON.
    #[error(
        "it is no public key; expected PEM that begins with `-----BEGIN PUBLIC KEY-----`, or a JSON Web Key Set"
    )]
    NotPem,
    /// JSON, but of another form.
    #[error("it is no JSON Web Key or set of them (RFC 7517)")]
    NotJson,
    /// A set without keys.
    #[error("it is a set of no keys")]
    Empty,
    /// A private key, which has to stay with the issuer.
    #[error("it is a private key; it has to stay with the issuer, expected its public key")]
    Private,
    /// Not for signatures.
    #[error("it is a key for another use than signatures")]
    OtherUse,
    /// Of a kind or for an algorithm that is not supported.
    #[error(
        "it is of an unsupported kind; expected RSA, P-256, P-384 or Ed25519, and no other `alg` than fits it"
    )]
    Unsupported,
    /// Too small, too large, or not of its kind's size.
    #[error(
        "it has not its kind's size; expected RSA of 2048 to 8192 bits, and 32 or 48 bytes for a coordinate"
    )]
    Size,
}
