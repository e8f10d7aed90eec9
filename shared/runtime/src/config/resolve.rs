//! Rules between keys, and files that keys name.

mod access;
mod channels;
mod edge;
mod nats;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::format::TENANT;
use super::sources::{Sources, listed_in};
use super::{
    Config, ConfigError, ConsumersConfig, GatewayConfig, Secret, SecretRule, SourceConfig, StreamsConfig,
};

/// A conflict between keys. The first key is the one to report.
pub(super) struct Conflict {
    keys: Vec<String>,
    /// The value of the first key, or `None` if it is not set.
    value: Option<String>,
    expected: String,
}

impl Conflict {
    /// Returns whether `key`, or the section `key`, takes part.
    pub(super) fn concerns(&self, key: &str) -> bool {
        let key = listed_in(key);
        self.keys
            .iter()
            .map(|own| listed_in(own))
            .any(|own| own == key || own.split_once('.').is_some_and(|(section, _)| section == key))
    }

    pub(super) fn into_mistake(self, sources: &Sources) -> ConfigError {
        let Self { keys, value, expected } = self;
        let key = keys.into_iter().next().unwrap_or_default();
        match value {
            Some(value) => ConfigError::Invalid { origin: sources.origin(&key), key, value, expected },
            None => ConfigError::Missing { key, expected },
        }
    }
}

/// Reads the files with secrets into `config` and returns all conflicts.
pub(super) fn resolve(config: &mut Config, rule: SecretRule) -> Vec<Conflict> {
    let conflicts =
        [duplicate_window(&config.streams), idle_timeout(&config.gateway), inactive_after(&config.consumers)];
    let nats = nats::resolve(&mut config.nats).into_iter();
    let access = access::resolve(&mut config.access, rule);
    let channels = channels::resolve(config);
    let gateway = edge::conflicts(&config.gateway).into_iter();
    let limited = no_tenants("gateway.tenants", config.gateway.tenants.keys());
    let placed = no_tenants("streams.shards", config.streams.shards.keys());
    let notified = no_tenants("dispatcher.webhooks", config.dispatcher.webhooks.keys());
    nats.chain(conflicts.into_iter().flatten())
        .chain(same_names(&config.projector.sources))
        .chain(placed)
        .chain(notified)
        .chain(gateway)
        .chain(limited)
        .chain(access)
        .chain(channels)
        .collect()
}

/// Returns the conflict of a file that `key` names and that cannot be read.
fn unreadable(key: &str, path: &Path) -> Option<Conflict> {
    let error = std::fs::File::open(path).err()?;
    Some(Conflict {
        keys: keys([key]),
        value: Some(quoted(path)),
        expected: format!("a file that can be read ({error})"),
    })
}

/// Returns the conflict of a certificate without its key, or of a key without its certificate.
fn half_a_pair(section: &str, certificate: Option<&Path>, key: Option<&Path>) -> Option<Conflict> {
    let (missing, given, what) = match (certificate, key) {
        (Some(_), None) => ("tls_key", "tls_certificate", "private key"),
        (None, Some(_)) => ("tls_certificate", "tls_key", "certificate"),
        _ => return None,
    };
    Some(Conflict {
        keys: vec![format!("{section}.{missing}"), format!("{section}.{given}")],
        value: None,
        expected: format!("the file of the {what}, since {section}.{given} is set"),
    })
}

/// User and password are only valid together.
fn half_a_login(section: &str, user: bool, password: bool) -> Option<Conflict> {
    let (missing, given) = match (user, password) {
        (true, false) => ("password", "user"),
        (false, true) => ("user", "password"),
        _ => return None,
    };
    Some(needed_with(&format!("{section}.{missing}"), &format!("{section}.{given}")))
}

/// The conflict of a missing key that another one needs.
fn needed_with(missing: &str, given: &str) -> Conflict {
    Conflict { keys: keys([missing, given]), value: None, expected: format!("a value, since {given} is set") }
}

/// Reads the secret of `key` from its file, if there is one.
fn secret(
    key: &str,
    secret: &mut Option<Secret>,
    file: Option<&Path>,
    holds: impl Fn(&[u8]) -> bool,
    wanted: &str,
) -> Option<Conflict> {
    let path = file?;
    let expected = if secret.is_some() {
        format!("nothing, because {key} is set, too; keep one of them")
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
    Some(Conflict { keys: vec![format!("{key}_file"), key.to_owned()], value: Some(quoted(path)), expected })
}

/// Reads the only line of a file with a secret.
fn read_line(path: &Path) -> Result<Vec<u8>, std::io::Error> {
    let bytes = std::fs::read(path)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}

fn keys<const N: usize>(keys: [&str; N]) -> Vec<String> {
    keys.map(str::to_owned).into()
}

/// JetStream refuses a stream whose duplicate window is longer than its age.
fn duplicate_window(streams: &StreamsConfig) -> Option<Conflict> {
    let shortest = streams.events_max_age.min(streams.envelopes_max_age).min(streams.rejected_max_age);
    (streams.duplicate_window > shortest).then(|| Conflict {
        keys: keys([
            "streams.duplicate_window",
            "streams.events_max_age",
            "streams.envelopes_max_age",
            "streams.rejected_max_age",
        ]),
        value: Some(spelled(streams.duplicate_window)),
        expected: format!("at most the shortest maximum age of a stream, {}", spelled(shortest)),
    })
}

/// The idle timeout must exceed the heartbeat. Otherwise a client that only receives would be closed before its first
/// heartbeat.
fn idle_timeout(gateway: &GatewayConfig) -> Option<Conflict> {
    (gateway.idle_timeout <= gateway.heartbeat).then(|| Conflict {
        keys: keys(["gateway.idle_timeout", "gateway.heartbeat"]),
        value: Some(spelled(gateway.idle_timeout)),
        expected: format!("more than gateway.heartbeat, {}", spelled(gateway.heartbeat)),
    })
}

/// A limit under a name that is not valid for a tenant applies to no tenant.
fn no_tenants<'n>(
    key: &'static str,
    names: impl Iterator<Item = &'n String>,
) -> impl Iterator<Item = Conflict> {
    let is_wrong = |name: &&String| !(TENANT.holds)(name);
    names.filter(is_wrong).map(move |name| Conflict {
        keys: keys([key]),
        value: Some(format!("{name:?}")),
        expected: TENANT.expected.to_owned(),
    })
}

/// How far a source is copied is kept under its name.
fn same_names(sources: &[SourceConfig]) -> Vec<Conflict> {
    let mut names = BTreeSet::new();
    let again = sources.iter().enumerate().filter(|(_, source)| !names.insert(source.name.as_str()));
    let conflicts = again.map(|(index, source)| Conflict {
        keys: vec![format!("projector.sources[{index}].name")],
        value: Some(format!("{:?}", source.name)),
        expected: "a name that no other source has".to_owned(),
    });
    conflicts.collect()
}

/// Gateways renew the consumers of connected devices once an hour. A shorter time would delete consumers of connected
/// devices.
fn inactive_after(consumers: &ConsumersConfig) -> Option<Conflict> {
    const LEAST: Duration = Duration::from_secs(2 * 60 * 60);
    (consumers.inactive_after < LEAST).then(|| Conflict {
        keys: keys(["consumers.inactive_after"]),
        value: Some(spelled(consumers.inactive_after)),
        expected: format!("at least {}", spelled(LEAST)),
    })
}

pub(super) fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

fn spelled(duration: Duration) -> String {
    format!("\"{}\"", humantime::format_duration(duration))
}
