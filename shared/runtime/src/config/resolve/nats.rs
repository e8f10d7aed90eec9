//! Checks the login to NATS: exactly one method, with readable files.

use std::path::Path;

use super::{Conflict, half_a_pair, quoted, read_line, unreadable};
use crate::config::error::sized;
use crate::config::format::NKEY_SEED;
use crate::config::{NatsConfig, Secret};

/// Reads the files with secrets into `nats` and returns all conflicts.
pub(super) fn resolve(nats: &mut NatsConfig) -> Vec<Conflict> {
    let mut conflicts: Vec<_> = several_ways(nats).into_iter().collect();
    let any = |line: &[u8]| !line.is_empty();
    let seed = |line: &[u8]| std::str::from_utf8(line).is_ok_and(NKEY_SEED.holds);
    let secrets = [
        secret("password", &mut nats.password, nats.password_file.as_deref(), any, "one line of text"),
        secret("token", &mut nats.token, nats.token_file.as_deref(), any, "one line of text"),
        secret("nkey_seed", &mut nats.nkey_seed, nats.nkey_seed_file.as_deref(), seed, NKEY_SEED.expected),
    ];
    conflicts.extend(secrets.into_iter().flatten());
    conflicts.extend(half_a_login(nats));
    conflicts.extend(half_a_pair("nats", nats.tls_certificate.as_deref(), nats.tls_key.as_deref()));
    let files = [
        ("nats.credentials", &nats.credentials),
        ("nats.tls_ca", &nats.tls_ca),
        ("nats.tls_certificate", &nats.tls_certificate),
        ("nats.tls_key", &nats.tls_key),
    ];
    conflicts.extend(files.into_iter().filter_map(|(key, path)| unreadable(key, path.as_deref()?)));
    conflicts
}

/// The client would send all of them, and the server would choose one.
fn several_ways(nats: &NatsConfig) -> Option<Conflict> {
    let path = |path: &Option<std::path::PathBuf>| path.as_deref().map(quoted);
    let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| sized(secret.expose().len()));
    let ways = [
        ("nats.credentials", path(&nats.credentials)),
        ("nats.user", nats.user.as_ref().map(|user| format!("{user:?}"))),
        ("nats.token", secret(&nats.token).or_else(|| path(&nats.token_file))),
        ("nats.nkey_seed", secret(&nats.nkey_seed).or_else(|| path(&nats.nkey_seed_file))),
    ];
    let given: Vec<_> = ways.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let [(first, _), (second, value), ..] = given.as_slice() else { return None };
    Some(Conflict {
        keys: vec![(*second).to_owned(), (*first).to_owned()],
        value: Some(value.clone()),
        expected: format!("nothing, because {first} is set, too; a process logs in to NATS in one way"),
    })
}

/// User and password are only valid together.
fn half_a_login(nats: &NatsConfig) -> Option<Conflict> {
    let (missing, given) = match (&nats.user, &nats.password) {
        (Some(_), None) if nats.password_file.is_none() => ("nats.password", "nats.user"),
        (None, Some(_)) => ("nats.user", "nats.password"),
        _ => return None,
    };
    Some(Conflict {
        keys: vec![missing.to_owned(), given.to_owned()],
        value: None,
        expected: format!("a value, since {given} is set"),
    })
}

/// Reads the secret from its file, if there is one.
fn secret(
    name: &str,
    secret: &mut Option<Secret>,
    file: Option<&Path>,
    holds: impl Fn(&[u8]) -> bool,
    wanted: &str,
) -> Option<Conflict> {
    let (path, value_key) = (file?, format!("nats.{name}"));
    let expected = if secret.is_some() {
        format!("nothing, because {value_key} is set, too; keep one of them")
    } else {
        match read_line(path) {
            Ok(line) if holds(&line) => {
                *secret = Some(Secret::new(line));
                return None;
            }
            Ok(line) => format!("a file with {wanted} (it has {} bytes)", line.len()),
            Err(error) => format!("a file with {wanted} ({error})"),
        }
    };
    Some(Conflict { keys: vec![format!("{value_key}_file"), value_key], value: Some(quoted(path)), expected })
}
