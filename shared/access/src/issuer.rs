//! Issuers: which tokens are accepted, and for which tenants.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tidings_model::Tenant;

use crate::claims::value_at;
use crate::{Algorithm, Keys, Refusal, SigningSecret, VerifyingKey};

/// An issuer whose tokens are accepted.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The required `iss`. An issuer without a name is used for every token whose `iss` names no other issuer; `iss` is
    /// not checked then.
    pub name: Option<String>,
    /// The required audience. `None` disables the check.
    pub audience: Option<Audience>,
    /// The issuer's algorithms. A key is used only with those that fit it.
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the user, or a path into objects: `sub`, or what an application uses instead.
    pub user_claim: String,
    /// The tenants that it may issue tokens for.
    pub tenancy: Tenancy,
    /// Its keys.
    pub keys: Keys,
}

/// The required audience of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// The claim with the audience: `aud`, or what an identity provider uses instead (`client_id`, `azp`).
    pub claim: String,
    /// The value that the claim must be or contain.
    pub value: String,
}

/// How a token's tenant is determined, and which tenants an issuer may issue tokens for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenancy {
    /// All tokens are for this tenant, whatever they claim.
    Fixed(Tenant),
    /// A claim names the tenant.
    Claimed {
        /// The claim's name, or a path into objects (`app.tenant`).
        claim: String,
        /// The tenants that the claim may name. `None` allows all.
        allowed: Option<BTreeSet<Tenant>>,
    },
}

/// The claim that names the user (RFC 7519, section 4.1.2).
pub(crate) const SUB: &str = "sub";

impl Issuer {
    /// An issuer with a shared secret: HS256, every tenant, the claim `tenant`.
    #[must_use]
    pub fn with_secret(secret: &SigningSecret) -> Self {
        Self {
            name: None,
            audience: None,
            algorithms: vec![Algorithm::Hs256],
            user_claim: SUB.to_owned(),
            tenancy: Tenancy::Claimed { claim: "tenant".to_owned(), allowed: None },
            keys: Keys::Fixed(vec![VerifyingKey::from_secret(secret)]),
        }
    }

    /// Returns the user of verified claims.
    pub(crate) fn user(&self, claims: &Map<String, Value>) -> Result<String, Refusal> {
        let user = value_at(claims, &self.user_claim).and_then(Value::as_str).filter(|user| !user.is_empty());
        user.map(str::to_owned).ok_or_else(|| Refusal::Subject { claim: self.user_claim.clone() })
    }

    /// Checks the audience, which is one string or a list of strings (RFC 7519, section 4.1.3).
    pub(crate) fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let Some(Audience { claim, value }) = &self.audience else { return Ok(()) };
        let is_meant = match claims.get(claim) {
            Some(Value::Array(audiences)) => audiences.iter().any(|one| one == value),
            Some(audience) => audience == value,
            None => false,
        };
        if is_meant {
            Ok(())
        } else {
            Err(Refusal::Audience { claim: claim.clone(), expected: value.clone() })
        }
    }
}

impl Tenancy {
    /// Returns the tenant of verified claims.
    pub(crate) fn tenant(&self, claims: &Map<String, Value>) -> Result<Tenant, Refusal> {
        let (claim, allowed) = match self {
            Self::Fixed(tenant) => return Ok(tenant.clone()),
            Self::Claimed { claim, allowed } => (claim, allowed),
        };
        let tenant = value_at(claims, claim)
            .and_then(Value::as_str)
            .and_then(|name| Tenant::parse(name).ok())
            .ok_or_else(|| Refusal::Tenant { claim: claim.clone() })?;
        if allowed.as_ref().is_some_and(|allowed| !allowed.contains(&tenant)) {
            return Err(Refusal::ForeignTenant(tenant));
        }
        Ok(tenant)
    }
}
