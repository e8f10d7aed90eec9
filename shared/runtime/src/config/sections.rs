//! The sections of the configuration: every key with its meaning, unit, range and default.
//!
//! The schema is derived from these types, so a range or format is stated here and nowhere else. Every field's default
//! is what `tidings dev` runs with. After [`load`](super::load) the values keep what their comments promise.

mod access;
mod gateway;
mod nats;
mod tenant;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format::{byte_size, duration, optional_byte_size};

pub use access::{AccessConfig, IssuerConfig, Secret, SignatureAlgorithm, TokenSource};
pub use gateway::GatewayConfig;
pub use nats::NatsConfig;
pub use tenant::TenantConfig;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The configuration of a process; each section belongs to one part of Tidings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The connection to NATS.
    pub nats: NatsConfig,
    /// The JetStream streams, as they are created when they do not exist.
    pub streams: StreamsConfig,
    /// The tenants' catalogs.
    pub schemas: SchemasConfig,
    /// Sessions of clients.
    pub gateway: GatewayConfig,
    /// Users' lasting places in the envelopes.
    pub consumers: ConsumersConfig,
    /// Checking of clients' tokens.
    pub access: AccessConfig,
    /// Events to envelopes.
    pub projector: ProjectorConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
}

/// Where JetStream keeps a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// On disk; survives a restart of the server.
    File,
    /// In the server's memory; lost when it stops.
    Memory,
}

/// The JetStream streams, as they are created when they do not exist.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamsConfig {
    /// Servers that keep a copy of each stream, 1 to 5 (JetStream's limit).
    #[schemars(range(min = 1, max = 5))]
    pub replicas: usize,
    /// `file` or `memory`.
    pub storage: Storage,
    /// Age at which events are removed.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub events_max_age: Duration,
    /// Age at which envelopes are removed: how long a user may be away and miss nothing.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub envelopes_max_age: Duration,
    /// Age at which rejected events are removed.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub rejected_max_age: Duration,
    /// Bytes above which the oldest events are removed; without it, age alone decides.
    #[serde(deserialize_with = "optional_byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub events_max_bytes: Option<u64>,
    /// Bytes above which the oldest envelopes are removed; without it, age alone decides.
    #[serde(deserialize_with = "optional_byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub envelopes_max_bytes: Option<u64>,
    /// Bytes above which the oldest rejected events are removed; without it, age alone decides.
    #[serde(deserialize_with = "optional_byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub rejected_max_bytes: Option<u64>,
    /// Time within which an event with the same source and id as another one is its repetition; at most the shortest of
    /// the ages above.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub duplicate_window: Duration,
    /// The shard of each tenant that is in another one than the first, by the tenant's name. It counts for tenants that
    /// have no envelopes yet: changing it moves nobody, `tidings projector move` does. They have no variables.
    #[schemars(extend("additionalProperties" = { "type": "integer", "minimum": 0, "maximum": 63 }))]
    pub shards: BTreeMap<String, u16>,
}

impl Default for StreamsConfig {
    fn default() -> Self {
        Self {
            replicas: 1,
            storage: Storage::File,
            events_max_age: 7 * DAY,
            envelopes_max_age: 7 * DAY,
            rejected_max_age: 30 * DAY,
            events_max_bytes: None,
            envelopes_max_bytes: None,
            rejected_max_bytes: None,
            duplicate_window: 2 * MINUTE,
            shards: BTreeMap::new(),
        }
    }
}

/// The tenants' catalogs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SchemasConfig {
    /// Folder with one folder per tenant.
    #[schemars(length(min = 1))]
    pub directory: PathBuf,
    /// Tenants to serve; without it, every folder that has a `catalog.toml`.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub tenants: Option<Vec<String>>,
}

impl Default for SchemasConfig {
    fn default() -> Self {
        Self { directory: PathBuf::from("schemas"), tenants: None }
    }
}

/// Where users' positions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConsumerStoreKind {
    /// In the key-value bucket CONSUMERS: for any number of users.
    Kv,
    /// As a real JetStream durable each, which other NATS clients can read: for up to a thousand users.
    JetStream,
}

/// Users' lasting places in the envelopes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConsumersConfig {
    /// `kv` or `jetstream`.
    pub store: ConsumerStoreKind,
    /// Time after which a consumer whose user has not been seen is forgotten.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub inactive_after: Duration,
}

impl Default for ConsumersConfig {
    fn default() -> Self {
        Self { store: ConsumerStoreKind::Kv, inactive_after: 30 * DAY }
    }
}

/// Events to envelopes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectorConfig {
    /// Bytes that an event may have; a larger one is rejected.
    #[serde(deserialize_with = "byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub max_event_bytes: usize,
    /// Envelopes that may be published and not yet acknowledged by JetStream.
    #[schemars(range(min = 1, max = 100_000))]
    pub in_flight: NonZeroUsize,
    /// Name of the durable consumer that all replicas of the projector share; in the shards behind the first, `_` and the
    /// shard's number follow it.
    #[schemars(extend("format" = "consumer-name"))]
    pub consumer: String,
    /// The shard whose envelopes this projector writes, each in a stream of its own.
    #[schemars(range(min = 0, max = 63))]
    pub shard: u16,
}

impl Default for ProjectorConfig {
    fn default() -> Self {
        Self {
            max_event_bytes: 1024 * 1024,
            in_flight: const { NonZeroUsize::new(1024).unwrap() },
            consumer: "projector".to_owned(),
            shard: 0,
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

/// Logs and traces.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// What is logged, in the syntax of `tracing_subscriber::EnvFilter`: `info`, `warn,tidings_gateway=debug`.
    #[schemars(extend("format" = "log-filter"))]
    pub log: String,
    /// `text` or `json`.
    pub log_format: LogFormat,
    /// OpenTelemetry collector that traces are sent to by OTLP/HTTP, `http://host:4318`; without it, nothing is traced.
    /// `/v1/traces` is appended, as to `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[schemars(extend("format" = "otlp-url"))]
    pub otlp_endpoint: Option<String>,
    /// Share of the traces that begin here and are sent, 0 to 1; a trace that began elsewhere keeps its decision.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: f64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        // The NATS client logs at `info` what Tidings logs, too, in words of its own.
        Self {
            log: "info,async_nats=warn".to_owned(),
            log_format: LogFormat::Text,
            otlp_endpoint: None,
            sample_ratio: 1.0,
        }
    }
}

/// Stands for a size in the schema: a number of bytes, or text with a unit.
#[derive(JsonSchema)]
#[schemars(extend(
    "type" = ["integer", "string"],
    "format" = "byte-size",
    "minimum" = 1,
    "maximum" = i64::MAX,
))]
struct ByteSizeSchema;
