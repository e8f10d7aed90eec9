//! The sections of the configuration: every key with its meaning, unit, range and default.
//!
//! The schema is derived from these types, so each range and format is defined only here. `tidings dev` runs with the
//! defaults. [`load`](super::load) returns only values within the documented ranges.

mod access;
mod channels;
mod contacts;
mod dispatcher;
mod gateway;
mod nats;
mod source;
mod tenant;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format::{byte_size, duration, optional_byte_size};

pub use access::{AccessConfig, IssuerConfig, Secret, SignatureAlgorithm, TokenSource};
pub use channels::{EmailConfig, SmtpTls, SnsConfig, WebPushConfig, WebhookConfig};
pub use contacts::ContactsConfig;
pub use dispatcher::{DispatcherConfig, TenantWebhookConfig};
pub use gateway::GatewayConfig;
pub use nats::NatsConfig;
pub use source::{SourceBegin, SourceConfig};
pub use tenant::TenantConfig;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The configuration of a process; each section belongs to one part of Tidings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The connection to NATS.
    pub nats: NatsConfig,
    /// The JetStream streams: settings with which the projector creates them.
    pub streams: StreamsConfig,
    /// The tenants' catalogs.
    pub schemas: SchemasConfig,
    /// Connections of clients.
    pub gateway: GatewayConfig,
    /// Durable positions of users' devices.
    pub consumers: ConsumersConfig,
    /// Verification of clients' tokens.
    pub access: AccessConfig,
    /// Projection of events to envelopes.
    pub projector: ProjectorConfig,
    /// Sending of messages that were not received, by other channels.
    pub dispatcher: DispatcherConfig,
    /// Webhooks: signed HTTP requests to programs of tenants and users.
    pub webhook: WebhookConfig,
    /// E-mail by SMTP.
    pub email: EmailConfig,
    /// Amazon SNS.
    pub sns: SnsConfig,
    /// Web push: notifications of browsers, by the push services of their vendors.
    pub web_push: WebPushConfig,
    /// Contacts of users: e-mail addresses, phone numbers, webhooks, browsers.
    pub contacts: ContactsConfig,
    /// Logs, metrics and traces.
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

/// The JetStream streams: settings with which the projector creates them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamsConfig {
    /// Copies of each stream, 1 to 5 (JetStream's limit); 3 on a cluster.
    #[schemars(range(min = 1, max = 5))]
    pub replicas: usize,
    /// Where streams are stored: `file` or `memory`.
    pub storage: Storage,
    /// Age at which events are removed.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub events_max_age: Duration,
    /// Age at which envelopes are removed: how long a device may be disconnected without missing any.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub envelopes_max_age: Duration,
    /// Age at which rejected events are removed.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub rejected_max_age: Duration,
    /// Bytes of all events; a full `EVENTS` refuses new events. Without it, only age limits the stream.
    #[serde(deserialize_with = "optional_byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub events_max_bytes: Option<u64>,
    /// Bytes above which the oldest envelopes are removed; without it, only age limits the stream.
    #[serde(deserialize_with = "optional_byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub envelopes_max_bytes: Option<u64>,
    /// Bytes above which the oldest rejected events are removed; without it, only age limits the stream.
    #[serde(deserialize_with = "optional_byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub rejected_max_bytes: Option<u64>,
    /// Time within which an event with the same source and id as another one is its repetition; at most the shortest of
    /// the ages above.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub duplicate_window: Duration,
    /// The shard of each tenant that is not in shard 0, by the tenant's name. It applies to tenants that have no envelopes
    /// yet: changing it moves no tenant, `tidings projector move` does. It has no variables.
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

/// Where positions are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConsumerStoreKind {
    /// In the key-value bucket CONSUMERS: for any number of users.
    Kv,
    /// As a real JetStream durable each, which other NATS clients can read: for up to a thousand users.
    JetStream,
}

/// Durable positions of users' devices.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConsumersConfig {
    /// Where positions are stored: `kv` for any number of users, or `jetstream`, a JetStream durable per device, for up to
    /// a thousand users.
    pub store: ConsumerStoreKind,
    /// Time without a connection after which a device's consumer is removed; at least `2h`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub inactive_after: Duration,
}

impl Default for ConsumersConfig {
    fn default() -> Self {
        Self { store: ConsumerStoreKind::Kv, inactive_after: 30 * DAY }
    }
}

/// Projection of events to envelopes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectorConfig {
    /// Largest event in bytes; a larger one is rejected. It must fit into NATS's `max_payload`.
    #[serde(deserialize_with = "byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub max_event_bytes: usize,
    /// Events and envelopes in progress; at most 512 envelopes are sent to JetStream and not yet confirmed.
    #[schemars(range(min = 1, max = 100_000))]
    pub in_flight: NonZeroUsize,
    /// Name of the durable consumer that all projectors of shard 0 share; those of other shards append `_` and the shard's
    /// number.
    #[schemars(extend("format" = "consumer-name"))]
    pub consumer: String,
    /// The shard whose envelopes this projector writes.
    #[schemars(range(min = 0, max = 63))]
    pub shard: u16,
    /// Streams that exist already and whose messages become events, one `[[projector.sources]]` each. Every projector has the
    /// same ones, and one of them copies. They have no variables; SIGHUP reloads them.
    pub sources: Vec<SourceConfig>,
}

impl Default for ProjectorConfig {
    fn default() -> Self {
        Self {
            max_event_bytes: 1024 * 1024,
            in_flight: const { NonZeroUsize::new(1024).unwrap() },
            consumer: "projector".to_owned(),
            shard: 0,
            sources: Vec::new(),
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

/// Logs, metrics and traces.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Log filter in the syntax of `tracing_subscriber::EnvFilter`: `info`, `warn,tidings_gateway=debug`.
    #[schemars(extend("format" = "log-filter"))]
    pub log: String,
    /// Form of log lines: `text` or `json`.
    pub log_format: LogFormat,
    /// Address and port of `/metrics` and `/metrics/tenants`, for Prometheus; port 0 lets the system choose one. Without it
    /// there are none, except in `tidings dev`. Whoever reaches it may read it, so it belongs to an internal network.
    #[schemars(with = "String", extend("format" = "socket-address"))]
    pub metrics_listen: Option<SocketAddr>,
    /// Time between two exports of metrics to `otlp_endpoint`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub metrics_interval: Duration,
    /// OpenTelemetry collector that receives traces and metrics by OTLP/HTTP, `http://host:4318`; without it, neither is
    /// sent. `/v1/traces` and `/v1/metrics` are appended, as to `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[schemars(extend("format" = "otlp-url"))]
    pub otlp_endpoint: Option<String>,
    /// Share of the traces beginning here that are sent, 0 to 1; a trace that began elsewhere keeps its decision.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: f64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        // The NATS client's `info` lines repeat what Tidings logs itself.
        Self {
            log: "info,async_nats=warn".to_owned(),
            log_format: LogFormat::Text,
            metrics_listen: None,
            metrics_interval: MINUTE,
            otlp_endpoint: None,
            sample_ratio: 1.0,
        }
    }
}

/// The schema of a size: a number of bytes, or text with a unit.
#[derive(JsonSchema)]
#[schemars(extend(
    "type" = ["integer", "string"],
    "format" = "byte-size",
    "minimum" = 1,
    "maximum" = i64::MAX,
))]
struct ByteSizeSchema;
