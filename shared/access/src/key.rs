//! Keys that verify signatures.
//!
//! A key knows its kind and is never used with an algorithm of another kind: the bytes of a public key are not a secret
//! for HS256, and a point on one curve is not one on another. This holds for any configuration of an issuer.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use serde_json::Value;
use tidings_model::json;

use crate::{Algorithm, SigningSecret};

/// The kind of a key, which determines its algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// A key that verifies signatures. `Debug` hides it.
#[derive(Clone)]
pub struct VerifyingKey {
    id: Option<String>,
    kind: Kind,
    /// The only algorithm of the key, if its owner declares one.
    only: Option<Algorithm>,
    key: DecodingKey,
    /// The bytes that identify the key.
    material: Box<[u8]>,
}

impl VerifyingKey {
    /// The sizes of RSA keys: 2048 to 8192 bits (RFC 7518, section 3.3; the upper bound is the library's).
    const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
    /// The longest identifier, in bytes. Every token repeats it, so it is short.
    pub(crate) const MAX_ID: usize = 256;

    /// Creates a key from a secret that is shared with the issuer, for HS256.
    #[must_use]
    pub fn from_secret(secret: &SigningSecret) -> Self {
        Self { id: None, kind: Kind::Secret, only: None, key: secret.decoding_key(), material: [].into() }
    }

    /// Parses the keys of a file: one public key in PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`), one JSON Web Key, or a set
    /// of them, whose keys have a `kid`.
    ///
    /// Unlike in a fetched set, every key in a file must be usable.
    pub fn from_file(content: &[u8]) -> Result<Vec<Self>, KeyError> {
        let text = str::from_utf8(content).map_err(|_| KeyError::NotPem)?.trim();
        if !text.starts_with('{') {
            return Ok(vec![Self::from_pem(text)?]);
        }
        let value: Value = json::parse_unique(text.as_bytes()).map_err(|_| KeyError::NotJson)?;
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

    /// Parses a public key of RFC 7517, RFC 7518, section 6, or RFC 8037, section 2. Unknown members are ignored.
    pub(crate) fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        if !jwk.is_object() {
            return Err(KeyError::NotJson);
        }
        if member(jwk, "d").is_some() {
            return Err(KeyError::Private);
        }
        if !is_for_signatures(jwk) {
            return Err(KeyError::OtherUse);
        }
        let mut key = match text(jwk, "kty")? {
            "RSA" => Self::rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?)?,
            "EC" => {
                let size = match text(jwk, "crv")? {
                    "P-256" => 32,
                    "P-384" => 48,
                    other => return Err(KeyError::unsupported("crv", other)),
                };
                let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
                if x.len() != size || y.len() != size {
                    return Err(KeyError::Size);
                }
                Self::point(&[&[UNCOMPRESSED], &*x, &*y].concat())?
            }
            "OKP" => match text(jwk, "crv")? {
                "Ed25519" => Self::ed25519(&bytes(jwk, "x")?)?,
                other => return Err(KeyError::unsupported("crv", other)),
            },
            // Includes `oct`: a secret in a published set is not secret.
            other => return Err(KeyError::unsupported("kty", other)),
        };
        if member(jwk, "alg").is_some() {
            let name = text(jwk, "alg")?;
            let fitting = name.parse().ok().filter(|algorithm| key.kind.fits(*algorithm));
            key.only = Some(fitting.ok_or_else(|| KeyError::unsupported("alg", name))?);
        }
        if member(jwk, "kid").is_some() {
            let id = text(jwk, "kid")?;
            if id.len() > Self::MAX_ID {
                return Err(KeyError::Identifier);
            }
            key.id = Some(id.to_owned());
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

    /// Parses a point on a curve. Its size determines the curve (SEC 1, section 2.3.3). A point on neither curve
    /// verifies nothing.
    fn point(bytes: &[u8]) -> Result<Self, KeyError> {
        let kind = match (bytes.first(), bytes.len()) {
            (Some(&UNCOMPRESSED), 65) => Kind::P256,
            (Some(&UNCOMPRESSED), 97) => Kind::P384,
            _ => return Err(KeyError::Size),
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

    /// Returns whether the key can be used with `algorithm`.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.kind.fits(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    #[cfg(test)]
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns whether a token with the identifier `id`, or without one, may be signed with this key. A key without an
    /// identifier matches every token.
    pub(crate) fn may_be(&self, id: Option<&str>) -> bool {
        match (&self.id, id) {
            (Some(own), Some(id)) => own == id,
            (None, _) | (_, None) => true,
        }
    }

    /// Returns whether both are the same key with the same identifier.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.id == other.id
            && self.kind == other.kind
            && self.only == other.only
            && self.material == other.material
    }

    /// Verifies that `signature`, in base64url, is this key's for `message`.
    pub(crate) fn verifies(&self, signature: &str, message: &[u8], algorithm: Algorithm) -> bool {
        self.fits(algorithm)
            && jsonwebtoken::crypto::verify(signature, message, &self.key, algorithm.library())
                .unwrap_or(false)
    }
}

/// Returns a member. Null counts as absent.
fn member<'j>(jwk: &'j Value, name: &str) -> Option<&'j Value> {
    jwk.get(name).filter(|value| !value.is_null())
}

fn text<'j>(jwk: &'j Value, name: &'static str) -> Result<&'j str, KeyError> {
    member(jwk, name).and_then(Value::as_str).ok_or(KeyError::Member(name))
}

fn bytes(jwk: &Value, name: &'static str) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).map_err(|_| KeyError::Member(name))
}

/// RFC 7517, sections 4.2 and 4.3. A key without these members is for any use.
fn is_for_signatures(jwk: &Value) -> bool {
    let is_used = member(jwk, "use").is_none_or(|use_| use_ == "sig");
    let verifies = |all: &Value| all.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"));
    is_used && member(jwk, "key_ops").is_none_or(verifies)
}

/// SEC 1, section 2.3.3: the first byte of a point with both coordinates.
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

impl KeyError {
    /// The longest value in an error, in characters.
    const SHOWN: usize = 64;

    fn unsupported(member: &'static str, value: &str) -> Self {
        Self::Unsupported { member, value: value.chars().take(Self::SHOWN).collect() }
    }
}

/// Why a key cannot verify signatures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither PEM nor JSON.
    #[error(
        "it is no public key; expected PEM that begins with `-----BEGIN PUBLIC KEY-----`, or a JSON Web Key Set"
    )]
    NotPem,
    /// JSON of another form.
    #[error("it is no JSON Web Key or set of them (RFC 7517)")]
    NotJson,
    /// A set without keys.
    #[error("it is a set of no keys")]
    Empty,
    /// A private key. It must stay with the issuer.
    #[error("it is a private key; it has to stay with the issuer, expected its public key")]
    Private,
    /// A key for another use.
    #[error("it is a key for another use than signatures")]
    OtherUse,
    /// A member is missing, has another type, or is wrongly encoded.
    #[error("its `{0}` is missing or not the text that RFC 7518 asks for")]
    Member(&'static str),
    /// A kind or algorithm that is not supported.
    #[error(
        "its `{member}` is {value:?}; expected a key of RSA, P-256, P-384 or Ed25519, and no other `alg` than fits it"
    )]
    Unsupported {
        /// The member: `kty`, `crv` or `alg`.
        member: &'static str,
        /// Its value, shortened.
        value: String,
    },
    /// A key that is too small, too large, or not of its kind's size.
    #[error(
        "it has not its kind's size; expected RSA of 2048 to 8192 bits, and 32 or 48 bytes for a coordinate"
    )]
    Size,
    /// An identifier that is too long for every token to repeat.
    #[error("its `kid` is longer than {max} bytes", max = VerifyingKey::MAX_ID)]
    Identifier,
    /// The set has too many usable keys.
    #[error("it is one of more than {max} that could be used", max = crate::jwks::MAX_KEYS)]
    TooMany,
}
