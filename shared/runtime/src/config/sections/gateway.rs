//! The gateway: where it listens, and the limits of its connections.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ByteSizeSchema, DAY, TenantConfig};
use crate::config::format::{byte_size, duration, networks, optional_duration};

/// Connections of clients.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Address and port to listen on; port 0 lets the system choose one.
    #[schemars(with = "String", extend("format" = "socket-address"))]
    pub listen: SocketAddr,
    /// Address and port of the admin interface, `/api/v1`; the same as `listen` serves both there. Without it there is
    /// no admin interface, except in `tidings dev`, which serves it at `listen`. No PROXY header is expected there.
    #[schemars(with = "String", extend("format" = "socket-address"))]
    pub admin_listen: Option<SocketAddr>,
    /// Certificate chain of the gateway, PEM, its own certificate first; with it, everything is TLS. It is
    /// reloaded when it changes.
    #[schemars(length(min = 1))]
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM (PKCS #8, PKCS #1 or SEC 1).
    #[schemars(length(min = 1))]
    pub tls_key: Option<PathBuf>,
    /// Addresses and networks of proxies, such as `10.0.0.0/8`, whose `X-Forwarded-For`, `X-Forwarded-Proto` and PROXY
    /// headers name the client.
    #[serde(deserialize_with = "networks")]
    #[schemars(with = "Vec<String>", extend(
        "items" = { "type": "string", "format": "network" },
        "default" = [],
    ))]
    pub trusted_proxies: Vec<IpNet>,
    /// Whether every connection begins with a header of the PROXY protocol, version 1 or 2, which only
    /// `trusted_proxies` may send.
    pub proxy_protocol: bool,
    /// Time between two heartbeats to a client.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub heartbeat: Duration,
    /// Time without any frame from a client after which its connection is closed; longer than `heartbeat`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub idle_timeout: Duration,
    /// Time from connecting to the end of the request, and between two requests.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub handshake_timeout: Duration,
    /// Time that a client may take to receive 64 KiB of an HTTP answer, or the rest of a shorter one; a slower client
    /// is disconnected.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub response_timeout: Duration,
    /// Bytes that the request line and the headers of a request may have; more than the longest token and cookies.
    #[serde(deserialize_with = "byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub max_header_bytes: usize,
    /// Headers that a request may have.
    #[schemars(range(min = 16, max = 1_000))]
    pub max_headers: NonZeroUsize,
    /// Bytes that one message from a client may have. A longer one is not read; one of more than 64 times as many ends the
    /// connection.
    #[serde(deserialize_with = "byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub max_frame_bytes: usize,
    /// Whether clients that offer permessage-deflate (RFC 7692) get messages compressed, each by itself. Under TLS the
    /// length of a message that holds a secret beside what an attacker wrote may then give the secret away.
    pub compression: bool,
    /// Bytes from which on a message is compressed.
    #[serde(deserialize_with = "byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub compression_threshold: usize,
    /// Topics that one connection may subscribe to.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_topics: NonZeroUsize,
    /// Messages that wait to be sent on one connection; a connection with more continues from the replica.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub window_messages: NonZeroUsize,
    /// The same in bytes. As many bytes again of answers may wait; beyond, nothing more is read from the client.
    #[serde(deserialize_with = "byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub window_bytes: usize,
    /// Memory for the newest envelopes, which serve returning and slow clients.
    #[serde(deserialize_with = "byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub hot_tail_bytes: usize,
    /// Envelopes that the index covers; a client that resumes further back is served from JetStream.
    #[schemars(range(min = 1, max = 2_147_483_648_u64))]
    pub mailbox_reach: u64,
    /// Messages per minute on one connection in the long run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub messages_per_minute: NonZeroU32,
    /// Messages on one connection at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub message_burst: NonZeroU32,
    /// Messages per minute on all connections of one user in the long run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub user_messages_per_minute: NonZeroU32,
    /// Messages on all connections of one user at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub user_message_burst: NonZeroU32,
    /// WebSocket frames per minute on one connection in the long run; those of messages that acknowledge what was received
    /// do not count.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub frames_per_minute: NonZeroU32,
    /// Frames on one connection at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub frame_burst: NonZeroU32,
    /// Bytes per minute from one connection in the long run; those of messages that acknowledge what was received do not
    /// count.
    #[serde(deserialize_with = "byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub bytes_per_minute: usize,
    /// Bytes from one connection at once after a pause; at least `max_frame_bytes`.
    #[serde(deserialize_with = "byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub byte_burst: usize,
    /// Events per minute that all clients of a tenant publish in the long run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub publish_per_minute: NonZeroU32,
    /// Events that all clients of a tenant publish at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub publish_burst: NonZeroU32,
    /// Bytes that one request to publish events may have.
    #[serde(deserialize_with = "byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub max_producer_request_bytes: usize,
    /// Requests to publish events per minute from one address in the long run. The first 64 bits of an IPv6 address count as
    /// one address.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub producer_requests_per_minute_per_address: NonZeroU32,
    /// Requests to publish events from one address at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub producer_request_burst_per_address: NonZeroU32,
    /// Events per minute that one producer publishes over HTTP in the long run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub producer_events_per_minute: NonZeroU32,
    /// Events that one producer publishes over HTTP at once after a pause; at least as many as a batch may have.
    #[schemars(range(min = 1_000, max = 1_000_000))]
    pub producer_event_burst: NonZeroU32,
    /// Bytes that one message to a client may have, as it is sent and before it is compressed; a longer one is
    /// replaced by the error `MESSAGE_TOO_LARGE`.
    #[serde(deserialize_with = "byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub max_message_bytes: usize,
    /// Requests with a token, valid or not, per minute from one address in the long run. The first 64 bits of
    /// an IPv6 address count as one address.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub attempts_per_minute_per_address: NonZeroU32,
    /// Requests with a token from one address at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempt_burst_per_address: NonZeroU32,
    /// Attempts to connect per minute of one user in the long run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub attempts_per_minute_per_user: NonZeroU32,
    /// Attempts to connect of one user at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempt_burst_per_user: NonZeroU32,
    /// Connections at once of one user.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub connections_per_user: NonZeroUsize,
    /// Connections at once of all users of a tenant; without it, as many as the gateway accepts.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub connections_per_tenant: Option<NonZeroUsize>,
    /// Connections at once from one address that have not become WebSockets.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub pending_per_address: NonZeroUsize,
    /// Connections at once that have not become WebSockets.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub pending_connections: NonZeroUsize,
    /// Limits that differ for a tenant, `[gateway.tenants.<tenant>]` each. They have no variables.
    pub tenants: BTreeMap<String, TenantConfig>,
    /// Connections that the gateway accepts; without it, as many as the system allows.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_connections: Option<NonZeroUsize>,
    /// Age at which a connection is closed so that the client reconnects, give or take a tenth, so that connections
    /// opened together do not reconnect together.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub max_connection_age: Duration,
    /// Time after SIGTERM over which connections are moved to other gateways; `0s` moves all at once. Without it `20s`, and
    /// `0s` in `tidings dev`.
    #[serde(deserialize_with = "optional_duration")]
    #[schemars(with = "String", extend("format" = "duration-or-zero"))]
    pub drain_time: Option<Duration>,
    /// Worker threads of the gateway, however many shards there are; 0 makes one per core.
    #[schemars(range(min = 0, max = 1024))]
    pub workers: usize,
    /// Share of the connections whose beginning and end are logged, 0 to 1: lines with the target `access`, with address, user,
    /// device, close code and numbers of messages.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub access_log: f64,
    /// Origins (RFC 6454) whose pages may authenticate by cookie, such as `https://app.example` or, for apps,
    /// `capacitor://localhost`.
    #[schemars(extend("items" = { "type": "string", "format": "origin" }))]
    pub allowed_origins: Vec<String>,
    /// Origins whose pages may use the admin interface (CORS), such as `https://console.example`. Their tokens come in the
    /// header `Authorization`, never as cookies.
    #[schemars(extend("items" = { "type": "string", "format": "origin" }))]
    pub admin_origins: Vec<String>,
    /// Claims that identify the device where the query names none, in order of preference. Each must stay the same when
    /// a token is refreshed: a claim such as `jti`, which changes, makes every refresh a new device.
    #[schemars(extend("items" = { "type": "string", "minLength": 1 }))]
    pub device_claims: Vec<String>,
    /// Name of the cookie with the token (RFC 6265).
    #[schemars(extend("format" = "cookie-name"))]
    pub cookie: String,
}

impl GatewayConfig {
    /// The time over which connections are moved to other gateways. The default of 20 s spreads tens of thousands of
    /// connections. With the steps after it, it fits into the 30 s that orchestrators usually allow.
    #[must_use]
    pub fn drain_time(&self) -> Duration {
        self.drain_time.unwrap_or(Duration::from_secs(20))
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin_listen: None,
            tls_certificate: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            heartbeat: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            handshake_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(10),
            max_header_bytes: 32 * 1024,
            max_headers: const { NonZeroUsize::new(100).unwrap() },
            max_frame_bytes: 16 * 1024,
            compression: true,
            compression_threshold: 512,
            max_topics: const { NonZeroUsize::new(100).unwrap() },
            window_messages: const { NonZeroUsize::new(256).unwrap() },
            window_bytes: 256 * 1024,
            hot_tail_bytes: 128 * 1024 * 1024,
            mailbox_reach: 1 << 31,
            messages_per_minute: const { NonZeroU32::new(100).unwrap() },
            message_burst: const { NonZeroU32::new(20).unwrap() },
            user_messages_per_minute: const { NonZeroU32::new(300).unwrap() },
            user_message_burst: const { NonZeroU32::new(60).unwrap() },
            frames_per_minute: const { NonZeroU32::new(6_000).unwrap() },
            frame_burst: const { NonZeroU32::new(2_000).unwrap() },
            bytes_per_minute: 8 * 1024 * 1024,
            byte_burst: 2 * 1024 * 1024,
            publish_per_minute: const { NonZeroU32::new(6_000).unwrap() },
            publish_burst: const { NonZeroU32::new(600).unwrap() },
            max_producer_request_bytes: 4 * 1024 * 1024,
            producer_requests_per_minute_per_address: const { NonZeroU32::new(600_000).unwrap() },
            producer_request_burst_per_address: const { NonZeroU32::new(20_000).unwrap() },
            producer_events_per_minute: const { NonZeroU32::new(600_000).unwrap() },
            producer_event_burst: const { NonZeroU32::new(20_000).unwrap() },
            max_message_bytes: 128 * 1024,
            attempts_per_minute_per_address: const { NonZeroU32::new(1_200).unwrap() },
            attempt_burst_per_address: const { NonZeroU32::new(1_000).unwrap() },
            attempts_per_minute_per_user: const { NonZeroU32::new(60).unwrap() },
            attempt_burst_per_user: const { NonZeroU32::new(32).unwrap() },
            connections_per_user: const { NonZeroUsize::new(32).unwrap() },
            connections_per_tenant: None,
            pending_per_address: const { NonZeroUsize::new(512).unwrap() },
            pending_connections: const { NonZeroUsize::new(8_192).unwrap() },
            tenants: BTreeMap::new(),
            max_connections: None,
            max_connection_age: DAY,
            drain_time: None,
            workers: 0,
            access_log: 0.0,
            allowed_origins: Vec::new(),
            admin_origins: Vec::new(),
            device_claims: ["sid", "session_id", "session_state", "origin_jti"].map(str::to_owned).into(),
            cookie: "session".to_owned(),
        }
    }
}
