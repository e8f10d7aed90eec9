//! From a token to verified claims (RFC 7519), by what is configured and never by what the token
//! asks for.
//!
//! Cryptography is `jsonwebtoken`'s. Its `decode` is not used: it reads the system's clock, while
//! here the caller passes the time in, and where `serde_json` keeps numbers as written it does not
//! recognise `exp` and `nbf` as numbers. No claim is looked at before the signature was found good.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};
use tidings_model::Tenant;

use crate::{Claims, Refusal, SigningSecret, Token};

/// Whom to believe, and about what.
#[derive(Debug, Clone)]
pub struct Trust {
    /// With what tokens are signed.
    pub key: Key,
    /// What `iss` must be; without it, `iss` is not checked.
    pub issuer: Option<String>,
    /// What `aud` must be or contain; without it, `aud` is not checked.
    pub audience: Option<String>,
}

/// A key together with the one algorithm that it is for, so that no token can choose another.
#[derive(Debug, Clone)]
pub enum Key {
    /// HMAC with SHA-256 and a shared secret.
    Hs256(SigningSecret),
}

/// Verifies tokens.
#[derive(Debug, Clone)]
pub struct Verifier {
    algorithm: Algorithm,
    key: DecodingKey,
    issuer: Option<String>,
    audience: Option<String>,
    leeway: Duration,
}

impl Verifier {
    /// A verifier that lets clocks differ by `leeway` when it checks `exp` and `nbf`.
    #[must_use]
    pub fn new(trust: Trust, leeway: Duration) -> Self {
        let Trust { key, issuer, audience } = trust;
        let (algorithm, key) = match key {
            Key::Hs256(secret) => (Algorithm::HS256, secret.decoding_key()),
        };
        Self { algorithm, key, issuer, audience, leeway }
    }

    /// Checks signature, issuer, audience, times, user and tenant, in this order.
    pub fn verify(&self, token: &Token, now: SystemTime) -> Result<Claims, Refusal> {
        let all = self.check_signature(token)?;
        self.check_issuer(&all)?;
        self.check_audience(&all)?;
        let expires_at = self.check_times(&all, now)?;

        let subject = non_empty_text(&all, "sub").ok_or(Refusal::Subject)?;
        let tenant = non_empty_text(&all, "tenant")
            .and_then(|name| Tenant::parse(&name).ok())
            .ok_or(Refusal::Tenant)?;
        let session = non_empty_text(&all, "sid");
        Ok(Claims { subject, tenant, expires_at, session, all })
    }

    /// The claims of a token in the compact form of RFC 7515, section 7.1, if it is signed.
    fn check_signature(&self, token: &Token) -> Result<Map<String, Value>, Refusal> {
        let (message, signature) = token.expose().rsplit_once('.').ok_or(NOT_COMPACT)?;
        let (header, payload) = message.split_once('.').ok_or(NOT_COMPACT)?;
        if payload.contains('.') {
            return Err(NOT_COMPACT);
        }

        let header: Header = decode(header).ok_or(BAD_HEADER)?;
        if header.alg.parse().ok() != Some(self.algorithm) {
            return Err(Refusal::Algorithm { expected: format!("{:?}", self.algorithm) });
        }
        if header.crit.is_some() {
            return Err(Refusal::Malformed("a header without critical extensions"));
        }
        let message = message.as_bytes();
        match jsonwebtoken::crypto::verify(signature, message, &self.key, self.algorithm) {
            Ok(true) => decode(payload).ok_or(BAD_CLAIMS),
            Ok(false) => Err(Refusal::Signature),
            Err(_) => Err(NOT_COMPACT),
        }
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let Some(expected) = &self.issuer else { return Ok(()) };
        if claims.get("iss").and_then(Value::as_str) == Some(expected) {
            return Ok(());
        }
        Err(Refusal::Issuer { expected: expected.clone() })
    }

    /// RFC 7519, section 4.1.3: one string or a list of them.
    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let Some(expected) = &self.audience else { return Ok(()) };
        let is_meant = match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(|one| one == expected),
            Some(audience) => audience == expected,
            None => false,
        };
        if is_meant { Ok(()) } else { Err(Refusal::Audience { expected: expected.clone() }) }
    }

    /// RFC 7519, sections 4.1.4 and 4.1.5: valid from `nbf` on and before `exp`, both moved apart
    /// by the leeway. Returns `exp` in seconds since 1970.
    fn check_times(&self, claims: &Map<String, Value>, now: SystemTime) -> Result<u64, Refusal> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let expires_at = point_in_time(claims, "exp")?.ok_or(Refusal::Time { claim: "exp" })?;
        if now >= expires_at.saturating_add(self.leeway) {
            return Err(Refusal::Expired { expired_at: expires_at.as_secs() });
        }
        match point_in_time(claims, "nbf")? {
            Some(not_before) if now.saturating_add(self.leeway) < not_before => {
                Err(Refusal::NotYetValid { not_before: not_before.as_secs() })
            }
            _ => Ok(expires_at.as_secs()),
        }
    }
}

const NOT_COMPACT: Refusal =
    Refusal::Malformed("a JSON Web Token: header, claims and signature in base64url, joined by dots");
const BAD_HEADER: Refusal =
    Refusal::Malformed("a header that is a JSON object with `alg`, in base64url without padding");
const BAD_CLAIMS: Refusal = Refusal::Malformed("claims that are a JSON object, in base64url without padding");

/// What of a header matters. A key that the header brings along or points to (`jwk`, `jku`, `x5u`)
/// does not.
#[derive(Deserialize)]
struct Header {
    alg: String,
    /// RFC 7515, section 4.1.11: extensions to refuse unless understood. None is understood here.
    crit: Option<IgnoredAny>,
}

fn decode<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The last second of the year 9999. What lies beyond it is milliseconds given as seconds, and
/// would make a token that practically never expires.
const LAST_SECOND: u64 = 253_402_300_799;

/// A `NumericDate` (RFC 7519, section 2), which may have a fraction, as the time since 1970.
fn point_in_time(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<Duration>, Refusal> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    value
        .as_f64()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| time.as_secs() <= LAST_SECOND)
        .map(Some)
        .ok_or(Refusal::Time { claim })
}

fn non_empty_text(claims: &Map<String, Value>, claim: &str) -> Option<String> {
    claims.get(claim)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
