//! `tidings token`: a token for the configured secret, or for the one of `tidings dev`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value};
use tidings_access::{SigningSecret, mint};
use tidings_model::Tenant;
use tidings_runtime::config::SecretRule;
use time::OffsetDateTime;

use crate::arguments::TokenOptions;
use crate::failure::Failure;
use crate::serve;

/// What `tidings dev` signs with. Everybody knows it, so it is good on one's own machine only.
pub(crate) const DEV_SECRET: &str = "tidings-dev-secret-known-to-everybody";

/// Prints the token.
pub(crate) fn run(file: Option<&Path>, options: &TokenOptions) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let secret = match &config.access.hs256_secret {
        Some(secret) => SigningSecret::new(secret.expose())?,
        None => SigningSecret::new(DEV_SECRET.as_bytes())?,
    };
    let mut claims = claims(options, OffsetDateTime::now_utc())?;
    if let Some(issuer) = &config.access.issuer {
        claims.entry("iss").or_insert_with(|| issuer.as_str().into());
    }
    if let Some(audience) = &config.access.audience {
        claims.entry("aud").or_insert_with(|| audience.as_str().into());
    }
    let token = mint(&claims, &secret)?;
    writeln!(std::io::stdout(), "{}", token.expose())?;
    Ok(ExitCode::SUCCESS)
}

fn claims(options: &TokenOptions, now: OffsetDateTime) -> Result<Map<String, Value>, Failure> {
    let tenant = Tenant::parse(&options.tenant)?;
    let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for claim in &options.claim {
        let wrong = || format!("--claim {claim:?} is not of the form name=value, such as orgId=o1");
        let (name, value) = claim.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
        named.entry(name).or_default().push(value);
    }
    named.entry("role").or_default().extend(options.role.iter().map(String::as_str));
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), options.sub.as_str().into());
    claims.insert("tenant".to_owned(), tenant.as_str().into());
    for (name, values) in named {
        match values.as_slice() {
            [] => continue,
            [value] => claims.insert(name.to_owned(), (*value).into()),
            values => claims.insert(name.to_owned(), values.into()),
        };
    }
    let seconds = i64::try_from(options.expires_in.as_secs())?;
    claims.insert("iat".to_owned(), now.unix_timestamp().into());
    claims.insert("exp".to_owned(), now.unix_timestamp().saturating_add(seconds).into());
    Ok(claims)
}
