//! Three nats-servers whose stores can be full, replaced and put back, and whose routes can be cut.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream::stream::{Config, Info, Placement};
use async_nats::jetstream::{self, Context};
use futures_util::TryStreamExt as _;
use harness::{FlakyProxy, free_port, within};
use tidings_embedded::{Cluster, ClusterOptions, NatsServer};
use tokio::time::timeout;

/// How many servers there are.
pub(crate) const SERVERS: usize = 3;
/// How long servers and streams may take to be whole again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// How long replicas may need to go on after a store was full, before their server is started again.
const STANDSTILL: Duration = Duration::from_secs(60);
/// How long a server may take to answer before another is asked.
const ANSWER: Duration = Duration::from_secs(2);
/// What each server may store. Together with what is kept of everything, a minute of writing fills it.
const CONFIG: &str = "jetstream { sync_interval: always, max_file_store: 128MB }";
/// Streams that do nothing but fill stores.
const FILLERS: &str = "FILL";
const FILLING: usize = 768 * 1024;
/// More than any store takes.
const MOST_FILLING: usize = 400;

/// The servers with the cables between them.
#[derive(Debug)]
pub(crate) struct Servers {
    clients: Vec<async_nats::Client>,
    cluster: Cluster,
    /// `routes[a][b]` leads from server `a` to server `b`.
    routes: Vec<Vec<FlakyProxy>>,
    folder: PathBuf,
    has_fillers: bool,
}

impl Servers {
    pub(crate) async fn start(folder: &Path) -> Self {
        let ports: Vec<u16> = (0..SERVERS).map(|_| free_port()).collect();
        let mut routes = Vec::new();
        for _ in 0..SERVERS {
            let mut row = Vec::new();
            for port in &ports {
                row.push(FlakyProxy::to(&format!("nats://127.0.0.1:{port}")).await);
            }
            routes.push(row);
        }
        let urls = routes.iter().map(|row| row.iter().map(|cable| cable.url().to_owned()).collect());
        let options = ClusterOptions::new(folder.join("nats")).config(CONFIG).links(ports, urls.collect());
        let cluster = Cluster::start(options).await.unwrap();
        let mut clients = Vec::new();
        for server in cluster.servers() {
            let options = async_nats::ConnectOptions::new().ping_interval(Duration::from_secs(1));
            clients.push(options.connect(server.url()).await.unwrap());
        }
        Self { clients, cluster, routes, folder: folder.to_owned(), has_fillers: false }
    }

    /// The addresses of the servers.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.cluster.servers().iter().map(|server| server.url().to_owned()).collect()
    }

    /// The process of each, if it runs.
    pub(crate) fn processes(&self) -> impl Iterator<Item = (String, Option<u32>)> {
        self.cluster
            .servers()
            .iter()
            .zip(0..)
            .map(|(server, index)| (format!("nats-server n{index}"), server.pid()))
    }

    pub(crate) fn get(&mut self, index: usize) -> &mut NatsServer {
        &mut self.cluster.servers_mut()[index]
    }

    pub(crate) async fn kill_all(&mut self) {
        for server in self.cluster.servers_mut() {
            server.kill().await.unwrap();
        }
    }

    /// The cables from and to a server.
    pub(crate) fn around(&self, index: usize) -> impl Iterator<Item = &FlakyProxy> {
        self.routes[index].iter().chain(self.routes.iter().map(move |row| &row[index]))
    }

    /// The cables between two servers.
    pub(crate) fn between(&self, one: usize, other: usize) -> [&FlakyProxy; 2] {
        [&self.routes[one][other], &self.routes[other][one]]
    }

    /// Asks the leader of a stream to step down.
    pub(crate) async fn step_down(&self, stream: &str) {
        let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.{stream}");
        for client in &self.clients {
            let asked = timeout(ANSWER, client.request(subject.clone(), "".into())).await;
            if asked.is_ok_and(|answer| answer.is_ok()) {
                return;
            }
        }
    }

    /// Writes until this server, or each of them, takes nothing more.
    pub(crate) async fn fill(&mut self, index: Option<usize>) {
        self.has_fillers = true;
        let name = index.map_or(FILLERS.to_owned(), |index| format!("{FILLERS}_{index}"));
        let context = self.context(index.unwrap_or_default());
        let placement =
            index.map(|index| Placement { tags: vec![format!("n{index}")], ..Placement::default() });
        let config = Config {
            subjects: vec![name.clone()],
            num_replicas: if index.is_some() { 1 } else { SERVERS },
            name: name.clone(),
            placement,
            ..Config::default()
        };
        if !matches!(timeout(PATIENCE, context.create_stream(config)).await, Ok(Ok(_))) {
            return;
        }
        let filling = bytes_of(FILLING);
        for _ in 0..MOST_FILLING {
            let stored = async {
                let sent = context.publish(name.clone(), filling.clone().into()).await;
                match sent {
                    Ok(sent) => sent.await.is_ok(),
                    Err(_) => false,
                }
            };
            if !timeout(ANSWER, stored).await.unwrap_or(false) {
                return;
            }
        }
    }

    /// Copies what these servers have stored, none of which runs meanwhile.
    pub(crate) async fn copy(&mut self, servers: &[usize]) {
        for &index in servers {
            self.get(index).kill().await.unwrap();
        }
        for &index in servers {
            let (store, copy) = self.store(index);
            let _ = fs::remove_dir_all(&copy);
            copy_folder(&store, &copy);
        }
    }

    /// Puts back what was copied.
    pub(crate) async fn put_back(&mut self, servers: &[usize]) {
        for &index in servers {
            self.get(index).kill().await.unwrap();
        }
        for &index in servers {
            let (store, copy) = self.store(index);
            self.get(index).wipe().await.unwrap();
            copy_folder(&copy, &store);
        }
    }

    fn store(&mut self, index: usize) -> (PathBuf, PathBuf) {
        let copy = self.folder.join(format!("copy-{index}"));
        (self.get(index).folder().join("jetstream"), copy)
    }

    /// Puts everything right, but for what is stored.
    pub(crate) async fn heal(&mut self) {
        for server in self.cluster.servers() {
            server.resume().unwrap();
        }
        self.routes.iter().flatten().for_each(FlakyProxy::plug);
        for server in self.cluster.servers_mut() {
            if server.pid().is_none() {
                server.restart().await.unwrap();
            }
        }
    }

    /// Waits until every stream has its three replicas, all of them current. A replica that catches up while its store
    /// is full stops until its server starts again, as the notes for operators say; so that is done, and printed.
    pub(crate) async fn is_whole(&mut self) -> Result<(), String> {
        timeout(PATIENCE, self.cluster.is_led()).await.map_err(|_elapsed| "JetStream elects no leader")?;
        if !self.has_fillers {
            return self.are_replicas_current(PATIENCE).await;
        }
        if self.are_replicas_current(STANDSTILL).await.is_err() {
            self.restart_stopped().await;
            self.are_replicas_current(PATIENCE).await?;
        }
        self.has_fillers = false;
        Ok(())
    }

    async fn are_replicas_current(&self, patience: Duration) -> Result<(), String> {
        within("all replicas are current", patience, async || {
            let mut last = String::from("no server answers");
            for client in &self.clients {
                match state(client, self.has_fillers).await {
                    Some(lagging) if lagging.is_empty() => return Ok(()),
                    Some(lagging) => last = all_of(&lagging),
                    None => {}
                }
            }
            Err(last)
        })
        .await
    }

    #[expect(clippy::print_stdout, reason = "what a person would have to do is part of the result")]
    async fn restart_stopped(&mut self) {
        let mut lagging = Vec::new();
        for client in &self.clients {
            lagging.extend(state(client, true).await.unwrap_or_default());
        }
        for (index, server) in self.cluster.servers_mut().iter_mut().enumerate() {
            let name = format!("n{index}");
            if lagging.iter().any(|stream| stream.replicas.contains(&name)) {
                println!("{name} is started again: {}", all_of(&lagging));
                server.kill().await.unwrap();
                server.restart().await.unwrap();
            }
        }
    }

    fn context(&self, index: usize) -> Context {
        jetstream::new(self.clients[index].clone())
    }
}

/// Which streams are not whole; removes those that fill stores. `None` if the server does not say.
async fn state(client: &async_nats::Client, has_fillers: bool) -> Option<Vec<Lagging>> {
    let context = jetstream::new(client.clone());
    if has_fillers {
        for name in
            [FILLERS.to_owned()].into_iter().chain((0..SERVERS).map(|index| format!("{FILLERS}_{index}")))
        {
            let _ = timeout(ANSWER, context.delete_stream(name)).await;
        }
    }
    let streams = timeout(ANSWER, context.streams().try_collect()).await;
    let Ok(Ok::<Vec<Info>, _>(streams)) = streams else { return None };
    let lagging: Vec<Lagging> = streams.iter().filter_map(wanting).collect();
    (!streams.is_empty()).then_some(lagging)
}

/// A stream that is not whole.
struct Lagging {
    what: String,
    /// The servers whose replicas are not current.
    replicas: Vec<String>,
}

fn all_of(lagging: &[Lagging]) -> String {
    lagging.iter().map(|stream| stream.what.as_str()).collect::<Vec<_>>().join(", ")
}

fn wanting(stream: &Info) -> Option<Lagging> {
    let name = &stream.config.name;
    let Some(cluster) = &stream.cluster else {
        return Some(Lagging { what: format!("{name} is in no cluster"), replicas: Vec::new() });
    };
    let replicas: Vec<String> = cluster
        .replicas
        .iter()
        .filter(|replica| !replica.current || replica.offline)
        .map(|replica| replica.name.clone())
        .collect();
    let is_whole = cluster.leader.is_some()
        && cluster.replicas.len() == SERVERS - 1
        && replicas.is_empty()
        && !name.starts_with(FILLERS);
    (!is_whole).then(|| {
        let leader = cluster.leader.as_deref().unwrap_or("nobody");
        let what = format!(
            "{name} (led by {leader}, {} replicas, not current: {})",
            cluster.replicas.len(),
            replicas.join(" ")
        );
        Lagging { what, replicas }
    })
}

/// Bytes that no store makes smaller.
fn bytes_of(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
