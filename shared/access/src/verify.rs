//! From a token to verified claims (RFC 7519), by what is configured and never by what the token asks for.
//!
//! Cryptography is `jsonwebtoken`'s. Its `decode` is not used: it reads the system's clock, while here the caller passes
//! the time in, and where `serde_json` keeps numbers as written it does not recognise `exp` and `nbf` as numbers.
//!
//! Before the signature was found good, two things of a token choose among what is configured: `iss` finds the issuer
//! whose key it must be, `kid` the key among the issuer's. Whoever lies there is checked against a key that did not sign.
//! The other claims are not even parsed before that.

use std::time::SystemTime;

use futures_util::future::join_all;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::jws::Unverified;
use crate::policy::Validity;
use crate::{Claims, Issuer, Keys, Policy, Refusal, Token};

/// Verifies tokens. Clones share the keys that were fetched.
#[derive(Debug, Clone)]
pub struct Verifier {
    issuers: Vec<Issuer>,
    policy: Policy,
}

impl Verifier {
    /// A verifier of the tokens of these issuers, all of which have to keep to the policy.
    ///
    /// No two issuers have the same name. Unless [`Verifier::keep_keys`] runs, nothing is fetched.
    #[must_use]
    pub fn new(issuers: Vec<Issuer>, policy: Policy) -> Self {
        Self { issuers, policy }
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

    /// Checks length, issuer, type, algorithm, signature, audience, times, user and tenant, in this order, with the keys
    /// that are known.
    pub fn verify_known(&self, token: &Token, now: SystemTime) -> Result<Claims, Refusal> {
        self.policy.check_length(token)?;
        let parsed = Unverified::parse(token)?;
        let issuer = self.issuer(&parsed)?;
        self.policy.check_type(parsed.media_type())?;
        let all = parsed.check_signature(issuer)?;
        issuer.check_audience(&all)?;
        let Validity { expires_at, issued_at } = self.policy.check_times(&all, now)?;

        let subject = non_empty_text(&all, "sub").ok_or(Refusal::Subject)?;
        let tenant = issuer.tenancy.tenant(&all)?;
        Ok(Claims { subject, tenant, expires_at, issued_at, all })
    }

    fn issuer(&self, token: &Unverified<'_>) -> Result<&Issuer, Refusal> {
        let name = token.issuer();
        let named =
            self.issuers.iter().find(|issuer| issuer.name.is_some() && issuer.name.as_deref() == name);
        named.or_else(|| self.issuers.iter().find(|issuer| issuer.name.is_none())).ok_or(Refusal::Issuer)
    }
}

fn non_empty_text(claims: &Map<String, Value>, claim: &str) -> Option<String> {
    claims.get(claim)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
