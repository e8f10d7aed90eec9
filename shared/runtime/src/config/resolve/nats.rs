//! Checks the login to NATS: exactly one method, with readable files.

use super::{Conflict, half_a_login, half_a_pair, quoted, secret, unreadable};
use crate::config::error::sized;
use crate::config::format::NKEY_SEED;
use crate::config::{NatsConfig, Secret};

/// Reads the files with secrets into `nats` and returns all conflicts.
pub(super) fn resolve(nats: &mut NatsConfig) -> Vec<Conflict> {
    let mut conflicts: Vec<_> = several_ways(nats).into_iter().collect();
    let any = |line: &[u8]| !line.is_empty();
    let seed = |line: &[u8]| std::str::from_utf8(line).is_ok_and(NKEY_SEED.holds);
    let secrets = [
        secret("nats.password", &mut nats.password, nats.password_file.as_deref(), any, "one line of text"),
        secret("nats.token", &mut nats.token, nats.token_file.as_deref(), any, "one line of text"),
        secret(
            "nats.nkey_seed",
            &mut nats.nkey_seed,
            nats.nkey_seed_file.as_deref(),
            seed,
            NKEY_SEED.expected,
        ),
    ];
    conflicts.extend(secrets.into_iter().flatten());
    let password = nats.password.is_some() || nats.password_file.is_some();
    conflicts.extend(half_a_login("nats", nats.user.is_some(), password));
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
