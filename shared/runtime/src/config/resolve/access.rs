//! Checks `[access]`: one secret, or issuers without conflicts between them.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::{Conflict, keys, quoted, read_line, unreadable};
use crate::config::format::MIN_SECRET_BYTES;
use crate::config::sources::variable_of;
use crate::config::{AccessConfig, IssuerConfig, Secret, SecretRule, SignatureAlgorithm};

/// A shorter token has no room for an RSA signature. A longer one does not fit into a request's head.
const MAX_TOKEN_BYTES: RangeInclusive<usize> = 1024..=64 * 1024;

/// Reads the files with secrets into `access` and returns all conflicts.
pub(super) fn resolve(access: &mut AccessConfig, rule: SecretRule) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    if access.sources.is_empty() {
        conflicts.push(wrong(
            "access.sources",
            "[]",
            "at least one of header, query, cookie and subprotocol",
        ));
    }
    if access.types.is_empty() {
        conflicts.push(wrong("access.types", "[]", "at least one value of `typ`, or \"absent\""));
    }
    if !MAX_TOKEN_BYTES.contains(&access.max_token_bytes) {
        let (least, most) = (MAX_TOKEN_BYTES.start(), MAX_TOKEN_BYTES.end());
        let expected = format!("a size from {least} to {most} bytes");
        conflicts.push(wrong("access.max_token_bytes", &access.max_token_bytes.to_string(), &expected));
    }
    if access.issuers.is_empty() {
        conflicts.extend(single(access, rule));
    } else {
        conflicts.extend(both_forms(access));
        let is_alone = access.issuers.len() == 1;
        for (index, issuer) in access.issuers.iter_mut().enumerate() {
            conflicts.extend(one(&format!("access.issuers[{index}]"), issuer, is_alone));
        }
        conflicts.extend(same_names(&access.issuers));
    }
    conflicts
}

fn single(access: &mut AccessConfig, rule: SecretRule) -> Vec<Conflict> {
    if access.hs256_secret.is_some() || access.hs256_secret_file.is_some() {
        return secrets("access", access);
    }
    let mut conflicts: Vec<_> = secrets("access", access);
    conflicts.extend((rule == SecretRule::Required).then(|| Conflict {
        keys: keys(["access.hs256_secret", "access.hs256_secret_file", "access.issuers"]),
        value: None,
        expected: format!(
            "a secret of at least {MIN_SECRET_BYTES} bytes there, in {}, or in the file that {} names; or else \
             [[access.issuers]]",
            variable_of("access.hs256_secret"),
            variable_of("access.hs256_secret_file"),
        ),
    }));
    conflicts
}

/// A section with a secret and a previous secret.
trait Secrets {
    fn current(&mut self) -> (&mut Option<Secret>, Option<&Path>);
    fn previous(&mut self) -> (&mut Option<Secret>, Option<&Path>);
}

impl Secrets for AccessConfig {
    fn current(&mut self) -> (&mut Option<Secret>, Option<&Path>) {
        (&mut self.hs256_secret, self.hs256_secret_file.as_deref())
    }

    fn previous(&mut self) -> (&mut Option<Secret>, Option<&Path>) {
        (&mut self.hs256_previous_secret, self.hs256_previous_secret_file.as_deref())
    }
}

impl Secrets for IssuerConfig {
    fn current(&mut self) -> (&mut Option<Secret>, Option<&Path>) {
        (&mut self.hs256_secret, self.hs256_secret_file.as_deref())
    }

    fn previous(&mut self) -> (&mut Option<Secret>, Option<&Path>) {
        (&mut self.hs256_previous_secret, self.hs256_previous_secret_file.as_deref())
    }
}

/// Reads both secrets. A previous secret needs a present one and must differ from it.
fn secrets(section: &str, given: &mut impl Secrets) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let (key, previous_key) = (format!("{section}.hs256_secret"), format!("{section}.hs256_previous_secret"));
    let (current, file) = given.current();
    let has_current = current.is_some() || file.is_some();
    conflicts.extend(secret(&key, current, file));
    let current = current.clone();
    let (previous, file) = given.previous();
    conflicts.extend(secret(&previous_key, previous, file));
    let Some(previous) = previous else { return conflicts };
    let shown = crate::config::error::sized(previous.expose().len());
    if !has_current {
        conflicts.push(wrong(&previous_key, &shown, &format!("nothing, because {key} is not set")));
    } else if current.is_some_and(|current| current.expose() == previous.expose()) {
        conflicts.push(wrong(&previous_key, &shown, &format!("another secret than {key}")));
    }
    conflicts
}

/// The single secret would be valid for every tenant of the issuers, too.
fn both_forms(access: &AccessConfig) -> Vec<Conflict> {
    let text = |text: &Option<String>| text.as_ref().map(|text| format!("{text:?}"));
    let sized = |secret: &Option<Secret>| {
        secret.as_ref().map(|secret| crate::config::error::sized(secret.expose().len()))
    };
    let given = [
        ("access.hs256_secret", sized(&access.hs256_secret)),
        ("access.hs256_previous_secret", sized(&access.hs256_previous_secret)),
        ("access.hs256_previous_secret_file", access.hs256_previous_secret_file.as_deref().map(quoted)),
        ("access.hs256_secret_file", access.hs256_secret_file.as_deref().map(quoted)),
        ("access.issuer", text(&access.issuer)),
        ("access.audience", text(&access.audience)),
        ("access.user_claim", text(&access.user_claim)),
        ("access.tenant", text(&access.tenant)),
    ];
    let expected = "nothing, because access.issuers is set, too; make it one of them";
    given.into_iter().filter_map(|(key, value)| Some(wrong(key, &value?, expected))).collect()
}

fn one(key: &str, issuer: &mut IssuerConfig, is_alone: bool) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    conflicts.extend(tenants(key, issuer, is_alone));
    conflicts.extend(secrets(key, issuer));
    conflicts.extend(kinds_of_keys(key, issuer));
    conflicts.extend(algorithms(key, issuer));
    conflicts
        .extend(issuer.key_files.iter().filter_map(|path| unreadable(&format!("{key}.key_files"), path)));
    conflicts
}

fn tenants(key: &str, issuer: &IssuerConfig, is_alone: bool) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let tenants_key = format!("{key}.tenants");
    match (&issuer.tenants, &issuer.tenant) {
        (None, None) if !is_alone => conflicts.push(Conflict {
            keys: vec![tenants_key],
            value: None,
            expected: "the tenants that it may issue tokens for, since there are other issuers".to_owned(),
        }),
        (Some(tenants), None) if tenants.is_empty() => {
            conflicts.push(wrong(&tenants_key, "[]", "at least one tenant that it may issue tokens for"));
        }
        (Some(tenants), Some(tenant)) => {
            let expected = format!("nothing, because all of its users are of the tenant {tenant}");
            conflicts.push(wrong(&tenants_key, &format!("{tenants:?}"), &expected));
        }
        _ => {}
    }
    if let (Some(claim), Some(tenant)) = (&issuer.tenant_claim, &issuer.tenant) {
        let expected = format!("nothing, because all of its users are of the tenant {tenant}");
        conflicts.push(wrong(&format!("{key}.tenant_claim"), &format!("{claim:?}"), &expected));
    }
    conflicts
}

fn kinds_of_keys(key: &str, issuer: &IssuerConfig) -> Option<Conflict> {
    let is_secret = issuer.hs256_secret.is_some() || issuer.hs256_secret_file.is_some();
    let given = [
        ("jwks_url", issuer.jwks_url.is_some()),
        ("key_files", !issuer.key_files.is_empty()),
        ("hs256_secret", is_secret),
    ];
    let given: Vec<_> = given.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect();
    match given.as_slice() {
        [_] => None,
        [] => Some(Conflict {
            keys: vec![format!("{key}.jwks_url")],
            value: None,
            expected: "its keys, in jwks_url, key_files, hs256_secret or hs256_secret_file".to_owned(),
        }),
        several => {
            let value = several.join(", ");
            Some(wrong(key, &value, "one of jwks_url, key_files, hs256_secret and hs256_secret_file"))
        }
    }
}

/// An issuer must not combine HS256 with algorithms for public keys. Otherwise a public key could be used as a secret.
fn algorithms(key: &str, issuer: &IssuerConfig) -> Option<Conflict> {
    let key = format!("{key}.algorithms");
    let all = &issuer.algorithms;
    let shown = format!("{:?}", all.iter().map(|algorithm| format!("{algorithm:?}")).collect::<Vec<_>>());
    let is_secret = issuer.hs256_secret.is_some() || issuer.hs256_secret_file.is_some();
    let is_hs256 = |algorithm: &SignatureAlgorithm| *algorithm == SignatureAlgorithm::HS256;
    if all.is_empty() {
        return Some(wrong(&key, &shown, "at least one algorithm"));
    }
    if is_secret && !all.iter().all(is_hs256) {
        return Some(wrong(&key, &shown, "[\"HS256\"], the one that a secret is for"));
    }
    if !is_secret && all.iter().any(is_hs256) {
        return Some(wrong(&key, &shown, "algorithms for public keys, without HS256"));
    }
    None
}

fn same_names(issuers: &[IssuerConfig]) -> Vec<Conflict> {
    let mut names = BTreeSet::new();
    let again = issuers.iter().enumerate().filter(|(_, issuer)| !names.insert(issuer.issuer.as_str()));
    let again = again.map(|(index, issuer)| {
        let value = format!("{:?}", issuer.issuer);
        wrong(&format!("access.issuers[{index}].issuer"), &value, "a name that no other issuer has")
    });
    again.collect()
}

/// Reads the secret from its file, if there is one.
fn secret(value_key: &str, secret: &mut Option<Secret>, file: Option<&Path>) -> Option<Conflict> {
    let file_key = format!("{value_key}_file");
    let path: PathBuf = file?.to_owned();
    let expected = if secret.is_some() {
        format!("nothing, because {value_key} is set, too; keep one of them")
    } else {
        match read_secret(&path) {
            Ok(read) => {
                *secret = Some(read);
                return None;
            }
            Err(reason) => format!("a file with a secret of at least {MIN_SECRET_BYTES} bytes ({reason})"),
        }
    };
    Some(Conflict { keys: vec![file_key, value_key.to_owned()], value: Some(quoted(&path)), expected })
}

fn read_secret(path: &Path) -> Result<Secret, String> {
    let line = read_line(path).map_err(|error| error.to_string())?;
    if line.len() < MIN_SECRET_BYTES {
        return Err(format!("it has {} bytes", line.len()));
    }
    Ok(Secret::new(line))
}

fn wrong(key: &str, value: &str, expected: &str) -> Conflict {
    Conflict { keys: vec![key.to_owned()], value: Some(value.to_owned()), expected: expected.to_owned() }
}
