//! A cluster of several nats-servers.
//!
//! Routes need ports that are known before the servers start, and nats-server cannot choose them itself. The ports
//! are therefore reserved and released just before the start. If another process takes one in between, that is
//! detected, and other ports are tried.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::server::file_error;
use crate::{Error, NatsServer, Options};

/// How many times other ports are tried.
const ATTEMPTS: usize = 5;
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long one request to a server may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a server without a leader for JetStream does not answer.
const QUESTION: &str = "CONNECT {\"verbose\":false}\r\nSUB _answer 1\r\nPUB $JS.API.INFO _answer 0\r\n\r\n";

/// Options of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    folder: PathBuf,
    size: usize,
    config: String,
    links: Option<Links>,
    /// Ports for clients; the servers choose them if none are given.
    ports: Vec<u16>,
    start_within: Duration,
}

/// How the servers reach each other through proxies.
#[derive(Clone, Debug)]
struct Links {
    ports: Vec<u16>,
    routes: Vec<Vec<String>>,
}

/// What a server behind proxies advertises to the others: an address on which nothing listens, so that they use their
/// own routes only.
const UNREACHABLE: &str = "advertise: \"127.0.0.1:9\",";

impl ClusterOptions {
    /// Three servers, each with its data in its own subfolder of `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            size: 3,
            config: String::new(),
            links: None,
            ports: Vec::new(),
            start_within: Duration::from_secs(60),
        }
    }

    /// Sets the number of servers.
    #[must_use]
    pub fn size(self, size: usize) -> Self {
        Self { size, ..self }
    }

    /// Adds these lines to the configuration of each server, outside of its `cluster` block.
    #[must_use]
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    /// The servers listen for each other on these ports, and each reaches the others at the addresses in its row of
    /// `routes` only, such as those of proxies that can be cut.
    #[must_use]
    pub fn links(self, ports: Vec<u16>, routes: Vec<Vec<String>>) -> Self {
        Self { size: ports.len(), links: Some(Links { ports, routes }), ..self }
    }

    /// Starts a server for each of these ports, on which it listens for clients.
    #[must_use]
    pub fn ports(self, ports: Vec<u16>) -> Self {
        Self { size: ports.len(), ports, ..self }
    }

    fn server(&self, index: usize, ports: &[u16]) -> Options {
        let direct = || ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let routes: Vec<String> =
            self.links.as_ref().map_or_else(direct, |links| links.routes[index].clone());
        let routes: Vec<String> = routes.iter().map(|route| format!("\"{route}\"")).collect();
        let (port, routes) = (ports[index], routes.join(", "));
        let advertise = if self.links.is_some() { UNREACHABLE } else { "" };
        let options = Options::new(self.folder.join(format!("n{index}")));
        let options = options.port(self.ports.get(index).copied().unwrap_or_default());
        options.start_within(self.start_within).config(format!(
            "server_name: n{index}\n\
             server_tags: [n{index}]\n\
             cluster {{ name: tidings, listen: \"127.0.0.1:{port}\", no_advertise: true, {advertise} \
             routes: [{routes}] }}\n{}",
            self.config
        ))
    }
}

/// A running cluster. Dropping it kills the servers.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<NatsServer>,
}

impl Cluster {
    /// Starts the servers and waits until they have elected a leader for JetStream.
    pub async fn start(options: ClusterOptions) -> Result<Self, Error> {
        if let Some(links) = &options.links {
            return Self::start_on(&options, &links.ports).await;
        }
        let mut attempt = 1;
        loop {
            match Self::start_on(&options, &free_ports(&options)?).await {
                Err(Error::Exited { log, .. })
                    if log.contains("address already in use") && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                started => return started,
            }
        }
    }

    async fn start_on(options: &ClusterOptions, ports: &[u16]) -> Result<Self, Error> {
        let mut servers = Vec::new();
        for index in 0..options.size {
            servers.push(NatsServer::start(options.server(index, ports)).await?);
        }
        let cluster = Self { servers };
        timeout(options.start_within, cluster.is_led()).await.map_err(|_elapsed| Error::NotReady {
            within: options.start_within,
            path: cluster.servers[0].log(),
            log: cluster.servers[0].log_tail(),
        })?;
        Ok(cluster)
    }

    /// The addresses of all servers, separated by commas.
    #[must_use]
    pub fn url(&self) -> String {
        let urls: Vec<&str> = self.servers.iter().map(NatsServer::url).collect();
        urls.join(",")
    }

    /// The servers, named `n0`, `n1` and so on to each other.
    #[must_use]
    pub fn servers(&self) -> &[NatsServer] {
        &self.servers
    }

    /// The servers, mutably, to stop and start them.
    pub fn servers_mut(&mut self) -> &mut [NatsServer] {
        &mut self.servers
    }

    /// The servers by value, to be managed one by one.
    #[must_use]
    pub fn into_servers(self) -> Vec<NatsServer> {
        self.servers
    }

    /// Waits until every running server gets an answer from JetStream's leader.
    pub async fn is_led(&self) {
        for server in self.servers.iter().filter(|server| server.pid().is_some()) {
            while !answers(server.port()).await {
                sleep(POLL_INTERVAL).await;
            }
        }
    }
}

/// Chooses ports that are free now.
fn free_ports(options: &ClusterOptions) -> Result<Vec<u16>, Error> {
    let taken: io::Result<Vec<TcpListener>> =
        (0..options.size).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    let ports: io::Result<Vec<u16>> =
        taken.and_then(|taken| taken.iter().map(|listener| Ok(listener.local_addr()?.port())).collect());
    ports.map_err(file_error("find free ports for", &options.folder))
}

/// Whether JetStream's leader answers a client of this server that sends no credentials. A server that requires
/// credentials reports so at once; whether its leader answers is left to its users.
async fn answers(port: u16) -> bool {
    let exchange = async {
        let mut stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?);
        stream.write_all(QUESTION.as_bytes()).await?;
        let mut line = String::new();
        while stream.read_line(&mut line).await? > 0 {
            if line.starts_with("-ERR") {
                return Ok(true);
            }
            if let Ok(answer) = serde_json::from_str::<Value>(&line) {
                return Ok(answer["error"].is_null());
            }
            line.clear();
        }
        io::Result::Ok(false)
    };
    matches!(timeout(PATIENCE, exchange).await, Ok(Ok(true)))
}
