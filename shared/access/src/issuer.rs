//! Whom to believe, and about what.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tidings_model::Tenant;

use crate::claims::value_at;
use crate::{Algorithm, Keys, Refusal, SigningSecret, VerifyingKey};

/// Somebody whose tokens are accepted.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// What `iss` must be. An issuer without a name is asked about every token that names no other; `iss` is not checked then.
    pub name: Option<String>,
    /// What the token must be meant for; without it, that is not checked.
    pub audience: Option<Audience>,
    /// The algorithms that it signs with. A key is used with those of them that fit it.
    pub algorithms: Vec<Algorithm>,
    /// Whose users it vouches for.
    pub tenancy: Tenancy,
    /// What it signs with.
    pub keys: Keys,
}

/// For whom a token is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// The claim that says so: `aud`, or what an identity provider uses in its stead (`client_id`, `azp`).
    pub claim: String,
    /// What the claim must be, or contain.
    pub value: String,
}

/// How a token's tenant is found, and which tenants an issuer may speak for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenancy {
    /// All of its users are this tenant's, whatever its tokens say.
    Fixed(Tenant),
    /// Its tokens say it.
    Claimed {
        /// The claim's name, or a path into objects (`app.tenant`).
        claim: String,
        /// The tenants that it may name; without it, all.
        allowed: Option<BTreeSet<Tenant>>,
    },
}

impl Issuer {
    /// Whoever shares this secret may speak for every tenant, with HS256 and the claim `tenant`.
    #[must_use]
    pub fn with_secret(secret: &SigningSecret) -> Self {
        Self {
            name: None,
            audience: None,
            algorithms: vec![Algorithm::Hs256],
            tenancy: Tenancy::Claimed { claim: "tenant".to_owned(), allowed: None },
            keys: Keys::Fixed(vec![VerifyingKey::from_secret(secret)]),
        }
    }

    /// RFC 7519, section 4.1.3: one string or a list of them.
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
    /// The tenant of well-signed claims.
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
