//! `tidings dev --nodes 3`: three nats-servers, and two of each service, as separate processes.
//!
//! Every process can be killed and is restarted, so that the behaviour of a deployment during faults can be observed
//! on one machine. No child process outlives this one.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tidings_embedded::{Cluster, ClusterOptions, NatsServer};
use tidings_metrics::Registry;
use tidings_model::ShardNumber;
use tidings_runtime::config::{Config, SecretRule};
use tidings_runtime::shutdown::Shutdown;
use tidings_runtime::telemetry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::balancer::balance;
use super::child::{Service, keep_server};
use super::{check_free, examples, explain, explain_busy, port_of, shards_in_use};
use crate::arguments::DevOptions;
use crate::failure::Failure;
use crate::{catalogs, serve, token};

const SERVERS: u16 = 3;
/// The number of processes of each service.
const REPLICAS: usize = 2;
/// How long a gateway may take to answer a readiness check.
const ANSWER: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);
const READY: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Starts everything, prints the addresses, and ends all of it together.
pub(super) async fn run(file: Option<&Path>, options: &DevOptions) -> Result<ExitCode, Failure> {
    let mut config = serve::configuration(file, SecretRule::Optional)?;
    config.streams.replicas = usize::from(SERVERS);
    let catalogs = catalogs::read(&config.schemas)?;
    // Before NATS starts: if the address is in use, nothing needs to be cleaned up.
    check_free(&config)?;
    let front = TcpListener::bind(config.gateway.listen).await?;
    let telemetry = telemetry::start(&config.telemetry, "tidings-dev", &Registry::default())?;
    let cluster = ClusterOptions::new(&options.data).ports(ports(&config.nats.url)?);
    let cluster = Cluster::start(cluster).await.map_err(explain_busy)?;
    config.nats.url = cluster.url();

    let topology = serve::topology(&config, "tidings-dev").await?;
    tidings_projector::place_initially(&topology, &serve::shards(&config)?).await?;
    let shards = shards_in_use(&config, &topology).await?;
    let mut gateways = free_addresses(2 * REPLICAS + REPLICAS * shards.len())?;
    let metrics = gateways.split_off(REPLICAS);
    let services = services(file, &config, (&gateways, &metrics), &shards);
    let shutdown = Shutdown::new();
    let address = front.local_addr()?;
    let scheme = if config.gateway.tls_certificate.is_some() { "wss" } else { "ws" };
    let gateway = format!("{scheme}://{address}");
    let mut places = examples::start(&config, &topology, &gateway, &shutdown)?;
    // The rest of the connection would report errors when the servers end.
    drop(topology);
    places.push('\n');
    let mut servers = JoinSet::new();
    let servers_end = CancellationToken::new();
    for (server, number) in cluster.into_servers().into_iter().zip(0..) {
        say_server(&mut places, number, &server);
        servers.spawn(keep_server(server, format!("n{number}"), servers_end.clone()));
    }
    start(services, &shutdown, &mut places).await?;
    shutdown.spawn("balancer", balance(front, gateways.clone(), shutdown.token()));

    let announced = async {
        let serving = serve_all(&gateways, scheme == "wss");
        if shutdown.token().run_until_cancelled(serving).await.is_some() {
            explain(&gateway, &config.nats.url, &options.data, &catalogs.tenants(), &places);
        }
    };
    let ending = serve::until_ended(shutdown.clone(), config.gateway.drain_time(), telemetry);
    let (ended, ()) = tokio::join!(ending, announced);
    // The services end before the servers that they use.
    servers_end.cancel();
    while let Some(stopped) = servers.join_next().await {
        stopped??;
    }
    ended
}

/// Starts the services, and records their process ids.
async fn start(services: Vec<Service>, shutdown: &Shutdown, places: &mut String) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    for service in services {
        let (sender, mut pid) = watch::channel(0);
        let name = service.name.clone();
        shutdown.spawn("service", service.keep(program.clone(), sender, shutdown.token()));
        let pid = *pid.wait_for(|pid| *pid != 0).await?;
        _ = writeln!(places, "  {name}, process {pid}");
    }
    Ok(())
}

fn say_server(places: &mut String, number: usize, server: &NatsServer) {
    let process = server.pid().unwrap_or_default();
    _ = writeln!(places, "  nats-server n{number} at {}, process {process}", server.url());
}

/// Two gateways, and two projectors of each shard.
fn services(
    file: Option<&Path>,
    config: &Config,
    (gateways, metrics): (&[SocketAddr], &[SocketAddr]),
    shards: &BTreeSet<ShardNumber>,
) -> Vec<Service> {
    let mut shared = vec![
        ("TIDINGS_NATS__URL", config.nats.url.clone()),
        ("TIDINGS_STREAMS__REPLICAS", config.streams.replicas.to_string()),
    ];
    if config.access.hs256_secret.is_none() && config.access.issuers.is_empty() {
        shared.push(("TIDINGS_ACCESS__HS256_SECRET", token::DEV_SECRET.to_owned()));
    }
    if config.contacts.keys.is_none() {
        shared.push(("TIDINGS_CONTACTS__KEYS", super::CONTACT_KEY.to_owned()));
    }
    let service = |name: String, command: &str, more: Vec<(&'static str, String)>| {
        let file = file.map(|file| [OsString::from("--config"), file.into()]);
        let arguments = [OsString::from(command)].into_iter().chain(file.into_iter().flatten()).collect();
        Service { name, arguments, variables: [shared.clone(), more].concat() }
    };
    let gateways = gateways.iter().zip(1..).map(|(address, number)| {
        let mut own = vec![
            ("TIDINGS_GATEWAY__LISTEN", address.to_string()),
            // One address for everything is enough on a developer's machine.
            ("TIDINGS_GATEWAY__ADMIN_LISTEN", address.to_string()),
        ];
        if config.gateway.drain_time.is_none() {
            own.push(("TIDINGS_GATEWAY__DRAIN_TIME", "0s".to_owned()));
        }
        service(format!("gateway {number} at {address}"), "gateway", own)
    });
    let projectors = shards.iter().flat_map(|shard| (1..=REPLICAS).map(move |number| (*shard, number)));
    let projectors = projectors.map(|(shard, number)| {
        let own = vec![("TIDINGS_PROJECTOR__SHARD", shard.to_string())];
        service(format!("projector {number} of shard {shard}"), "projector", own)
    });
    let services = projectors.chain(gateways).zip(metrics).map(|(mut service, address)| {
        service.variables.push(("TIDINGS_TELEMETRY__METRICS_LISTEN", address.to_string()));
        service.name = format!("{}, metrics at http://{address}/metrics", service.name);
        service
    });
    services.collect()
}

/// Waits until every gateway is ready; with TLS, until it listens.
async fn serve_all(gateways: &[SocketAddr], speak_tls: bool) {
    for gateway in gateways {
        while !matches!(timeout(ANSWER, serves(*gateway, speak_tls)).await, Ok(Ok(true))) {
            sleep(POLL).await;
        }
    }
}

async fn serves(gateway: SocketAddr, speaks_tls: bool) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(gateway).await?;
    if speaks_tls {
        return Ok(true);
    }
    stream.write_all(READY).await?;
    let mut status = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut status).await?;
    Ok(status.ends_with(b" 200"))
}

/// The ports of the servers: those of the configured addresses, or consecutive ones from a single address.
fn ports(urls: &str) -> Result<Vec<u16>, Failure> {
    let configured = urls.split(',').map(port_of).collect::<Result<Vec<u16>, Failure>>()?;
    let ports: Option<Vec<u16>> = match *configured {
        [first] => (0..SERVERS).map(|number| first.checked_add(number)).collect(),
        _ => Some(configured),
    };
    ports.filter(|ports| ports.len() == usize::from(SERVERS)).ok_or_else(|| {
        format!(
            "`nats.url` is {urls:?}, expected one address or {SERVERS}, each with a port for a nats-server"
        )
        .into()
    })
}

/// Chooses addresses for the services, which keep them across restarts.
fn free_addresses(count: usize) -> Result<Vec<SocketAddr>, Failure> {
    let taken = (0..count).map(|_| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let taken = taken.collect::<Result<Vec<_>, _>>()?;
    Ok(taken.iter().map(std::net::TcpListener::local_addr).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_listen_where_it_is_configured() {
        for (urls, expected) in [
            ("nats://127.0.0.1:4222", Some(vec![4222, 4223, 4224])),
            ("nats://127.0.0.1:1,nats://127.0.0.1:5,nats://127.0.0.1:9", Some(vec![1, 5, 9])),
            ("nats://127.0.0.1:1,nats://127.0.0.1:5", None),
            ("nats://127.0.0.1:65535", None),
        ] {
            assert_eq!(ports(urls).ok(), expected, "{urls}");
        }
    }
}
