//! The setup: a nats-server, a small catalog, and projectors as tasks and as processes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::Republish;
use async_nats::{Client, HeaderMap, Subscriber, jetstream};
use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harness::{BOUND, Nats, eventually};
use serde_json::{Value, json};
use tidings_catalog::{Catalog, Catalogs, Files};
use tidings_metrics::Registry;
use tidings_model::{ShardNumber, Tenant};
use tidings_projector::{ProjectorError, Settings, Sources};
use tidings_streams::{StoredEnvelope, Topology, fetch, topology};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// `note.added` becomes one envelope, `group.called` one for each watcher, `beat.measured` one that lives two
/// seconds. Each job has at most one `job.progressed` in ten seconds, and in between only its `job.completed`; each
/// gauge has at most twenty in a second.
const CATALOG: &str = r#"
grants = ["user:{sub}"]

[[message]]
name = "note"
events = ["note.added"]
schema = "any.schema.json"
to = "user:{data.user}"
[message.body]
n = "{data.n}"

[[message]]
name = "call"
events = ["group.called"]
schema = "any.schema.json"
to = "user:{data.watchers[*]}"
[message.body]
n = "{data.n}"

[[message]]
name = "deep"
events = ["deep.added"]
schema = "any.schema.json"
to = "user:{data.user}"
[message.body]
inside = "{data.inside}"

[[message]]
name = "beat"
events = ["beat.measured"]
schema = "any.schema.json"
to = "user:{data.user}"
class = "ephemeral"
ttl = "2s"
[message.body]
n = "{data.n}"

[[message]]
name = "progress"
slot = "job"
events = ["job.progressed"]
schema = "any.schema.json"
to = "user:{data.user}"
class = "latest"
key = "{data.job}"
max_rate = "6/min"
[message.body]
n = "{data.n}"

[[message]]
name = "completion"
slot = "job"
events = ["job.completed"]
schema = "any.schema.json"
to = "user:{data.user}"
class = "latest"
key = "{data.job}"
[message.body]
n = "{data.n}"

[[message]]
name = "gauge"
events = ["gauge.read"]
schema = "any.schema.json"
to = "user:{data.user}"
class = "ephemeral"
key = "{data.gauge}"
max_rate = "20/s"
ttl = "1h"
[message.body]
n = "{data.n}"
"#;

const SCHEMA: &str = r#"{ "properties": { "n": { "type": "integer" }, "inside": { "additionalProperties": { "type": "string" } } } }"#;

pub(crate) fn catalogs() -> Arc<Catalogs> {
    parse(CATALOG)
}

/// The same without a limit on progress.
pub(crate) fn catalogs_of_all_progress() -> Arc<Catalogs> {
    parse(&CATALOG.replace("max_rate = \"6/min\"", ""))
}

/// The same with other bodies of notes.
pub(crate) fn catalogs_that_say(body: &str) -> Arc<Catalogs> {
    let (first, rest) = CATALOG.split_once("[message.body]\nn = \"{data.n}\"\n").unwrap();
    parse(&format!("{first}body = {body}\n{rest}"))
}

/// The same, for several tenants.
pub(crate) fn catalogs_of(tenants: &[&str]) -> Arc<Catalogs> {
    Arc::new(tenants.iter().map(|tenant| parse_of(tenant, CATALOG)).collect())
}

fn parse(catalog: &str) -> Arc<Catalogs> {
    Arc::new([parse_of("t", catalog)].into())
}

fn parse_of(tenant: &str, catalog: &str) -> (Tenant, Catalog) {
    let tenant = Tenant::parse(tenant).unwrap();
    let files = [("catalog.toml", catalog), ("any.schema.json", SCHEMA)];
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let catalog = Catalog::parse(&tenant, &files).unwrap_or_else(|error| panic!("{error}"));
    (tenant, catalog)
}

/// A short window, so that deduplication hides no error.
pub(crate) const SHORTEST_WINDOW: Duration = Duration::from_millis(100);

pub(crate) fn stream_settings(duplicate_window: Duration) -> topology::Settings {
    let day = Duration::from_secs(24 * 60 * 60);
    topology::Settings::on_one_server(day, duplicate_window)
}

pub(crate) fn settings() -> Settings {
    Settings {
        consumer: "projector".to_owned(),
        in_flight: 256,
        max_event_bytes: 1024 * 1024,
        shard: ShardNumber::default(),
        shards: BTreeMap::new(),
        sources: Sources::default(),
    }
}

/// A nats-server with the streams.
pub(crate) struct Scene {
    pub(crate) nats: Nats,
    pub(crate) context: jetstream::Context,
    pub(crate) topology: Topology,
    pub(crate) window: Duration,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::on(harness::nats().await, SHORTEST_WINDOW).await
    }

    pub(crate) async fn on(nats: Nats, duplicate_window: Duration) -> Self {
        let client = nats.client().await;
        let topology = Topology::ensure(&client, &stream_settings(duplicate_window)).await.unwrap();
        // A server that is let go on has much to do on a busy machine before it stores what is published next.
        let context = ContextBuilder::new().ack_timeout(BOUND).build(client);
        Self { context, topology, nats, window: duplicate_window }
    }

    /// Publishes an event and returns when it is stored.
    pub(crate) async fn publish(&self, name: &str, data: &Value) -> u64 {
        let subject = format!("events.t.{name}");
        let sent = self.context.publish(subject, data.to_string().into()).await.unwrap();
        sent.await.unwrap().sequence
    }

    /// Works as [`Self::publish`] does, with headers.
    pub(crate) async fn publish_with(&self, name: &str, headers: &[(&str, &str)], data: &Value) -> u64 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        let subject = format!("events.t.{name}");
        let sent = self.context.publish_with_headers(subject, map, data.to_string().into()).await.unwrap();
        sent.await.unwrap().sequence
    }

    /// Publishes notes with these numbers, in their order.
    pub(crate) async fn publish_notes(&self, numbers: impl Iterator<Item = u64>) {
        let mut sent = Vec::new();
        for n in numbers {
            let data = json!({ "n": n, "user": format!("u{}", n % 7) });
            let ack = self.context.publish("events.t.note.added", data.to_string().into()).await.unwrap();
            sent.push(ack.into_future());
        }
        try_join_all(sent).await.unwrap();
    }

    /// Starts a projector in this process, with a connection of its own.
    pub(crate) async fn projector(&self) -> Task {
        let client = self.nats.client().await;
        let topology = Topology::ensure(&client, &stream_settings(self.window)).await.unwrap();
        Task::start(topology, settings())
    }

    /// The number of messages ever written to a stream, and of those that are still there.
    pub(crate) async fn state(&self, stream: &str) -> Result<(u64, u64), String> {
        let stream = self.context.get_stream(stream).await.map_err(|error| error.to_string())?;
        let state = &stream.cached_info().state;
        Ok((state.last_sequence, state.messages))
    }

    /// Checks that this many messages were ever written to `ENVELOPES`.
    pub(crate) async fn has_written(&self, expected: u64) {
        assert_eq!(self.state("ENVELOPES").await.unwrap().0, expected);
    }

    /// Publishes notes until one of them is written, so that a projector is active.
    pub(crate) async fn publish_until_written(&self, published: &mut u64, bound: Duration) {
        let first = *published + 1;
        let mut last = *published;
        eventually("a projector writes", bound, async || {
            last += 1;
            self.publish_notes(last..=last).await;
            let (written, _) = self.state("ENVELOPES").await?;
            let envelope = fetch(&self.topology, written).await.map_err(|error| error.to_string())?;
            match envelope.map(|stored| number(&stored)) {
                Some(newest) if newest >= first => Ok(()),
                newest => Err(format!("{newest:?} of {last}")),
            }
        })
        .await;
        *published = last;
    }

    /// Waits until the last written envelope has this number in its body.
    pub(crate) async fn until_last_note_is(&self, n: u64) {
        eventually(&format!("note {n} is the last envelope"), 2 * BOUND, async || {
            let (last, _) = self.state("ENVELOPES").await?;
            let envelope = fetch(&self.topology, last).await.map_err(|error| error.to_string())?;
            match envelope.map(|stored| number(&stored)) {
                Some(found) if found == n => Ok(()),
                found => Err(format!("{found:?} at {last}")),
            }
        })
        .await;
    }

    /// Waits until every event is acknowledged, so that nothing more will be written.
    pub(crate) async fn until_all_done(&self) {
        eventually("every event is done", 2 * BOUND, async || {
            let (last, _) = self.state("EVENTS").await?;
            let stream = self.context.get_stream("EVENTS").await.map_err(|error| error.to_string())?;
            let info = stream.consumer_info("projector").await.map_err(|error| error.to_string())?;
            let done = info.ack_floor.stream_sequence;
            if done == last { Ok(()) } else { Err(format!("{done} of {last}")) }
        })
        .await;
    }

    /// Deletes the durable consumer, and with it the memory of what was acknowledged.
    pub(crate) async fn forget_consumer(&self) {
        eventually("the consumer is deleted", BOUND, async || {
            let events = self.context.get_stream("EVENTS").await.map_err(|error| error.to_string())?;
            events.delete_consumer("projector").await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Counts what is stored in `ENVELOPES` from here on, including envelopes that are replaced later.
    pub(crate) async fn count_stored(&self) -> Stored {
        let client = self.nats.client().await;
        let stored = client.subscribe("stored.>").await.unwrap();
        client.flush().await.unwrap();
        let mut config = self.context.get_stream("ENVELOPES").await.unwrap().cached_info().config.clone();
        let (source, destination) = ("envelopes.>".to_owned(), "stored.>".to_owned());
        config.republish = Some(Republish { source, destination, headers_only: true });
        self.context.update_stream(config).await.unwrap();
        Stored { client, stored }
    }

    /// Every envelope in the stream, in order.
    pub(crate) async fn envelopes(&self) -> Vec<StoredEnvelope> {
        let (last, _) = self.state("ENVELOPES").await.unwrap();
        let fetched = stream::iter(1..=last).map(|sequence| fetch(&self.topology, sequence)).buffered(64);
        fetched.try_filter_map(async |envelope| Ok(envelope)).try_collect().await.unwrap()
    }

    /// Fails unless the bodies of all envelopes have these numbers, in this order.
    pub(crate) async fn holds(&self, expected: impl IntoIterator<Item = u64>) {
        let found: Vec<_> = self.envelopes().await.iter().map(number).collect();
        let expected: Vec<_> = expected.into_iter().collect();
        let first = found.iter().zip(&expected).take_while(|(found, expected)| found == expected).count();
        assert_eq!(found[first..], expected[first..], "the first {first} are right");
    }
}

/// The `n` of an envelope's body.
pub(crate) fn number(stored: &StoredEnvelope) -> u64 {
    let body: Value = serde_json::from_slice(&stored.envelope.body).unwrap();
    body["n"].as_u64().unwrap()
}

/// The envelopes that were stored since.
pub(crate) struct Stored {
    client: Client,
    stored: Subscriber,
}

impl Stored {
    /// Their number, once nothing more is written.
    pub(crate) async fn count(mut self) -> u64 {
        // The flush answers after everything that the server has sent before.
        self.client.flush().await.unwrap();
        self.stored.unsubscribe().await.unwrap();
        u64::try_from(self.stored.count().await).unwrap()
    }
}

/// A projector as a task.
pub(crate) struct Task {
    cancelled: CancellationToken,
    task: JoinHandle<Result<(), ProjectorError>>,
}

impl Task {
    pub(crate) fn start(topology: Topology, settings: Settings) -> Self {
        Self::start_with(topology, settings, catalogs())
    }

    pub(crate) fn start_with(topology: Topology, settings: Settings, catalogs: Arc<Catalogs>) -> Self {
        let cancelled = CancellationToken::new();
        let running = tidings_projector::run(
            topology,
            watch::channel(catalogs).1,
            settings,
            OffsetDateTime::now_utc,
            Registry::default(),
            cancelled.clone(),
        );
        Self { cancelled, task: tokio::spawn(running) }
    }

    /// Stops it with its regular signal.
    pub(crate) async fn stop(self) {
        self.cancelled.cancel();
        tokio::time::timeout(BOUND, self.task).await.unwrap().unwrap().unwrap();
    }

    /// The result of a task that ended by itself.
    pub(crate) async fn ended(self) -> Result<(), ProjectorError> {
        tokio::time::timeout(BOUND, self.task).await.unwrap().unwrap()
    }
}
