//! Requirements for the tokens of all issuers.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::{Refusal, Token};

/// Requirements for all tokens.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The tolerance between clocks when `exp`, `nbf` and `iat` are checked.
    pub leeway: Duration,
    /// The longest time for which a token may be valid, from `iat`, or from now if it has none. `None` sets no limit.
    pub max_lifetime: Option<Duration>,
    /// The longest token, in bytes; at most [`Token::MAX_LENGTH`].
    pub max_token_bytes: usize,
    /// The accepted media types.
    pub types: TokenTypes,
}

impl Default for Policy {
    /// 30 seconds of leeway, any lifetime, 8 KiB, and the media types of access tokens.
    fn default() -> Self {
        let types = TokenTypes::new([TokenTypes::ABSENT, "JWT", "at+jwt"]);
        Self { leeway: Duration::from_secs(30), max_lifetime: None, max_token_bytes: 8 * 1024, types }
    }
}

/// The accepted values of `typ` (RFC 7515, section 4.1.9).
///
/// An issuer also signs other tokens with its keys: logout tokens, proofs of possession, security events. Their media
/// type distinguishes them (RFC 8725, section 3.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTypes {
    allows_absent: bool,
    names: BTreeSet<String>,
}

impl TokenTypes {
    /// In a list, the value for tokens without `typ`.
    pub const ABSENT: &str = "absent";

    /// Creates a list of types, in any case, with or without the prefix `application/`.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut names: BTreeSet<_> = names.into_iter().map(canonical).collect();
        Self { allows_absent: names.remove(Self::ABSENT), names }
    }

    fn accepts(&self, given: Option<&str>) -> bool {
        given.map_or(self.allows_absent, |given| self.names.contains(&canonical(given)))
    }

    fn expected(&self) -> String {
        let absent = self.allows_absent.then_some("none");
        absent.into_iter().chain(self.names.iter().map(String::as_str)).collect::<Vec<_>>().join(" or ")
    }
}

/// Names of media types ignore case (RFC 2045, section 5.1).
fn canonical(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match lower.strip_prefix("application/") {
        // The prefix may be omitted only if there is no other slash.
        Some(rest) if !rest.contains('/') => rest.to_owned(),
        _ => lower,
    }
}

/// The times of a token, in seconds since 1970.
pub(crate) struct Validity {
    pub(crate) expires_at: u64,
    pub(crate) issued_at: Option<u64>,
}

impl Policy {
    pub(crate) fn check_length(&self, token: &Token) -> Result<(), Refusal> {
        let length = token.expose().len();
        let max = self.max_token_bytes;
        if length > max { Err(Refusal::TooLong { length, max }) } else { Ok(()) }
    }

    pub(crate) fn check_type(&self, given: Option<&str>) -> Result<(), Refusal> {
        let is_accepted = self.types.accepts(given);
        if is_accepted { Ok(()) } else { Err(Refusal::Type { expected: self.types.expected() }) }
    }

    /// Checks the times (RFC 7519, sections 4.1.4 to 4.1.6): valid from `nbf` on and before `exp`, and not issued in
    /// the future, all with the leeway. A token from the future would survive revocations until its `iat`.
    pub(crate) fn check_times(
        &self,
        claims: &Map<String, Value>,
        now: SystemTime,
    ) -> Result<Validity, Refusal> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let latest = now.saturating_add(self.leeway);
        let expires = point_in_time(claims, "exp")?.ok_or(Refusal::Time { claim: "exp" })?;
        if now >= expires.saturating_add(self.leeway) {
            return Err(Refusal::Expired { expired_at: expires.as_secs() });
        }
        for claim in ["nbf", "iat"] {
            if let Some(not_before) = point_in_time(claims, claim)?.filter(|time| latest < *time) {
                return Err(Refusal::NotYetValid { claim, not_before: not_before.as_secs() });
            }
        }
        let issued = point_in_time(claims, "iat")?;
        let lifetime = expires.saturating_sub(issued.unwrap_or(now).min(now));
        if let Some(max) = self.max_lifetime.filter(|max| lifetime > *max) {
            return Err(Refusal::Lifetime { max });
        }
        Ok(Validity { expires_at: expires.as_secs(), issued_at: issued.map(|time| time.as_secs()) })
    }
}

/// The last second of the year 9999. A later time is probably in milliseconds, and such a token would practically never
/// expire.
const LAST_SECOND: u64 = 253_402_300_799;

/// Returns a `NumericDate` (RFC 7519, section 2), which may have a fraction, as the time since 1970.
fn point_in_time(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<Duration>, Refusal> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    value
        .as_f64()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| time.as_secs() <= LAST_SECOND)
        .map(Some)
        .ok_or(Refusal::Time { claim })
}
