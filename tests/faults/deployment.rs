//! What fails: three nats-servers and the processes on them, each connected to each server through a cable.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use async_nats::jetstream::{self, stream::Info};
use futures_util::TryStreamExt as _;
use harness::{Cable, Launch, SECRET, Tidings, UNLIMITED, eventually, free_port};
use rustix::process::Signal;
use tempfile::TempDir;
use tidings_embedded::{Cluster, ClusterOptions, NatsServer};

/// Who publishes and listens.
pub(crate) const TENANTS: [&str; 3] = ["lab", "yard", "dock"];
/// Users of each tenant.
pub(crate) const USERS: usize = 6;
/// How long servers and streams may take to be whole again.
const PATIENCE: Duration = Duration::from_secs(90);

const CATALOG: &str = r#"
description = "Lines of numbers"
keys = ["user:{sub}"]
deliver = "all"
[topics.news]
[[message]]
name = "note"
events = ["note.made"]
schema = "any.schema.json"
to = "user:{data.user}"
[message.body]
type = "note"
user = "{data.user}"
number = "{data.number}"
[[message]]
name = "news"
events = ["news.made"]
schema = "any.schema.json"
to = "topic:news"
[message.body]
type = "news"
number = "{data.number}"
"#;

/// The user of this number.
pub(crate) fn user(number: usize) -> String {
    format!("u{number}")
}

/// A process of ours.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    variables: Vec<(&'static str, String)>,
    /// One for each server.
    cables: Vec<Cable>,
    process: Option<Tidings>,
}

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Deployment {
    // The processes go before their servers.
    services: Vec<Service>,
    gateways: Vec<SocketAddr>,
    clients: Vec<async_nats::Client>,
    pub(crate) cluster: Cluster,
    folder: TempDir,
    /// What ended though nobody ended it.
    ended: Vec<String>,
}

impl Deployment {
    /// Two projectors of the first shard, one of the second, two gateways.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for tenant in TENANTS {
            let schemas = folder.path().join("schemas").join(tenant);
            fs::create_dir_all(&schemas).unwrap();
            fs::write(schemas.join("catalog.toml"), CATALOG).unwrap();
            fs::write(schemas.join("any.schema.json"), "{}").unwrap();
        }
        let options =
            ClusterOptions::new(folder.path().join("nats")).config("jetstream { sync_interval: always }");
        let cluster = Cluster::start(options).await.unwrap();
        let mut clients = Vec::new();
        for server in cluster.servers() {
            let options = async_nats::ConnectOptions::new().ping_interval(Duration::from_secs(1));
            clients.push(options.connect(server.url()).await.unwrap());
        }
        let mut deployment =
            Self { services: Vec::new(), gateways: Vec::new(), clients, cluster, folder, ended: Vec::new() };
        for (name, shard) in [("projector", "0"), ("projector", "0"), ("projector", "1")] {
            deployment.add(name, vec![("TIDINGS_PROJECTOR__SHARD", shard.to_owned())]).await;
        }
        for _ in 0..2 {
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
            deployment.gateways.push(address);
            deployment.add("gateway", vec![("TIDINGS_GATEWAY__LISTEN", address.to_string())]).await;
        }
        for service in &mut deployment.services {
            let (line, process) = (service.ready_line(), service.process.as_mut().unwrap());
            process.line(line, PATIENCE).await;
        }
        deployment.is_whole().await;
        deployment
    }

    async fn add(&mut self, name: &'static str, variables: Vec<(&'static str, String)>) {
        let mut cables = Vec::new();
        for server in self.cluster.servers() {
            cables.push(Cable::to(server.url()).await);
        }
        self.services.push(Service { name, variables, cables, process: None });
        self.start_service(self.services.len() - 1);
    }

    /// Starts a service that does not run.
    pub(crate) fn start_service(&mut self, index: usize) {
        let launch = {
            let service = &self.services[index];
            let urls: Vec<&str> = service.cables.iter().map(Cable::url).collect();
            let variables = service.variables.iter().map(|(name, value)| (*name, value.as_str()));
            self.launch(&[service.name], &urls.join(",")).variables(variables)
        };
        let service = &mut self.services[index];
        if service.process.is_none() {
            service.process = Some(launch.start());
        }
    }

    fn launch(&self, arguments: &[&str], url: &str) -> Launch {
        Launch::tidings(arguments.iter().copied())
            .variables(UNLIMITED)
            .variable("TIDINGS_NATS__URL", url)
            .variable("TIDINGS_STREAMS__REPLICAS", "3")
            .variable("TIDINGS_SCHEMAS__DIRECTORY", self.folder.path().join("schemas"))
            .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
            .variable("TIDINGS_GATEWAY__DRAIN_TIME", "0s")
            .folder(self.folder.path())
    }

    /// Begins a command of an administrator.
    pub(crate) fn command(&self, arguments: &[&str]) -> Tidings {
        self.launch(arguments, &self.cluster.url()).start()
    }

    pub(crate) fn services(&self) -> usize {
        self.services.len()
    }

    pub(crate) fn name(&self, index: usize) -> &'static str {
        self.services[index].name
    }

    /// The cables of a service.
    pub(crate) fn cables(&self, index: usize) -> &[Cable] {
        &self.services[index].cables
    }

    /// Sends a service a signal, if it runs.
    pub(crate) fn signal(&self, index: usize, signal: Signal) {
        if let Some(process) = &self.services[index].process {
            process.signal(signal);
        }
    }

    /// Ends a service with SIGKILL.
    pub(crate) fn kill(&mut self, index: usize) {
        self.services[index].process = None;
    }

    /// Ends a service as its operator would.
    pub(crate) async fn stop(&mut self, index: usize) {
        if let Some(process) = self.services[index].process.take() {
            process.signal(Signal::TERM);
            let (status, output) = process.end(PATIENCE).await;
            if !status.success() {
                self.ended.push(format!(
                    "{} ended with {status}: {}",
                    self.services[index].name,
                    last_lines(&output)
                ));
            }
        }
    }

    /// Where clients connect.
    pub(crate) fn gateways(&self) -> Vec<SocketAddr> {
        self.gateways.clone()
    }

    /// The addresses of the servers, without a cable.
    pub(crate) fn servers(&self) -> Vec<String> {
        self.cluster.servers().iter().map(|server| server.url().to_owned()).collect()
    }

    /// Asks the leader of a stream to step down.
    pub(crate) async fn step_down(&self, stream: &str) {
        let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.{stream}");
        for client in &self.clients {
            let asked =
                tokio::time::timeout(Duration::from_secs(2), client.request(subject.clone(), "".into()))
                    .await;
            if asked.is_ok_and(|answer| answer.is_ok()) {
                return;
            }
        }
    }

    /// Puts everything right again, and waits until it is.
    pub(crate) async fn heal(&mut self) {
        for server in self.cluster.servers() {
            server.resume().unwrap();
        }
        for server in self.cluster.servers_mut() {
            if server.pid().is_none() {
                server.restart().await.unwrap();
            }
        }
        for index in 0..self.services.len() {
            let service = &mut self.services[index];
            for cable in &service.cables {
                cable.plug();
            }
            if let Some(process) = &mut service.process {
                if process.is_running() {
                    process.signal(Signal::CONT);
                } else {
                    self.ended.push(format!("{} gave up: {}", service.name, last_lines(&process.output())));
                    service.process = None;
                }
            }
            self.start_service(index);
        }
        self.is_whole().await;
    }

    /// Waits until every stream has its three replicas, all of them current.
    async fn is_whole(&self) {
        tokio::time::timeout(PATIENCE, self.cluster.is_led()).await.expect("JetStream elects a leader");
        eventually("all replicas are current", PATIENCE, async || {
            let mut last = String::from("no server answers");
            for client in &self.clients {
                let context = jetstream::new(client.clone());
                let streams =
                    tokio::time::timeout(Duration::from_secs(2), context.streams().try_collect()).await;
                let Ok(Ok::<Vec<Info>, _>(streams)) = streams else { continue };
                let lagging = streams.iter().filter(|stream| !is_current(stream));
                last = lagging.map(|stream| stream.config.name.as_str()).collect::<Vec<_>>().join(", ");
                if last.is_empty() && !streams.is_empty() {
                    return Ok(());
                }
            }
            Err(last)
        })
        .await;
    }

    /// What ended though nobody ended it; each process that runs is well.
    pub(crate) fn check(&mut self) {
        for service in &mut self.services {
            if let Some(process) = &mut service.process
                && (!process.is_running() || process.output().contains("panicked"))
            {
                self.ended.push(format!("{}: {}", service.name, last_lines(&process.output())));
            }
        }
        assert_eq!(self.ended, Vec::<String>::new());
    }
}

impl Service {
    fn ready_line(&self) -> &'static str {
        if self.name == "gateway" { "the gateway is ready" } else { "projector runs" }
    }
}

fn is_current(stream: &Info) -> bool {
    let Some(cluster) = &stream.cluster else { return false };
    cluster.leader.is_some()
        && cluster.replicas.len() == 2
        && cluster.replicas.iter().all(|replica| replica.current && !replica.offline)
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(4)..].join("\n")
}

/// Servers by number, so that faults can name one.
pub(crate) fn server(deployment: &mut Deployment, index: usize) -> &mut NatsServer {
    &mut deployment.cluster.servers_mut()[index]
}
