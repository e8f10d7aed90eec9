//! `tidings token`: prints a token signed with the configured secret, or with that of `tidings dev`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value};
use tidings_access::{SigningSecret, Token, mint};
use tidings_model::Tenant;
use tidings_runtime::config::{AccessConfig, IssuerConfig, Secret, SecretRule};
use time::OffsetDateTime;

use crate::arguments::TokenOptions;
use crate::failure::Failure;
use crate::issuers::user_claim;
use crate::output::print;
use crate::{known, serve};

/// The secret of `tidings dev`. It is public, so use it on a developer's machine only.
pub(crate) const DEV_SECRET: &str = "tidings-dev-secret-known-to-everybody";

/// Prints the token.
pub(crate) fn run(file: Option<&Path>, options: &TokenOptions) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let tenant = known::served_tenant(&config, &options.tenant)?;
    print(sign(&config.access, &tenant, claims(options)?, options.expires_in)?.expose())?;
    Ok(ExitCode::SUCCESS)
}

/// Signs a token of a tenant with these claims, such as `sub`, that is valid for so long from now on.
pub(crate) fn sign(
    access: &AccessConfig,
    tenant: &Tenant,
    mut claims: Map<String, Value>,
    valid: Duration,
) -> Result<Token, Failure> {
    let (now, seconds) = (OffsetDateTime::now_utc().unix_timestamp(), i64::try_from(valid.as_secs())?);
    claims.entry("tenant").or_insert_with(|| tenant.as_str().into());
    claims.insert("iat".to_owned(), now.into());
    claims.insert("exp".to_owned(), now.saturating_add(seconds).into());
    let secret = sign_for(access, tenant.as_str(), &mut claims)?;
    Ok(mint(&claims, &secret)?)
}

/// The secret to sign with, and the claims that its verifier expects.
fn sign_for(
    access: &AccessConfig,
    tenant: &str,
    claims: &mut Map<String, Value>,
) -> Result<SigningSecret, Failure> {
    let user = claims.get("sub").and_then(Value::as_str).map(str::to_owned);
    let mut expect = |claim: &str, value: &Option<String>| {
        if let Some(value) = value {
            claims.entry(claim).or_insert_with(|| value.as_str().into());
        }
    };
    if access.issuers.is_empty() {
        expect("iss", &access.issuer);
        expect("aud", &access.audience);
        expect(&user_claim(access.user_claim.as_deref()), &user);
        let secret = access.hs256_secret.as_ref();
        return Ok(SigningSecret::new(secret.map_or(DEV_SECRET.as_bytes(), Secret::expose))?);
    }
    let is_allowed = |issuer: &&IssuerConfig| match (&issuer.tenant, &issuer.tenants) {
        (Some(own), _) => own == tenant,
        (None, Some(allowed)) => allowed.iter().any(|one| one == tenant),
        (None, None) => true,
    };
    let mut allowed = access.issuers.iter().filter(is_allowed);
    let found = allowed.find_map(|issuer| Some((issuer, issuer.hs256_secret.as_ref()?)));
    let (issuer, secret) = found.ok_or_else(|| {
        format!("no issuer in access.issuers has a secret and may issue tokens for tenant {tenant}")
    })?;
    expect("iss", &Some(issuer.issuer.clone()));
    expect(&issuer.audience_claim, &issuer.audience);
    expect(&user_claim(issuer.user_claim.as_deref()), &user);
    if let Some(claim) = &issuer.tenant_claim {
        expect(claim, &Some(tenant.to_owned()));
    }
    Ok(SigningSecret::new(secret.expose())?)
}

fn claims(options: &TokenOptions) -> Result<Map<String, Value>, Failure> {
    let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for claim in &options.claim {
        let wrong = || format!("--claim {claim:?} is not of the form name=value, such as orgId=o1");
        let (name, value) = claim.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
        named.entry(name).or_default().push(value);
    }
    named.entry("role").or_default().extend(options.role.iter().map(String::as_str));
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), options.sub.as_str().into());
    for (name, values) in named {
        match values.as_slice() {
            [] => continue,
            [value] => claims.insert(name.to_owned(), (*value).into()),
            values => claims.insert(name.to_owned(), values.into()),
        };
    }
    Ok(claims)
}
