//! The connection to NATS.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Secret;
use crate::config::format::duration;

/// The connection to NATS. A process logs in with one of `credentials`, `user` with `password`, `token` and `nkey_seed`,
/// and with `tls_certificate` besides or instead.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NatsConfig {
    /// Servers, separated by commas: `nats://host:port` or `tls://host:port`. They are tried in random order, and the
    /// others of their cluster are learned from them. No user or password: those have keys of their own.
    #[schemars(extend("format" = "nats-url"))]
    pub url: String,
    /// Credentials file (`.creds`) with the user's JWT and seed.
    #[schemars(length(min = 1))]
    pub credentials: Option<PathBuf>,
    /// User name.
    #[schemars(length(min = 1))]
    pub user: Option<String>,
    /// The user's password.
    #[schemars(with = "String", length(min = 1), extend("writeOnly" = true))]
    pub password: Option<Secret>,
    /// File with the password instead, on one line.
    #[schemars(length(min = 1))]
    pub password_file: Option<PathBuf>,
    /// Token, for a server with token authentication.
    #[schemars(with = "String", length(min = 1), extend("writeOnly" = true))]
    pub token: Option<Secret>,
    /// File with the token instead, on one line.
    #[schemars(length(min = 1))]
    pub token_file: Option<PathBuf>,
    /// Seed of an nkey, which starts with `SU`.
    #[schemars(with = "String", extend("format" = "nkey-seed", "writeOnly" = true))]
    pub nkey_seed: Option<Secret>,
    /// File with the seed instead, on one line.
    #[schemars(length(min = 1))]
    pub nkey_seed_file: Option<PathBuf>,
    /// PEM file with certificates of authorities that servers are verified with, instead of the system's.
    #[schemars(length(min = 1))]
    pub tls_ca: Option<PathBuf>,
    /// PEM file with the certificate that this process shows to servers.
    #[schemars(length(min = 1))]
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    #[schemars(length(min = 1))]
    pub tls_key: Option<PathBuf>,
    /// Time that one attempt to connect to one server may take.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub connect_timeout: Duration,
    /// Where the JetStream API is reached; the accounts that `deploy/nats-accounts.sh` makes import it as `TIDINGS.API`.
    #[schemars(extend("format" = "nats-subject"))]
    pub api_prefix: String,
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            credentials: None,
            user: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            nkey_seed: None,
            nkey_seed_file: None,
            tls_ca: None,
            tls_certificate: None,
            tls_key: None,
            connect_timeout: Duration::from_secs(5),
            api_prefix: "$JS.API".to_owned(),
        }
    }
}
