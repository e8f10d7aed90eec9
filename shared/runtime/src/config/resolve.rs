//! What no single key can say: rules between keys, and files that keys name.

use std::path::Path;
use std::time::Duration;

use super::format::MIN_SECRET_BYTES;
use super::sources::{Sources, variable_of};
use super::{AccessConfig, Config, GatewayConfig, Mistake, NatsConfig, Secret, SecretRule, StreamsConfig};

/// Keys that do not go together; the first is the one to report.
pub(super) struct Conflict {
    keys: Vec<&'static str>,
    /// Of the first key; none if it is not set.
    value: Option<String>,
    expected: String,
}

impl Conflict {
    /// Whether `key`, or the section `key`, takes part.
    pub(super) fn concerns(&self, key: &str) -> bool {
        self.keys
            .iter()
            .any(|own| *own == key || own.split_once('.').is_some_and(|(section, _)| section == key))
    }

    pub(super) fn into_mistake(self, sources: &Sources) -> Mistake {
        let Self { keys, value, expected } = self;
        let key = keys.first().copied().unwrap_or_default().to_owned();
        match value {
            Some(value) => Mistake::Invalid { origin: sources.origin(&key), key, value, expected },
            None => Mistake::Missing { key, expected },
        }
    }
}

/// Reads the secret's file into `config`, and finds every conflict.
pub(super) fn resolve(config: &mut Config, rule: SecretRule) -> Vec<Conflict> {
    let conflicts = [
        credentials(&config.nats),
        duplicate_window(&config.streams),
        idle_timeout(&config.gateway),
        secret(&mut config.access, rule),
    ];
    conflicts.into_iter().flatten().collect()
}

fn credentials(nats: &NatsConfig) -> Option<Conflict> {
    let path = nats.credentials.as_deref()?;
    let error = std::fs::File::open(path).err()?;
    Some(Conflict {
        keys: vec!["nats.credentials"],
        value: Some(quoted(path)),
        expected: format!("a file that can be read ({error})"),
    })
}

/// JetStream refuses a stream whose duplicate window is longer than its age.
fn duplicate_window(streams: &StreamsConfig) -> Option<Conflict> {
    let shortest = streams.events_max_age.min(streams.envelopes_max_age).min(streams.rejected_max_age);
    (streams.duplicate_window > shortest).then(|| Conflict {
        keys: vec![
            "streams.duplicate_window",
            "streams.events_max_age",
            "streams.envelopes_max_age",
            "streams.rejected_max_age",
        ],
        value: Some(spelled(streams.duplicate_window)),
        expected: format!("at most the shortest maximum age of a stream, {}", spelled(shortest)),
    })
}

/// Otherwise a client that only listens is closed before it was asked for a sign of life.
fn idle_timeout(gateway: &GatewayConfig) -> Option<Conflict> {
    (gateway.idle_timeout <= gateway.heartbeat).then(|| Conflict {
        keys: vec!["gateway.idle_timeout", "gateway.heartbeat"],
        value: Some(spelled(gateway.idle_timeout)),
        expected: format!("more than gateway.heartbeat, {}", spelled(gateway.heartbeat)),
    })
}

fn secret(access: &mut AccessConfig, rule: SecretRule) -> Option<Conflict> {
    let keys = vec!["access.hs256_secret_file", "access.hs256_secret"];
    match (&access.hs256_secret, &access.hs256_secret_file) {
        (Some(_), None) => None,
        (None, None) if rule == SecretRule::Optional => None,
        (None, None) => Some(Conflict {
            keys: vec!["access.hs256_secret", "access.hs256_secret_file"],
            value: None,
            expected: format!(
                "a secret of at least {MIN_SECRET_BYTES} bytes there, in {}, or in the file that {} names",
                variable_of("access.hs256_secret"),
                variable_of("access.hs256_secret_file"),
            ),
        }),
        (Some(_), Some(path)) => Some(Conflict {
            keys,
            value: Some(quoted(path)),
            expected: "nothing, because access.hs256_secret is set, too; keep one of them".to_owned(),
        }),
        (None, Some(path)) => match read_secret(path) {
            Ok(secret) => {
                access.hs256_secret = Some(secret);
                None
            }
            Err(reason) => Some(Conflict {
                keys,
                value: Some(quoted(path)),
                expected: format!("a file with a secret of at least {MIN_SECRET_BYTES} bytes ({reason})"),
            }),
        },
    }
}

fn read_secret(path: &Path) -> Result<Secret, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() < MIN_SECRET_BYTES {
        return Err(format!("it has {} bytes", line.len()));
    }
    Ok(Secret::new(line))
}

fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

fn spelled(duration: Duration) -> String {
    format!("\"{}\"", humantime::format_duration(duration))
}
