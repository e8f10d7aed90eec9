//! A deployment of its own: a nats-server in a temporary folder, and processes beside it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::thread::CpuSet;
use tempfile::TempDir;
use tidings_access::{SigningSecret, mint};
use tidings_embedded::{NatsServer, Options};
use tidings_model::Tenant;
use tidings_streams::consumers::{ConsumerSettings, KvConsumers};
use tidings_streams::{ConnectSettings, Settings, Topology, connect};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::{Failure, affinity};

/// The tenant of all users.
pub(crate) const TENANT: &str = "bench";
/// What tokens are signed with.
pub(crate) const SECRET: &[u8] = b"the-secret-of-a-benchmark-of-its-own";
/// After this time without a sign, a consumer disappears.
const INACTIVE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a process may take to be ready.
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(5);

/// What users may open: three addresses each.
const CATALOG: &str = r#"
keys = ["user:{sub}", "role:{role}", "org:{orgId}"]
deliver = "all"
[[message]]
name = "notification"
events = ["notification.created"]
schema = "notification.schema.json"
to = "user:{data.userId}"
[message.body]
type = "notification"
data = "{data}"
"#;
const SCHEMA: &str = r#"{ "type": "object", "required": ["userId"] }"#;

/// A nats-server with Tidings' streams, a catalog, and whatever runs on it.
pub(crate) struct Deployment {
    pub(crate) server: NatsServer,
    pub(crate) client: async_nats::Client,
    pub(crate) topology: Topology,
    pub(crate) consumers: KvConsumers,
    folder: TempDir,
}

impl Deployment {
    /// Starts a server that takes this many JetStream consumers.
    pub(crate) async fn start(max_consumers: u64) -> Result<Self, Failure> {
        Box::pin(Self::open(max_consumers)).await
    }

    async fn open(max_consumers: u64) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let schemas = folder.path().join("schemas").join(TENANT);
        std::fs::create_dir_all(&schemas)?;
        std::fs::write(schemas.join("catalog.toml"), CATALOG)?;
        std::fs::write(schemas.join("notification.schema.json"), SCHEMA)?;

        let limit = format!("jetstream {{ limits {{ default_max_consumers: {max_consumers} }} }}");
        let server = NatsServer::start(Options::new(folder.path().join("nats")).config(limit)).await?;
        let client = connect(&ConnectSettings {
            url: server.url().to_owned(),
            credentials: None,
            timeout: Duration::from_secs(5),
            name: "tidings-bench".to_owned(),
        })
        .await?;
        let topology = Topology::ensure(&client, &settings()).await?;
        let settings = ConsumerSettings { replicas: 1, in_memory: false, inactive_after: INACTIVE };
        let consumers = KvConsumers::open(&client, &settings).await?;
        Ok(Self { server, client, topology, consumers, folder })
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
        let address = free_address()?;
        let mut command = Command::new(beside("tidings")?);
        command.arg("gateway");
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDINGS_"))
        {
            command.env_remove(name);
        }
        command
            .env("TIDINGS_NATS__URL", self.server.url())
            .env("TIDINGS_SCHEMAS__DIRECTORY", self.folder.path().join("schemas"))
            .env("TIDINGS_ACCESS__HS256_SECRET", String::from_utf8_lossy(SECRET).as_ref())
            .env("TIDINGS_GATEWAY__LISTEN", address.to_string())
            // Whoever waits for others to be measured is not asked whether it is still there.
            .env("TIDINGS_GATEWAY__HEARTBEAT", "30m")
            .env("TIDINGS_GATEWAY__IDLE_TIMEOUT", "1h")
            // They all come from one address, as many at once as the benchmark says.
            .env("TIDINGS_GATEWAY__ATTEMPTS_PER_MINUTE_PER_ADDRESS", "1000000000")
            .env("TIDINGS_GATEWAY__ATTEMPT_BURST_PER_ADDRESS", "1000000")
            .env("TIDINGS_GATEWAY__PENDING_PER_ADDRESS", "1000000")
            .env("TIDINGS_GATEWAY__PENDING_CONNECTIONS", "1000000")
            .env("TIDINGS_TELEMETRY__LOG", "warn")
            .envs(settings.iter().map(|(name, value)| (name, value)));
        self.run(command, address, cores).await
    }

    /// Starts this very program as another server and waits until it is ready.
    pub(crate) async fn comparison(&self, source: &str, missed: u64) -> Result<Running, Failure> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["comparison", "--nats", self.server.url(), "--source", source]);
        command.args(["--listen", &address.to_string(), "--missed", &missed.to_string()]);
        self.run(command, address, None).await
    }

    async fn run(
        &self,
        mut command: Command,
        address: SocketAddr,
        cores: Option<CpuSet>,
    ) -> Result<Running, Failure> {
        // Its own folder has no configuration file, and standard error shows its warnings.
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let began = Instant::now();
        let child = match cores {
            Some(cores) => affinity::on(&cores, || command.spawn())?,
            None => command.spawn()?,
        };
        let pid = child.id().ok_or("the process has ended at once")?;
        let mut running = Running { child, pid, address, ready_after: Duration::ZERO };
        while !is_ready(address).await {
            if let Some(status) = running.child.try_wait()? {
                return Err(format!("a server ended before it was ready: {status}").into());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("a server was not ready within {PATIENCE:?}").into());
            }
            tokio::time::sleep(POLL).await;
        }
        running.ready_after = began.elapsed();
        Ok(running)
    }
}

/// A server process. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
    /// The time from its start until it said that it is ready.
    pub(crate) ready_after: Duration,
}

impl Running {
    /// Ends it with SIGKILL.
    pub(crate) async fn kill(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
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
    let claims = serde_json::json!({
        "sub": user,
        "tenant": TENANT,
        "role": "reader",
        "orgId": organisations,
        "exp": OffsetDateTime::now_utc().unix_timestamp() + 24 * 60 * 60,
    });
    let claims = claims.as_object().ok_or("claims are an object")?;
    Ok(mint(claims, &SigningSecret::new(SECRET)?)?.expose().to_owned())
}

/// What a deployment with default settings has.
fn settings() -> Settings {
    Settings {
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

/// A program that was built together with this one.
fn beside(name: &str) -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        let path = path.display();
        return Err(
            format!("{path} is missing; `just bench` builds it, as does `cargo build --release`").into()
        );
    }
    Ok(path)
}

fn free_address() -> Result<SocketAddr, Failure> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Whether `GET /readyz` is answered with 200.
async fn is_ready(address: SocketAddr) -> bool {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer == *b"HTTP/1.1 200")
    };
    exchange.await.unwrap_or(false)
}
