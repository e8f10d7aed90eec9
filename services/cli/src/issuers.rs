//! Builds the token verifier from the configuration.

use std::path::Path;

use tidings_access::{
    Algorithm, Audience, HttpKeySource, Issuer, Keys, Policy, RefreshSettings, RemoteKeys, ShortSecret,
    SigningSecret, Tenancy, TokenTypes, Verifier, VerifyingKey,
};
use tidings_model::Tenant;
use tidings_runtime::config::{AccessConfig, IssuerConfig, Secret, SignatureAlgorithm};

use crate::failure::Failure;

/// Builds a verifier for the configured issuers. [`Verifier::keep_keys`] fetches published keys.
pub(crate) fn verifier(config: &AccessConfig) -> Result<Verifier, Failure> {
    let issuers = if config.issuers.is_empty() {
        vec![single(config)?]
    } else {
        let issuers = config.issuers.iter().enumerate().map(|(index, issuer)| {
            one(config, issuer).map_err(|error| format!("access.issuers[{index}].{error}").into())
        });
        issuers.collect::<Result<_, Failure>>()?
    };
    let policy = Policy {
        leeway: config.leeway,
        max_lifetime: (!config.max_lifetime.is_zero()).then_some(config.max_lifetime),
        max_token_bytes: config.max_token_bytes,
        types: TokenTypes::new(config.types.iter().map(String::as_str)),
    };
    Ok(Verifier::new(issuers, policy))
}

/// The issuer with the single secret, which may issue tokens for every tenant unless one is configured.
fn single(config: &AccessConfig) -> Result<Issuer, Failure> {
    let secret = config.hs256_secret.as_ref().ok_or("`access.hs256_secret` is not set")?;
    let audience = config.audience.clone().map(|value| Audience { claim: "aud".to_owned(), value });
    let issuer = Issuer::with_secret(&SigningSecret::new(secret.expose())?);
    let keys = secrets(secret, config.hs256_previous_secret.as_ref())?;
    let tenancy = match &config.tenant {
        Some(tenant) => Tenancy::Fixed(Tenant::parse(tenant)?),
        None => issuer.tenancy,
    };
    let user_claim = user_claim(config.user_claim.as_deref());
    Ok(Issuer { name: config.issuer.clone(), audience, user_claim, tenancy, keys, ..issuer })
}

/// The claim that names users.
pub(crate) fn user_claim(configured: Option<&str>) -> String {
    configured.unwrap_or("sub").to_owned()
}

/// Builds one issuer. An error begins with the configuration key that it concerns.
fn one(config: &AccessConfig, issuer: &IssuerConfig) -> Result<Issuer, String> {
    let claim = issuer.audience_claim.clone();
    Ok(Issuer {
        name: Some(issuer.issuer.clone()),
        audience: issuer.audience.clone().map(|value| Audience { claim, value }),
        algorithms: issuer.algorithms.iter().copied().map(algorithm).collect(),
        user_claim: user_claim(issuer.user_claim.as_deref()),
        tenancy: tenancy(issuer)?,
        keys: keys(config, issuer)?,
    })
}

fn tenancy(issuer: &IssuerConfig) -> Result<Tenancy, String> {
    let parse =
        |key: &str, name: &str| Tenant::parse(name).map_err(|error| format!("{key} = {name:?}: {error}"));
    if let Some(tenant) = &issuer.tenant {
        return Ok(Tenancy::Fixed(parse("tenant", tenant)?));
    }
    let allowed = issuer
        .tenants
        .as_ref()
        .map(|tenants| tenants.iter().map(|tenant| parse("tenants", tenant)).collect::<Result<_, _>>());
    let claim = issuer.tenant_claim.clone().unwrap_or_else(|| "tenant".to_owned());
    Ok(Tenancy::Claimed { claim, allowed: allowed.transpose()? })
}

fn keys(config: &AccessConfig, issuer: &IssuerConfig) -> Result<Keys, String> {
    if let Some(url) = &issuer.jwks_url {
        let wrong = |error: &dyn std::error::Error| format!("jwks_url = {url:?}: {error}");
        let parsed = url.parse().map_err(|error: http::uri::InvalidUri| wrong(&error))?;
        let source = HttpKeySource::new(parsed, config.jwks_timeout).map_err(|error| wrong(&error))?;
        let settings = RefreshSettings {
            max_age: config.jwks_max_age,
            cooldown: config.jwks_cooldown,
            grace: config.jwks_grace,
            patience: config.jwks_timeout,
        };
        return Ok(Keys::Remote(RemoteKeys::new(source, settings)));
    }
    if let Some(secret) = &issuer.hs256_secret {
        return secrets(secret, issuer.hs256_previous_secret.as_ref())
            .map_err(|error| format!("hs256_secret: {error}"));
    }
    let files = issuer.key_files.iter().map(|path| read(path, issuer));
    Ok(Keys::Fixed(files.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()))
}

/// The current secret and the one that it replaces.
fn secrets(current: &Secret, previous: Option<&Secret>) -> Result<Keys, ShortSecret> {
    let all = [Some(current), previous].into_iter().flatten();
    let keys = all.map(|secret| Ok(VerifyingKey::from_secret(&SigningSecret::new(secret.expose())?)));
    Ok(Keys::Fixed(keys.collect::<Result<_, _>>()?))
}

fn read(path: &Path, issuer: &IssuerConfig) -> Result<Vec<VerifyingKey>, String> {
    let wrong =
        |error: &dyn std::error::Error| format!("key_files = {:?}: {error}", path.display().to_string());
    let content = std::fs::read(path).map_err(|error| wrong(&error))?;
    let keys = VerifyingKey::from_file(&content).map_err(|error| wrong(&error))?;
    let is_usable = |key: &VerifyingKey| issuer.algorithms.iter().any(|allowed| fits(key, *allowed));
    if keys.iter().all(is_usable) {
        Ok(keys)
    } else {
        let allowed: Vec<_> = issuer.algorithms.iter().map(|allowed| algorithm(*allowed).name()).collect();
        let path = path.display().to_string();
        Err(format!("key_files = {path:?}: a key in it fits none of the algorithms {}", allowed.join(", ")))
    }
}

/// Whether signatures of this algorithm can be verified with the key.
pub(crate) fn fits(key: &VerifyingKey, allowed: SignatureAlgorithm) -> bool {
    key.fits(algorithm(allowed))
}

fn algorithm(configured: SignatureAlgorithm) -> Algorithm {
    match configured {
        SignatureAlgorithm::HS256 => Algorithm::Hs256,
        SignatureAlgorithm::RS256 => Algorithm::Rs256,
        SignatureAlgorithm::RS384 => Algorithm::Rs384,
        SignatureAlgorithm::RS512 => Algorithm::Rs512,
        SignatureAlgorithm::PS256 => Algorithm::Ps256,
        SignatureAlgorithm::ES256 => Algorithm::Es256,
        SignatureAlgorithm::ES384 => Algorithm::Es384,
        SignatureAlgorithm::EdDSA | SignatureAlgorithm::Ed25519 => Algorithm::EdDsa,
    }
}
