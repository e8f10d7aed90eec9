//! Three nats-servers with three replicas of each stream, and access to every replica.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use harness::{BOUND, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_embedded::{Cluster, ClusterOptions, NatsServer};
use tidings_model::{ShardNumber, Tenant};
use tidings_streams::Topology;
use tidings_streams::topology::{ENVELOPES, Settings};

pub(crate) use crate::envelope::envelope;

pub(crate) struct Lab {
    // Declared first, so that the servers stop before their folder is removed.
    pub(crate) cluster: Cluster,
    _folder: TempDir,
    shards: u16,
}

/// A message as stored by a replica: sequence, subject, headers and payload.
pub(crate) type Stored = (u64, String, BTreeSet<String>, Bytes);

impl Lab {
    /// Starts the servers, with a stream of envelopes for each of so many shards.
    pub(crate) async fn start(shards: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let started = Cluster::start(ClusterOptions::new(folder.path())).await;
        let cluster = started.unwrap_or_else(|error| panic!("{error}"));
        let lab = Self { cluster, _folder: folder, shards };
        for shard in lab.shards() {
            lab.topology_of(0, shard).await;
        }
        lab
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = ShardNumber> + use<> {
        (0..self.shards).map(ShardNumber)
    }

    /// A connection that knows all servers, detects a silent one within seconds, and first connects to this one.
    pub(crate) async fn client_of(&self, first: usize) -> async_nats::Client {
        let mut servers: Vec<_> =
            self.cluster.servers().iter().map(|server| server.url().to_owned()).collect();
        servers.rotate_left(first);
        let options = async_nats::ConnectOptions::new()
            .ping_interval(Duration::from_millis(500))
            .request_timeout(Some(Duration::from_secs(2)))
            .retain_servers_order();
        options.connect(servers).await.unwrap()
    }

    pub(crate) async fn topology_of(&self, first: usize, shard: ShardNumber) -> Topology {
        let client = self.client_of(first).await;
        eventually("the streams are there", 2 * BOUND, async || {
            let topology = Topology::ensure(&client, &settings()).await;
            let topology = topology.map_err(|error| format!("{error:?}"))?;
            topology.on(shard).await.map_err(|error| format!("{error:?}"))
        })
        .await
    }

    /// The server that leads the stream of the shard.
    pub(crate) async fn leader(&self, client: &async_nats::Client, shard: ShardNumber) -> Option<usize> {
        let leader = info(client, shard).await?["cluster"]["leader"].as_str()?.to_owned();
        leader.strip_prefix('n')?.parse().ok()
    }

    /// Whether the leader of the shard's stream says that it has heard none of the others for so long that they may have elected one.
    pub(crate) async fn hears_nobody(&self, client: &async_nats::Client, shard: ShardNumber) -> bool {
        let Some(info) = info(client, shard).await else { return false };
        let replicas = info["cluster"]["replicas"].as_array().cloned().unwrap_or_default();
        let is_silent = |one: &Value| one["active"].as_u64().is_some_and(|active| active >= 4_000_000_000);
        replicas.len() == 2 && replicas.iter().all(is_silent)
    }

    /// Asks the leader of the shard's stream to step down, in favour of `preferred` if given.
    pub(crate) async fn step_down(
        &self,
        client: &async_nats::Client,
        shard: ShardNumber,
        preferred: Option<usize>,
    ) {
        let wanted = preferred.map_or_else(String::new, |node| {
            json!({ "placement": { "preferred": format!("n{node}") } }).to_string()
        });
        let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.{}", shard.name(ENVELOPES));
        // If it is refused or unanswered, another fault will do.
        _ = tokio::time::timeout(Duration::from_secs(3), client.request(subject, wanted.into())).await;
    }

    /// Waits until every replica of every stream has all messages.
    pub(crate) async fn settle(&self) {
        let client = self.client_of(0).await;
        for shard in self.shards() {
            self.settle_one(&client, shard).await;
        }
    }

    async fn settle_one(&self, client: &async_nats::Client, shard: ShardNumber) {
        eventually("all replicas have everything", 4 * BOUND, async || {
            let state = info(client, shard).await.ok_or("no answer")?;
            let replicas = state["cluster"]["replicas"].as_array().cloned().unwrap_or_default();
            let is_whole = |one: &Value| {
                one["current"] == true && one["offline"] != true && one["lag"].as_u64().unwrap_or(0) == 0
            };
            let all = replicas.len() == 2 && replicas.iter().all(is_whole);
            if all { Ok(()) } else { Err(state["cluster"].to_string()) }
        })
        .await;
    }

    /// The content of each replica of the shard's stream, read while that replica leads.
    pub(crate) async fn replicas(&self, shard: ShardNumber) -> Vec<Vec<Stored>> {
        let mut replicas = Vec::new();
        for node in 0..self.cluster.servers().len() {
            let client = self.client_of(node).await;
            self.settle_one(&client, shard).await;
            eventually(&format!("n{node} leads"), 2 * BOUND, async || {
                match self.leader(&client, shard).await {
                    Some(leader) if leader == node => Ok(()),
                    leader => {
                        self.step_down(&client, shard, Some(node)).await;
                        Err(format!("{leader:?} leads"))
                    }
                }
            })
            .await;
            replicas.push(read(&jetstream::new(client), shard).await);
        }
        replicas
    }
}

fn settings() -> Settings {
    let day = Duration::from_secs(24 * 60 * 60);
    Settings { replicas: 3, ..Settings::on_one_server(day, Duration::from_millis(100)) }
}

async fn info(client: &async_nats::Client, shard: ShardNumber) -> Option<Value> {
    let asked = client.request(format!("$JS.API.STREAM.INFO.{}", shard.name(ENVELOPES)), Bytes::new());
    let answer = tokio::time::timeout(Duration::from_secs(2), asked).await.ok()?.ok()?;
    let info: Value = serde_json::from_slice(&answer.payload).ok()?;
    info["state"].is_object().then_some(info)
}

/// All messages of the leader of the shard's stream, in order.
async fn read(context: &Context, shard: ShardNumber) -> Vec<Stored> {
    let stream = context.get_stream(shard.name(ENVELOPES)).await.unwrap();
    let state = &stream.cached_info().state;
    let stored = (state.first_sequence..=state.last_sequence).map(|sequence| get(&stream, sequence));
    stream::iter(stored).buffered(64).filter_map(std::future::ready).collect().await
}

/// The message with this sequence, unless it was removed.
async fn get(stream: &Stream, sequence: u64) -> Option<Stored> {
    let message =
        eventually("a message is read", BOUND, async || match stream.get_raw_message(sequence).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error),
        })
        .await?;
    let headers = message.headers.iter().map(|(name, values)| format!("{name}: {values:?}"));
    Some((message.sequence, message.subject.to_string(), headers.collect(), message.payload))
}

/// The log lines in which a server reports that a replica failed.
pub(crate) fn complaints(servers: &[NatsServer]) -> Vec<String> {
    let logs = servers.iter().map(|server| std::fs::read_to_string(server.log()).unwrap_or_default());
    let is_complaint = |line: &&str| line.contains("critical write error") || line.contains("mismatch");
    logs.flat_map(|log| log.lines().filter(is_complaint).map(str::to_owned).collect::<Vec<_>>()).collect()
}

pub(crate) fn tenant() -> Tenant {
    Tenant::parse("t").unwrap()
}
