//! The Centrifugo that the user gives: its version, and the configuration that makes it do what Tidings does.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use super::wire::PATH;
use crate::deployment::SECRET;
use crate::failure::Failure;

/// Where its health is asked for, which is where the gateway's readiness is.
const HEALTH: &str = "/readyz";

/// The program.
#[derive(Debug, Clone)]
pub(super) struct Binary {
    path: PathBuf,
    /// What it says of itself.
    pub(super) version: String,
}

impl Binary {
    /// Asks a program for its version.
    pub(super) fn find(path: &Path) -> Result<Self, Failure> {
        let path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
        let said = std::process::Command::new(&path).arg("version").output()?;
        let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        if !said.status.success() || !version.starts_with("Centrifugo") {
            let path = path.display();
            return Err(format!("{path} is not Centrifugo: `{path} version` answers {version:?}").into());
        }
        Ok(Self { path, version })
    }

    /// A command that serves clients at this address with what comes from a nats-server; writes its configuration.
    pub(super) fn command(&self, folder: &Path, nats: &str, address: SocketAddr) -> Result<Command, Failure> {
        let file = folder.join("centrifugo.json");
        std::fs::write(&file, format!("{:#}\n", configuration(nats, address)?))?;
        let mut command = Command::new(&self.path);
        command.arg("--config").arg(file).current_dir(folder);
        let variables = std::env::vars_os().map(|(name, _)| name);
        for name in variables.filter(|name| name.to_string_lossy().starts_with("CENTRIFUGO_")) {
            command.env_remove(name);
        }
        Ok(command)
    }
}

/// The configuration as it is shown.
pub(super) fn example() -> Result<Value, Failure> {
    configuration("nats://127.0.0.1:4222", (Ipv4Addr::LOCALHOST, 8000).into())
}

/// One channel for each user, which the token opens, and one for each topic; with enough history to return to. All else
/// is as it comes, but what would measure the load client: it pings no client that waits, as the gateway does not.
fn configuration(nats: &str, address: SocketAddr) -> Result<Value, Failure> {
    Ok(json!({
        "http_server": { "address": address.ip().to_string(), "port": address.port() },
        "health": { "enabled": true, "handler_prefix": HEALTH },
        "log": { "level": "error" },
        "usage_stats": { "disabled": true },
        "websocket": { "handler_prefix": PATH, "compression": false },
        "client": {
            "token": { "hmac_secret_key": std::str::from_utf8(SECRET)? },
            "ping_interval": "30m",
            "recovery_max_publication_limit": 100_000,
        },
        "channel": {
            "namespaces": [
                { "name": "user", "history_size": 100, "history_ttl": "1h", "force_recovery": true },
                {
                    "name": "topic", "history_size": 100_000, "history_ttl": "1h", "force_recovery": true,
                    "allow_subscribe_for_client": true,
                },
            ],
        },
        "consumers": [{
            "enabled": true,
            "name": "events",
            "type": "nats_jetstream",
            "nats_jetstream": {
                "url": nats,
                "stream_name": "EVENTS",
                "subjects": ["events.>"],
                "durable_consumer_name": "centrifugo",
                "deliver_policy": "all",
                "publication_data_mode": { "enabled": true },
            },
        }],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_shows_the_configuration() {
        let shown = format!("```json\n{:#}\n```\n", example().unwrap());
        assert!(include_str!("../../README.md").contains(&shown), "expected in the README:\n{shown}");
    }
}
