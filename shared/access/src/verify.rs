//! Verifies tokens (RFC 7519). The configuration decides how, never the token.
//!
//! `jsonwebtoken` provides the cryptography. Its `decode` is not used: it reads the system's clock, while here the
//! caller passes the time in. It also does not recognise `exp` and `nbf` as numbers where `serde_json` keeps numbers as
//! written.
//!
//! Before the signature is verified, two members of the token select from the configuration: `iss` selects the issuer,
//! and `kid` selects the key among the issuer's. A false value selects a key that did not make the signature. The other
//! claims are not even parsed before that.

use std::time::SystemTime;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::issuer::SUB;
use crate::jws::Unverified;
use crate::policy::Validity;
use crate::{Claims, Issuer, Keys, Policy, Refusal, Token};

/// Verifies tokens. Clones share the fetched keys.
#[derive(Debug, Clone)]
pub struct Verifier {
    issuers: Vec<Issuer>,
    policy: Policy,
}

impl Verifier {
    /// Creates a verifier for the tokens of these issuers. The policy applies to all of them.
    ///
    /// No two issuers may have the same name. Keys are fetched only while [`Verifier::keep_keys`] runs.
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

    /// Verifies a token like [`Verifier::verify_known`], but fetches the issuer's keys if the token's key is not known,
    /// as often as the issuer's settings allow. It waits at most for the issuer's `patience`.
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

    /// Checks length, issuer, type, algorithm, signature, audience, times, user and tenant, in this order, with the
    /// known keys only.
    pub fn verify_known(&self, token: &Token, now: SystemTime) -> Result<Claims, Refusal> {
        self.policy.check_length(token)?;
        let parsed = Unverified::parse(token)?;
        let issuer = self.issuer(&parsed)?;
        self.policy.check_type(parsed.media_type())?;
        let mut all = parsed.check_signature(issuer)?;
        issuer.check_audience(&all)?;
        let Validity { expires_at, issued_at } = self.policy.check_times(&all, now)?;

        let subject = issuer.user(&all)?;
        // Catalogs name the user `{sub}`, whatever the issuer calls it.
        all.insert(SUB.to_owned(), subject.clone().into());
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
