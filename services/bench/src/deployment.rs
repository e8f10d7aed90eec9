//! A deployment of its own: a nats-server in a temporary folder, and processes beside it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use rustix::thread::CpuSet;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tidings_access::{SigningSecret, mint};
use tidings_embedded::{Cluster, ClusterOptions, NatsServer, Options};
use tidings_model::Tenant;
use tidings_streams::consumers::{ConsumerSettings, KvConsumers};
use tidings_streams::{ConnectSettings, Login, Settings, TlsFiles, Topology, connect};
use time::OffsetDateTime;
use tokio::process::Command;

use crate::failure::Failure;
use crate::process::{Process, Running, beside, free_address};

/// The tenant of all users.
pub(crate) const TENANT: &str = "bench";
/// The secret that signs tokens.
pub(crate) const SECRET: &[u8] = b"the-secret-of-a-benchmark-of-its-own";
/// A consumer disappears after this time without activity.
const INACTIVE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The limit of consumers on a stream by default.
const MAX_CONSUMERS: u64 = 1_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The topic that every user may subscribe to.
pub(crate) const TOPIC: &str = "news";
/// Users may open three addresses each, and the topic. An announcement passes through unchanged.
const CATALOG: &str = r#"
grants = ["user:{sub}", "role:{role}", "org:{orgId}"]
deliver = "all"
[topics.news]
[[message]]
name = "notification"
events = ["notification.created"]
schema = "notification.schema.json"
to = "user:{data.userId}"
[message.body]
type = "notification"
data = "{data}"
[[message]]
name = "reminder"
events = ["reminder.made"]
schema = "notification.schema.json"
to = "user:{data.userId}"
[message.body]
type = "notification"
data = "{data}"
[[message.fallback]]
channel = "webhook"
after = "1h"
[[message]]
name = "alert"
events = ["alert.made"]
schema = "notification.schema.json"
to = "user:{data.userId}"
[message.body]
type = "notification"
data = "{data}"
[[message.fallback]]
channel = "webhook"
after = "1m"
[[message]]
name = "announcement"
events = ["announcement.made"]
schema = "notification.schema.json"
to = "topic:news"
[message.body]
type = "{data.type}"
data = "{data.data}"
[[message]]
name = "broadcast"
events = ["broadcast.made"]
schema = "notification.schema.json"
to = "user:{data.users[*]}"
[message.body]
type = "notification"
data = "{data.data}"
"#;
const SCHEMA: &str = r#"{
  "type": "object", "required": ["type", "data"], "additionalProperties": false,
  "properties": {
    "type": { "const": "notification" },
    "data": {
      "type": "object", "required": ["title", "message"],
      "properties": { "title": { "type": "string" }, "message": { "type": "string" } }
    }
  }
}"#;

/// A nats-server with Tidings' streams and a catalog, and the processes on it.
pub(crate) struct Deployment {
    pub(crate) server: NatsServer,
    pub(crate) client: async_nats::Client,
    pub(crate) topology: Topology,
    pub(crate) consumers: KvConsumers,
    /// The other servers of a cluster.
    _others: Vec<NatsServer>,
    replicas: usize,
    folder: TempDir,
}

impl Deployment {
    /// Starts a server that allows this many JetStream consumers.
    pub(crate) async fn start(max_consumers: u64) -> Result<Self, Failure> {
        Box::pin(Self::open(max_consumers, 1)).await
    }

    /// Starts a cluster of this many servers, each with a replica of everything.
    pub(crate) async fn replicated(replicas: usize) -> Result<Self, Failure> {
        Box::pin(Self::open(MAX_CONSUMERS, replicas)).await
    }

    async fn open(max_consumers: u64, replicas: usize) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let schemas = folder.path().join("schemas").join(TENANT);
        std::fs::create_dir_all(&schemas)?;
        std::fs::write(schemas.join("catalog.toml"), CATALOG)?;
        std::fs::write(schemas.join("notification.schema.json"), SCHEMA)?;

        let limit = format!("jetstream {{ limits {{ default_max_consumers: {max_consumers} }} }}");
        let nats = folder.path().join("nats");
        let (server, others) = if replicas == 1 {
            (NatsServer::start(Options::new(nats).config(limit)).await?, Vec::new())
        } else {
            let cluster = Cluster::start(ClusterOptions::new(nats).size(replicas).config(&limit)).await?;
            let mut servers = cluster.into_servers();
            (servers.remove(0), servers)
        };
        let client = connect(&ConnectSettings {
            url: server.url().to_owned(),
            login: Login::default(),
            tls: TlsFiles::default(),
            timeout: Duration::from_secs(5),
            name: "tidings-bench".to_owned(),
            figures: Arc::default(),
        })
        .await?;
        let topology = Topology::ensure(&client, &Settings { replicas, ..settings() }).await?;
        let settings = ConsumerSettings { replicas, in_memory: false, inactive_after: INACTIVE };
        let consumers = KvConsumers::open(topology.context(), &settings).await?;
        Ok(Self { server, client, topology, consumers, _others: others, replicas, folder })
    }

    pub(crate) fn server_pid(&self) -> Result<u32, Failure> {
        Ok(self.server.pid().ok_or("nats-server has ended")?)
    }

    /// Starts a gateway and waits until it is ready.
    pub(crate) async fn gateway(&self, hot_tail: Option<u64>) -> Result<Running, Failure> {
        let bytes = hot_tail.map(|bytes| ("TIDINGS_GATEWAY__HOT_TAIL_BYTES", bytes.to_string()));
        self.gateway_with(bytes.as_slice(), None).await
    }

    /// Starts a gateway with these settings, on these cores.
    pub(crate) async fn gateway_with(
        &self,
        settings: &[(&str, String)],
        cores: Option<CpuSet>,
    ) -> Result<Running, Failure> {
        let mut command = self.tidings("gateway")?;
        command
            .env("TIDINGS_ACCESS__HS256_SECRET", String::from_utf8_lossy(SECRET).as_ref())
            .envs(settings.iter().map(|(name, value)| (name, value)));
        Self::start_gateway(command, cores).await
    }

    /// Starts a gateway that accepts only the tokens of this issuer, given as in the configuration file.
    pub(crate) async fn gateway_for(&self, issuer: &str) -> Result<Running, Failure> {
        let file = self.folder.path().join("tidings.toml");
        std::fs::write(&file, format!("[[access.issuers]]\n{issuer}"))?;
        let mut command = self.tidings("gateway")?;
        command.env("TIDINGS_CONFIG", file);
        Self::start_gateway(command, None).await
    }

    async fn start_gateway(mut command: Command, cores: Option<CpuSet>) -> Result<Running, Failure> {
        let address = free_address()?;
        command
            .env("TIDINGS_GATEWAY__LISTEN", address.to_string())
            // Clients that wait while others are measured are not pinged.
            .env("TIDINGS_GATEWAY__HEARTBEAT", "30m")
            .env("TIDINGS_GATEWAY__IDLE_TIMEOUT", "1h")
            // All clients connect from one address, many at once.
            .env("TIDINGS_GATEWAY__ATTEMPTS_PER_MINUTE_PER_ADDRESS", "1000000000")
            .env("TIDINGS_GATEWAY__ATTEMPT_BURST_PER_ADDRESS", "1000000")
            .env("TIDINGS_GATEWAY__PENDING_PER_ADDRESS", "1000000")
            .env("TIDINGS_GATEWAY__PENDING_CONNECTIONS", "1000000");
        Running::start(command, address, cores).await
    }

    /// Starts a projector that reads with this durable consumer.
    pub(crate) fn projector(&self, consumer: &str) -> Result<Process, Failure> {
        let mut command = self.tidings("projector")?;
        command.env("TIDINGS_PROJECTOR__CONSUMER", consumer);
        Process::start(command, None)
    }

    /// Starts a dispatcher whose webhooks go to this URL on this machine.
    pub(crate) fn dispatcher(&self, url: &str) -> Result<Process, Failure> {
        let (file, keys) = (self.folder.path().join("dispatcher.toml"), self.folder.path().join("keys"));
        std::fs::write(&keys, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")?;
        let text = format!(
            "[webhook]\nallow_http = true\nallowed_networks = [\"127.0.0.0/8\"]\n\
             [dispatcher.webhooks.{TENANT}]\nurl = {url:?}\nkey_file = {:?}\n",
            keys.to_string_lossy()
        );
        std::fs::write(&file, text)?;
        let mut command = self.tidings("dispatcher")?;
        command.env("TIDINGS_CONFIG", file);
        Process::start(command, None)
    }

    fn tidings(&self, service: &str) -> Result<Command, Failure> {
        let mut command = Command::new(beside("tidings")?);
        // Its own folder has no configuration file that would be read by default.
        command.arg(service).current_dir(self.folder.path());
        let variables = std::env::vars_os().map(|(name, _)| name);
        for name in variables.filter(|name| name.to_string_lossy().starts_with("TIDINGS_")) {
            command.env_remove(name);
        }
        command
            .env("TIDINGS_NATS__URL", self.server.url())
            .env("TIDINGS_STREAMS__REPLICAS", self.replicas.to_string())
            .env("TIDINGS_SCHEMAS__DIRECTORY", self.folder.path().join("schemas"))
            .env("TIDINGS_TELEMETRY__LOG", "warn");
        Ok(command)
    }

    /// Removes everything from a stream.
    pub(crate) async fn purge(&self, stream: &str) -> Result<(), Failure> {
        jetstream::new(self.client.clone()).get_stream(stream).await?.purge().await?;
        Ok(())
    }

    /// Removes a durable consumer of `EVENTS`.
    pub(crate) async fn forget_consumer(&self, name: &str) -> Result<(), Failure> {
        jetstream::new(self.client.clone()).get_stream("EVENTS").await?.delete_consumer(name).await?;
        Ok(())
    }

    /// The folder of the deployment's files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The tenant as a value.
pub(crate) fn tenant() -> Result<Tenant, Failure> {
    Ok(Tenant::parse(TENANT)?)
}

/// A token for this user.
pub(crate) fn token(user: &str) -> Result<String, Failure> {
    token_in(user, &["o1".to_owned()])
}

/// A token for this user of these organisations.
pub(crate) fn token_in(user: &str, organisations: &[String]) -> Result<String, Failure> {
    Ok(mint(&claims(user, organisations), &SigningSecret::new(SECRET)?)?.expose().to_owned())
}

/// The claims of such a token.
pub(crate) fn claims(user: &str, organisations: &[String]) -> Map<String, Value> {
    let expires_at = OffsetDateTime::now_utc().unix_timestamp() + 24 * 60 * 60;
    let claims = [
        ("sub", json!(user)),
        ("tenant", json!(TENANT)),
        ("role", json!("reader")),
        ("orgId", json!(organisations)),
        ("exp", json!(expires_at)),
    ];
    claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The settings of a default deployment.
pub(crate) fn settings() -> Settings {
    Settings {
        api_prefix: "$JS.API".to_owned(),
        replicas: 1,
        in_memory: false,
        events_max_age: 7 * DAY,
        envelopes_max_age: 7 * DAY,
        rejected_max_age: 30 * DAY,
        events_max_bytes: None,
        envelopes_max_bytes: None,
        rejected_max_bytes: None,
        duplicate_window: Duration::from_secs(120),
    }
}
