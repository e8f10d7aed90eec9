//! A nats-server, a projector and any number of gateways, each a process that a test may kill.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream::{self, stream::Stream};
use futures_util::StreamExt as _;
use harness::{BOUND, Launch, Nats, Tidings, UNLIMITED, eventually, nats_with};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::dial::{Gateway, SECRET, dial, sequence_of};

const CATALOG: &str = include_str!("lab/catalog.toml");
const SCHEMA: &str = include_str!("lab/any.schema.json");

/// A site in the making.
#[derive(Debug)]
pub(crate) struct Setup {
    deliver: &'static str,
    variables: Vec<(String, String)>,
}

impl Setup {
    /// With this start policy in the catalog.
    pub(crate) fn deliver(mut self, policy: &'static str) -> Self {
        self.deliver = policy;
        self
    }

    /// With this variable for projector, gateways and commands.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the nats-server and the projector.
    pub(crate) async fn start(self) -> Site {
        let schemas = tempfile::tempdir().unwrap();
        let lab = schemas.path().join("lab");
        fs::create_dir(&lab).unwrap();
        let catalog = CATALOG.replace(r#"deliver = "new""#, &format!("deliver = {:?}", self.deliver));
        fs::write(lab.join("catalog.toml"), catalog).unwrap();
        fs::write(lab.join("any.schema.json"), SCHEMA).unwrap();
        let nats = nats_with(|options| options).await;
        let client = nats.client().await;
        let (url, folder) = (nats.url().to_owned(), nats.folder().to_owned());
        let nats = Mutex::new(nats);
        let mut site =
            Site { projector: None, variables: self.variables, client, schemas, url, folder, nats };
        site.start_projector().await;
        site
    }
}

/// Where users are told things.
#[derive(Debug)]
pub(crate) struct Site {
    projector: Option<Tidings>,
    variables: Vec<(String, String)>,
    client: async_nats::Client,
    schemas: TempDir,
    url: String,
    folder: PathBuf,
    // Declared last, so that nobody looks for it when it is gone.
    nats: Mutex<Nats>,
}

impl Site {
    pub(crate) fn setup() -> Setup {
        let setup = Setup { deliver: "new", variables: Vec::new() };
        UNLIMITED
            .iter()
            .fold(setup, |setup, (name, value)| setup.variable(name, value))
            .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
            .variable("TIDINGS_GATEWAY__LISTEN", "127.0.0.1:0")
            .variable("TIDINGS_GATEWAY__DRAIN_TIME", "0s")
            // One, so that what one client hears says what all could.
            .variable("TIDINGS_GATEWAY__WORKERS", "1")
    }

    /// A site with one gateway.
    pub(crate) async fn with_gateway() -> (Self, Gateway) {
        let site = Self::setup().start().await;
        let gateway = site.gateway().await;
        (site, gateway)
    }

    pub(crate) async fn start_projector(&mut self) {
        let mut projector = self.launch(&["projector"]).start();
        projector.line("projector runs", BOUND).await;
        self.projector = Some(projector);
    }

    /// SIGTERM for the projector.
    pub(crate) async fn stop_projector(&mut self) {
        if let Some(projector) = self.projector.take() {
            projector.signal(Signal::TERM);
            projector.end(BOUND).await;
        }
    }

    /// Has a tenant of this name in these catalogs, whose catalog is that of the site's own.
    pub(crate) fn copy_catalog(&self, schemas: &Path, tenant: &str) {
        let (from, to) = (self.schemas.path().join("lab"), schemas.join(tenant));
        fs::create_dir(&to).unwrap();
        for file in ["any.schema.json", "catalog.toml"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }

    /// The way to the nats-server.
    pub(crate) fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// Where the nats-server is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// SIGKILL for the nats-server, and another one on the same data.
    pub(crate) async fn restart_nats(&self) {
        let mut nats = self.nats.lock().await;
        nats.kill().await.unwrap();
        nats.restart().await.unwrap();
    }

    /// Starts a gateway, and returns when it is ready.
    pub(crate) async fn gateway(&self) -> Gateway {
        self.gateway_with(&[]).await
    }

    /// As [`Self::gateway`], with other settings.
    pub(crate) async fn gateway_with(&self, variables: &[(&str, &str)]) -> Gateway {
        let mut gateway = self.unready_gateway(variables).await;
        gateway.process.line("the gateway is ready", BOUND).await;
        gateway
    }

    /// A gateway that may not be ready yet.
    pub(crate) async fn unready_gateway(&self, variables: &[(&str, &str)]) -> Gateway {
        let launch = self.launch(&["gateway"]).variables(variables.iter().copied());
        let mut process = launch.start();
        let line = process.line("gateway listens", BOUND).await;
        let (_, address) = line.split_once("address=").expect("the gateway says where it listens");
        Gateway { address: address.trim().to_owned(), process }
    }

    /// Runs a command to its end and returns what it printed. The test fails unless it succeeds.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        self.launch(arguments).finish(BOUND).await.succeeded()
    }

    /// Runs a command that must fail, and returns why it does.
    pub(crate) async fn run_failing(&self, arguments: &[&str]) -> String {
        self.launch(arguments).finish(BOUND).await.failed()
    }

    fn launch(&self, arguments: &[&str]) -> Launch {
        Launch::tidings(arguments.iter().copied())
            .variables(self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .variable("TIDINGS_NATS__URL", &self.url)
            .variable("TIDINGS_SCHEMAS__DIRECTORY", self.schemas.path())
            // No configuration of a developer's own.
            .folder(&self.folder)
    }

    /// Publishes an event.
    pub(crate) async fn publish(&self, event: &str, data: Value) {
        let context = jetstream::new(self.client.clone());
        let sent = context.publish(format!("events.lab.{event}"), data.to_string().into()).await.unwrap();
        sent.await.expect("the stream takes what is published");
    }

    /// Sends a note to a user.
    pub(crate) async fn note(&self, user: &str, n: u64) {
        self.publish("note.sent", json!({ "user": user, "n": n })).await;
    }

    /// Publishes an event until the stream has it, whatever happens to the nats-server meanwhile. The same id
    /// makes it one event.
    pub(crate) async fn publish_surely(&self, event: &str, id: &str, data: &Value) {
        let mut context = jetstream::new(self.client.clone());
        context.set_timeout(Duration::from_secs(1));
        eventually("the stream takes what is published", BOUND, async || {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", id);
            let subject = format!("events.lab.{event}");
            let sent = context.publish_with_headers(subject, headers, data.to_string().into());
            sent.await?.await
        })
        .await;
    }

    pub(crate) async fn stream(&self, name: &str) -> Stream {
        jetstream::new(self.client.clone()).get_stream(name).await.unwrap()
    }

    /// Waits until every event has become envelopes, and returns the last sequence of these.
    pub(crate) async fn projected(&self) -> u64 {
        eventually("every event is projected", BOUND, async || {
            let events = self.stream("EVENTS").await;
            let consumer = events.consumer_info("projector").await.map_err(|error| error.to_string())?;
            let (last, done) = (events.cached_info().state.last_sequence, consumer.ack_floor.stream_sequence);
            let envelopes = self.stream("ENVELOPES").await;
            if last == done {
                Ok(envelopes.cached_info().state.last_sequence)
            } else {
                Err(format!("{done} of {last}"))
            }
        })
        .await
    }

    /// Waits until the gateway has read every envelope that there is.
    pub(crate) async fn read_by(&self, gateway: &Gateway) {
        let n = self.projected().await;
        // A device that was never here has missed nothing.
        let device = format!("w{n}");
        let mut witness = dial("witness").device(&device).open(gateway).await;
        // A gateway that lags behind still has what an earlier witness was told.
        witness.say(&json!({ "action": "ping" })).await;
        witness.until(|message| message["action"] == "pong").await;
        self.note("witness", n).await;
        witness.until(|message| message["n"] == n).await;
        witness.close().await;
    }

    /// The durable consumer as it is stored, or `None`.
    pub(crate) async fn consumer(&self, user: &str, device: &str) -> Option<Value> {
        let stream = self.stream("KV_CONSUMERS").await;
        let subject = format!("$KV.CONSUMERS.lab.{user}.{device}");
        let message = stream.direct_get_last_for_subject(subject).await.ok()?;
        Some(serde_json::from_slice(&message.payload).unwrap())
    }

    /// Waits until a gateway has saved that the device has left, and returns its position's sequence.
    pub(crate) async fn left(&self, user: &str, device: &str) -> u64 {
        self.saved(user, device, |consumer| consumer["connected"].is_null()).await
    }

    /// Waits until the consumer is saved as having everything up to this sequence.
    pub(crate) async fn acknowledged(&self, user: &str, device: &str, sequence: u64) {
        self.saved(user, device, |consumer| sequence_of(&consumer["position"]) >= sequence).await;
    }

    async fn saved(&self, user: &str, device: &str, is_so: impl Fn(&Value) -> bool) -> u64 {
        eventually("the consumer is saved", BOUND, async || match self.consumer(user, device).await {
            Some(consumer) if is_so(&consumer) => Ok(sequence_of(&consumer["position"])),
            other => Err(format!("{other:?}")),
        })
        .await
    }

    /// Makes the stream of envelopes anew, as an operator would who has lost it. The projector would write again what it
    /// does not know to be stored.
    pub(crate) async fn renew_envelopes(&self) {
        self.projected().await;
        let context = jetstream::new(self.client.clone());
        let config = self.stream("ENVELOPES").await.cached_info().config.clone();
        context.delete_stream("ENVELOPES").await.unwrap();
        context.create_stream(config).await.unwrap();
    }

    /// Removes all envelopes up to and including this sequence, as retention would.
    pub(crate) async fn remove_through(&self, sequence: u64) {
        self.stream("ENVELOPES").await.purge().sequence(sequence + 1).await.unwrap();
    }

    /// How many messages lie on a subject of a stream.
    pub(crate) async fn count(&self, stream: &str, subject: &str) -> usize {
        let stream = self.stream(stream).await;
        stream.info_with_subjects(subject).await.unwrap().count().await
    }
}
