//! The configuration: one TOML file, overridden by `TIDINGS_*` variables, parsed and checked as a whole before anything
//! is bound.
//!
//! The JSON Schema of [`Config`] is the only description of valid values: it finds unknown keys and wrong values,
//! determines how a variable's text becomes a value, and marks secrets. So [`load`] reports all mistakes at once, and
//! the configuration that it returns needs no further checks.
//!
//! # File
//! Sections and keys are the fields of [`Config`], e.g.
//! ```toml
//! [gateway]
//! listen = "0.0.0.0:8080"
//! max_frame_bytes = "32 KiB"
//! allowed_origins = ["https://app.example"]
//! ```
//! Durations are text such as `"30s"`, `"5m"`, `"7d"`; sizes a number of bytes or text such as `"16 KiB"`. Relative
//! paths start at the working directory.
//!
//! Tokens are signed either with one secret for all tenants (`access.hs256_secret`), or by issuers in a list. Each
//! issuer has the tenants that it may issue tokens for:
//! ```toml
//! [access]
//! sources = ["header", "subprotocol"]
//!
//! [[access.issuers]]                     # Keycloak
//! issuer = "https://auth.example/realms/acme"
//! audience = "tidings"
//! algorithms = ["RS256", "ES256"]
//! tenants = ["acme", "acme-test"]
//! jwks_url = "https://auth.example/realms/acme/protocol/openid-connect/certs"
//!
//! [[access.issuers]]                     # Amazon Cognito, access tokens
//! issuer = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_example"
//! audience = "7example"
//! audience_claim = "client_id"
//! algorithms = ["RS256"]
//! tenant = "umbrella"
//! jwks_url = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_example/.well-known/jwks.json"
//!
//! [[access.issuers]]                     # services of one's own
//! issuer = "backend"
//! algorithms = ["HS256"]
//! tenants = ["acme", "umbrella"]
//! hs256_secret_file = "/run/secrets/backend"
//! ```
//!
//! The limits of a tenant's users can differ from those in `[gateway]`, under the same keys:
//! ```toml
//! [gateway.tenants.acme]
//! connections_per_tenant = 10_000
//! messages_per_minute = 600
//! ```
//!
//! # Variables
//! `TIDINGS_<SECTION>__<KEY>`, in capitals, with two underscores between the two: `TIDINGS_GATEWAY__LISTEN`. Lists are
//! separated by commas. Keys that consist of tables have no variables. An empty variable counts as not set. Any other
//! variable that starts with `TIDINGS_` is a mistake, except those that Kubernetes sets for a service of that name
//! (`TIDINGS_GATEWAY_SERVICE_HOST`, `TIDINGS_GATEWAY_PORT_8080_TCP`, …), which never have two underscores in a row.

mod check;
mod effective;
mod error;
mod format;
mod reference;
mod resolve;
mod schema;
mod sections;
mod similar;
mod sources;

use std::ffi::OsString;
use std::path::Path;

pub use effective::Setting;
pub use error::{ConfigError, ConfigErrors, Origin};
pub use reference::{reference, reference_table};
pub use sections::{
    AccessConfig, Config, ConsumerStoreKind, ConsumersConfig, ContactsConfig, DispatcherConfig, EmailConfig,
    GatewayConfig, IssuerConfig, LogFormat, NatsConfig, ProjectorConfig, SchemasConfig, Secret,
    SignatureAlgorithm, SmtpTls, SnsConfig, SourceBegin, SourceConfig, Storage, StreamsConfig,
    TelemetryConfig, TenantConfig, TenantWebhookConfig, TokenSource, WebPushConfig, WebhookConfig,
};
pub use similar::most_similar;

use resolve::Conflict;
use schema::Schema;
use sources::Sources;

/// The file that is read from the working directory if no file is named.
pub const DEFAULT_FILE: &str = "tidings.toml";

/// Whether a process needs a secret or an issuer in `[access]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretRule {
    /// The process verifies tokens, so it needs a secret or an issuer.
    Required,
    /// The process uses no tokens, or its caller supplies a secret.
    Optional,
}

/// Returns the effective values of this file and these variables, as a configuration file with every key; see [`load`].
pub fn effective<K, V>(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (K, V), IntoIter: Clone>,
) -> Result<String, ConfigErrors>
where
    K: Into<OsString>,
    V: Into<OsString>,
{
    Ok(reference::with_values(&checked(file, environment)?.to_value()))
}

/// Returns the value of each key and where it comes from; see [`load`].
pub fn settings<K, V>(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (K, V), IntoIter: Clone>,
) -> Result<Vec<Setting>, ConfigErrors>
where
    K: Into<OsString>,
    V: Into<OsString>,
{
    Ok(effective::settings(&checked(file, environment)?))
}

/// Returns what is configured, if there is no mistake in it.
fn checked<K, V>(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (K, V), IntoIter: Clone>,
) -> Result<Sources, ConfigErrors>
where
    K: Into<OsString>,
    V: Into<OsString>,
{
    let environment = environment.into_iter();
    load(file, environment.clone(), SecretRule::Optional)?;
    let (mut sources, mut mistakes) = (Sources::default(), Vec::new());
    sources.read_file(file, &mut mistakes);
    sources.read_environment(environment, &Schema::of_config(), &mut mistakes);
    Ok(sources)
}

/// Loads the configuration from `file` (else from [`DEFAULT_FILE`], if it exists) and the variables of `environment`,
/// which is usually [`std::env::vars_os`].
///
/// Variables that start with `TIDINGS_` and belong to the caller must be filtered out of `environment`. The secret in a
/// `hs256_secret_file` is copied to `hs256_secret`.
pub fn load<K, V>(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (K, V)>,
    rule: SecretRule,
) -> Result<Config, ConfigErrors>
where
    K: Into<OsString>,
    V: Into<OsString>,
{
    let schema = Schema::of_config();
    let mut mistakes = Vec::new();
    let mut sources = Sources::default();
    sources.read_file(file, &mut mistakes);
    let is_file_known = mistakes.is_empty();
    sources.read_environment(environment, &schema, &mut mistakes);

    let wrong = check::check(&schema, &sources);
    // Wrong values are removed, so that conflicts between the other keys can still be found.
    wrong.iter().filter_map(ConfigError::key).for_each(|key| sources.remove(key));
    mistakes.extend(wrong);

    let mut config: Config = match serde_json::from_value(sources.to_value()) {
        Ok(config) => config,
        Err(error) => {
            mistakes.push(ConfigError::Undescribed { reason: error.to_string() });
            return Err(ConfigErrors::new(mistakes));
        }
    };
    // A conflict is not reported if the file is unreadable or one of the conflict's keys is already wrong.
    let is_comparable = |conflict: &Conflict| {
        is_file_known && !mistakes.iter().filter_map(ConfigError::key).any(|key| conflict.concerns(key))
    };
    let conflicts = resolve::resolve(&mut config, rule).into_iter().filter(is_comparable);
    let conflicts: Vec<_> = conflicts.map(|conflict| conflict.into_mistake(&sources)).collect();
    mistakes.extend(conflicts);
    if mistakes.is_empty() { Ok(config) } else { Err(ConfigErrors::new(mistakes)) }
}
