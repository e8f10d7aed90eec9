//! From a token to verified claims (RFC 7519), by what is configured and never by what the token asks for.
//!
//! Cryptography is `jsonwebtoken`'s. Its `decode` is not used: it reads the system's clock, while here the caller passes
//! the time in, and where `serde_json` keeps numbers as written it does not recognise `exp` and `nbf` as numbers.
//!
//! Before the signature was found good, two things of a token are looked at, and both only choose among what is
//! configured: `iss` finds the issuer whose key it must be, `kid` the key among the issuer's. Whoever lies there is
//! checked against a key that did not sign.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::keys::Search;
use crate::{Claims, Issuer, Keys, Refusal, Token};

/// Verifies tokens. Clones share the keys that were fetched.
#[derive(Debug, Clone)]
pub struct Verifier {
    issuers: Vec<Issuer>,
    leeway: Duration,
}

impl Verifier {
    /// A verifier that lets clocks differ by `leeway` when it checks `exp` and `nbf`.
    ///
    /// No two issuers have the same name. Unless [`Verifier::keep_keys`] runs, nothing is fetched.
    #[must_use]
    pub fn new(issuers: Vec<Issuer>, leeway: Duration) -> Self {
        Self { issuers, leeway }
    }

    /// Keeps the keys of issuers that publish them up to date, until cancelled.
    pub async fn keep_keys(self, cancelled: CancellationToken) {
        let remote = self.issuers.iter().filter_map(|issuer| match &issuer.keys {
            Keys::Remote(keys) => Some(keys.keep(cancelled.clone())),
            Keys::Fixed(_) => None,
        });
        join_all(remote).await;
    }

    /// As [`Verifier::verify_known`], but asks the issuer for its keys if the token's is not known, as often as the issuer's
    /// settings allow. It waits for that at most the issuer's patience.
    pub async fn verify(&self, token: &Token, now: impl Fn() -> SystemTime) -> Result<Claims, Refusal> {
        let refusal = match self.verify_known(token, now()) {
            Err(refusal) if refusal.may_pass() => refusal,
            decided => return decided,
        };
        let parsed = Unverified::parse(token)?;
        let Keys::Remote(keys) = &self.issuer(&parsed)?.keys else { return Err(refusal) };
        keys.learn().await;
        self.verify_known(token, now())
    }

    /// Checks issuer, algorithm, signature, audience, times, user and tenant, in this order, with the keys that are known.
    pub fn verify_known(&self, token: &Token, now: SystemTime) -> Result<Claims, Refusal> {
        let parsed = Unverified::parse(token)?;
        let issuer = self.issuer(&parsed)?;
        let all = parsed.check_signature(issuer)?;
        issuer.check_audience(&all)?;
        let expires_at = self.check_times(&all, now)?;

        let subject = non_empty_text(&all, "sub").ok_or(Refusal::Subject)?;
        let tenant = issuer.tenancy.tenant(&all)?;
        let session = non_empty_text(&all, "sid");
        let issued_at = point_in_time(&all, "iat").ok().flatten().map(|time| time.as_secs());
        Ok(Claims { subject, tenant, expires_at, issued_at, session, all })
    }

    fn issuer(&self, token: &Unverified<'_>) -> Result<&Issuer, Refusal> {
        let name = token.claims.get("iss").and_then(Value::as_str);
        let named =
            self.issuers.iter().find(|issuer| issuer.name.is_some() && issuer.name.as_deref() == name);
        named.or_else(|| self.issuers.iter().find(|issuer| issuer.name.is_none())).ok_or(Refusal::Issuer)
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

/// A token in the compact form of RFC 7515, section 7.1, taken apart and not yet believed.
struct Unverified<'t> {
    header: Header,
    claims: Map<String, Value>,
    message: &'t str,
    signature: &'t str,
}

/// What of a header matters. A key that the header brings along or points to (`jwk`, `jku`, `x5u`)
/// does not.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// RFC 7515, section 4.1.11: extensions to refuse unless understood. None is understood here.
    crit: Option<IgnoredAny>,
}

impl<'t> Unverified<'t> {
    fn parse(token: &'t Token) -> Result<Self, Refusal> {
        let (message, signature) = token.expose().rsplit_once('.').ok_or(NOT_COMPACT)?;
        let (header, payload) = message.split_once('.').ok_or(NOT_COMPACT)?;
        if payload.contains('.') || URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(NOT_COMPACT);
        }
        let header: Header = decode(header).ok_or(BAD_HEADER)?;
        if header.crit.is_some() {
            return Err(Refusal::Malformed("a header without critical extensions"));
        }
        let claims = decode(payload).ok_or(BAD_CLAIMS)?;
        Ok(Self { header, claims, message, signature })
    }

    /// The claims, if one of the issuer's keys has signed them.
    fn check_signature(self, issuer: &Issuer) -> Result<Map<String, Value>, Refusal> {
        let named = self.header.alg.parse().ok();
        let allowed = named.filter(|algorithm| issuer.algorithms.contains(algorithm));
        let Some(algorithm) = allowed else {
            return Err(Refusal::Algorithm { expected: issuer.algorithms.clone() });
        };
        let message = self.message.as_bytes();
        let found = issuer
            .keys
            .search(self.header.kid.as_deref(), |key| key.verifies(self.signature, message, algorithm));
        match found {
            Search::Signed => Ok(self.claims),
            Search::Wrong => Err(Refusal::Signature),
            Search::Unknown => Err(Refusal::UnknownKey),
            Search::Unavailable(retry_after) => Err(Refusal::KeysUnavailable { retry_after }),
        }
    }
}

const NOT_COMPACT: Refusal =
    Refusal::Malformed("a JSON Web Token: header, claims and signature in base64url, joined by dots");
const BAD_HEADER: Refusal =
    Refusal::Malformed("a header that is a JSON object with `alg`, in base64url without padding");
const BAD_CLAIMS: Refusal = Refusal::Malformed("claims that are a JSON object, in base64url without padding");

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
