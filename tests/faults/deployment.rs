//! What fails: three nats-servers and the processes on them, each connected to each server through a cable.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;

use harness::{FlakyProxy, Launch, SECRET, Tidings, UNLIMITED, free_port};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::servers::{PATIENCE, Servers};

/// Who publishes and listens.
pub(crate) const TENANTS: [&str; 3] = ["lab", "yard", "dock"];
/// Users of each tenant.
pub(crate) const USERS: usize = 6;
/// How long everything is kept: far longer than anybody is away, and not so long that stores grow all the time.
const KEPT: &str = "5m";

const CATALOG: &str = r#"
description = "Lines of numbers"
grants = ["user:{sub}"]
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
    cables: Vec<FlakyProxy>,
    process: Option<Tidings>,
}

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Deployment {
    // The processes go before their servers.
    services: Vec<Service>,
    gateways: Vec<SocketAddr>,
    pub(crate) servers: Servers,
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
        let servers = Servers::start(folder.path()).await;
        let mut deployment =
            Self { services: Vec::new(), gateways: Vec::new(), servers, folder, ended: Vec::new() };
        for (name, shard) in [("projector", "0"), ("projector", "0"), ("projector", "1")] {
            deployment.add(name, vec![("TIDINGS_PROJECTOR__SHARD", shard.to_owned())]).await;
        }
        for _ in 0..2 {
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
            deployment.gateways.push(address);
            deployment.add("gateway", vec![("TIDINGS_GATEWAY__LISTEN", address.to_string())]).await;
        }
        for index in 0..deployment.services.len() {
            deployment.is_ready(index).await;
        }
        deployment.servers.is_whole().await.expect("what has just been made is whole");
        deployment
    }

    async fn add(&mut self, name: &'static str, variables: Vec<(&'static str, String)>) {
        let mut cables = Vec::new();
        for url in self.servers.urls() {
            cables.push(FlakyProxy::to(&url).await);
        }
        self.services.push(Service { name, variables, cables, process: None });
        self.start_service(self.services.len() - 1);
    }

    /// Waits until a service that was started says that it runs.
    pub(crate) async fn is_ready(&mut self, index: usize) {
        let service = &mut self.services[index];
        let line = service.ready_line();
        service.process.as_mut().unwrap().line(line, PATIENCE).await;
    }

    /// Starts a service that does not run.
    pub(crate) fn start_service(&mut self, index: usize) {
        let launch = {
            let service = &self.services[index];
            let urls: Vec<&str> = service.cables.iter().map(FlakyProxy::url).collect();
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
            .variable("TIDINGS_STREAMS__EVENTS_MAX_AGE", KEPT)
            .variable("TIDINGS_STREAMS__ENVELOPES_MAX_AGE", KEPT)
            .variable("TIDINGS_STREAMS__REJECTED_MAX_AGE", KEPT)
            .variable("TIDINGS_SCHEMAS__DIRECTORY", self.folder.path().join("schemas"))
            .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
            .variable("TIDINGS_GATEWAY__DRAIN_TIME", "0s")
            .folder(self.folder.path())
    }

    /// Begins a command of an administrator.
    pub(crate) fn command(&self, arguments: &[&str]) -> Tidings {
        self.launch(arguments, &self.servers.urls().join(",")).start()
    }

    pub(crate) fn services(&self) -> usize {
        self.services.len()
    }

    /// Every process that is meant to run.
    pub(crate) fn processes(&self) -> impl Iterator<Item = (String, Option<u32>)> {
        let own = self.services.iter().enumerate().map(|(index, service)| {
            let pid = service.process.as_ref().map(Tidings::pid);
            (format!("{} ({index})", service.name), pid)
        });
        own.chain(self.servers.processes())
    }

    pub(crate) fn name(&self, index: usize) -> &'static str {
        self.services[index].name
    }

    /// The cables of a service.
    pub(crate) fn cables(&self, index: usize) -> &[FlakyProxy] {
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
        if let Some(process) = self.services[index].process.take() {
            self.log(index, &process.output());
        }
    }

    /// Keeps what a process has written that has ended.
    fn log(&self, index: usize, output: &str) {
        let path = self.folder.path().join(format!("{}-{index}.log", self.services[index].name));
        let mut file = fs::File::options().create(true).append(true).open(path).unwrap();
        writeln!(file, "{output}").unwrap();
    }

    /// Ends a service as its operator would.
    pub(crate) async fn stop(&mut self, index: usize) {
        if let Some(process) = self.services[index].process.take() {
            process.signal(Signal::TERM);
            let (status, output) = process.end(PATIENCE).await;
            self.log(index, &output);
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

    /// Puts everything right again, and waits until it is.
    pub(crate) async fn heal(&mut self) -> Result<(), String> {
        self.servers.heal().await;
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
        self.servers.is_whole().await
    }

    /// Keeps what servers and processes have written, for whoever looks for the reason.
    pub(crate) fn keep(&mut self) -> String {
        self.folder.disable_cleanup(true);
        for (index, service) in self.services.iter().enumerate() {
            if let Some(process) = &service.process {
                self.log(index, &process.output());
            }
        }
        self.folder.path().display().to_string()
    }

    /// What ended though nobody ended it; each process that runs is well.
    pub(crate) fn ended(&mut self) -> Vec<String> {
        for service in &mut self.services {
            if let Some(process) = &mut service.process
                && (!process.is_running() || process.output().contains("panicked"))
            {
                self.ended.push(format!("{}: {}", service.name, last_lines(&process.output())));
            }
        }
        std::mem::take(&mut self.ended)
    }
}

impl Service {
    fn ready_line(&self) -> &'static str {
        if self.name == "gateway" { "the gateway is ready" } else { "projector runs" }
    }
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(4)..].join("\n")
}
