//! The whole of Tidings for one test: a nats-server, a projector and a gateway, each a process of its own.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use async_nats::HeaderMap;
use async_nats::jetstream::{self, message::StreamMessage};
use serde_json::Value;

use crate::{BOUND, Client, Dial, Launch, Nats, Tidings, eventually, nats_with, token};

/// What the tokens of a [`System`] are signed with.
pub const SECRET: &str = "a-secret-for-tests-of-32-or-more-bytes";

/// The catalogs of the five systems.
pub const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas");

/// Settings of a gateway whose clients may come as often and say as much as a test likes, all from one address.
pub const UNLIMITED: [(&str, &str); 13] = [
    ("TIDINGS_GATEWAY__MESSAGES_PER_MINUTE", "1000000"),
    ("TIDINGS_GATEWAY__MESSAGE_BURST", "100000"),
    ("TIDINGS_GATEWAY__USER_MESSAGES_PER_MINUTE", "1000000"),
    ("TIDINGS_GATEWAY__USER_MESSAGE_BURST", "100000"),
    ("TIDINGS_GATEWAY__FRAMES_PER_MINUTE", "100000000"),
    ("TIDINGS_GATEWAY__FRAME_BURST", "10000000"),
    ("TIDINGS_GATEWAY__BYTES_PER_MINUTE", "4 GB"),
    ("TIDINGS_GATEWAY__BYTE_BURST", "1 GB"),
    ("TIDINGS_GATEWAY__ATTEMPTS_PER_MINUTE_PER_ADDRESS", "1000000"),
    ("TIDINGS_GATEWAY__ATTEMPT_BURST_PER_ADDRESS", "100000"),
    ("TIDINGS_GATEWAY__ATTEMPTS_PER_MINUTE_PER_USER", "1000000"),
    ("TIDINGS_GATEWAY__ATTEMPT_BURST_PER_USER", "100000"),
    ("TIDINGS_GATEWAY__CONNECTIONS_PER_USER", "100000"),
];

/// A system in the making: one that neither limits how often its clients come or how much they say nor takes its
/// time to end, unless told otherwise.
#[derive(Debug)]
pub struct Setup {
    variables: Vec<(String, String)>,
    nats: String,
    file: String,
}

impl Default for Setup {
    fn default() -> Self {
        let setup = Self { variables: Vec::new(), nats: String::new(), file: String::new() };
        UNLIMITED
            .iter()
            .fold(setup, |setup, (name, value)| setup.variable(name, value))
            .variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)
            .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
            .variable("TIDINGS_GATEWAY__LISTEN", "127.0.0.1:0")
            .variable("TIDINGS_GATEWAY__ADMIN_LISTEN", "127.0.0.1:0")
            .variable("TIDINGS_GATEWAY__DRAIN_TIME", "0s")
    }
}

impl Setup {
    /// With this variable for projector and gateway.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With the catalogs of this folder.
    #[must_use]
    pub fn schemas(self, folder: &Path) -> Self {
        self.variable("TIDINGS_SCHEMAS__DIRECTORY", folder.to_str().unwrap())
    }

    /// With this configuration file for projector and gateway, for what has no variables.
    #[must_use]
    pub fn file(mut self, text: &str) -> Self {
        text.clone_into(&mut self.file);
        self
    }

    /// With these lines in the nats-server's configuration.
    #[must_use]
    pub fn nats(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.nats);
        self
    }

    /// Starts all of it, and returns when it serves.
    pub async fn start(self) -> System {
        let Self { variables, nats, file } = self;
        let nats = nats_with(|options| options.config(nats)).await;
        std::fs::write(nats.folder().join("tidings.toml"), file).unwrap();
        let start = |name| command(&variables, &nats, &[name]).start();
        let (mut gateway, mut projector) = (start("gateway"), start("projector"));
        let address = address_of(&mut gateway).await;
        projector.line("projector runs", BOUND).await;
        gateway.line("the gateway is ready", BOUND).await;
        let client = nats.client().await;
        System { gateway, projector, address, client, devices: AtomicU32::new(0), variables, nats }
    }
}

fn command(variables: &[(String, String)], nats: &Nats, arguments: &[&str]) -> Launch {
    Launch::tidings(arguments.iter().copied())
        .variables(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .variable("TIDINGS_NATS__URL", nats.url())
        // No configuration of a developer's own.
        .folder(nats.folder())
}

async fn address_of(gateway: &mut Tidings) -> String {
    let line = gateway.line("gateway listens", BOUND).await;
    // `address=127.0.0.1:8080`, or `"address":"127.0.0.1:8080"` where logs are JSON.
    let (_, rest) = line.split_once("127.0.0.1:").expect("the gateway says where it listens");
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    format!("http://127.0.0.1:{port}")
}

/// A nats-server, a projector and a gateway.
#[derive(Debug)]
pub struct System {
    /// `tidings gateway`.
    pub gateway: Tidings,
    /// `tidings projector`.
    pub projector: Tidings,
    address: String,
    client: async_nats::Client,
    devices: AtomicU32,
    variables: Vec<(String, String)>,
    // Declared last, so that nobody looks for it when it is gone.
    /// The nats-server.
    pub nats: Nats,
}

impl System {
    /// With the catalogs of the five systems.
    pub async fn start() -> Self {
        Setup::default().start().await
    }

    /// One more gateway of the same system, with these variables besides. Returns when it serves.
    pub async fn another_gateway(&self, variables: &[(&str, &str)]) -> Gateway {
        let mut process = self.command(&["gateway"]).variables(variables.iter().copied()).start();
        let address = address_of(&mut process).await;
        process.line("the gateway is ready", BOUND).await;
        Gateway { process, address }
    }

    /// A dispatcher with these variables besides. When this returns, what is published from then on is dispatched.
    pub async fn dispatcher(&self, variables: &[(&str, &str)]) -> Tidings {
        let mut dispatcher = self.command(&["dispatcher"]).variables(variables.iter().copied()).start();
        dispatcher.line("this dispatcher leads", BOUND).await;
        let stream = jetstream::new(self.client.clone()).get_stream("DELIVERIES").await.unwrap();
        eventually("the dispatcher reads envelopes", BOUND, async || {
            stream.get_last_raw_message_by_subject("deliveries.through.0").await
        })
        .await;
        dispatcher
    }

    /// `tidings` with these arguments and the settings of the system.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Launch {
        command(&self.variables, &self.nats, arguments)
    }

    /// Where the gateway listens, such as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A plain client of the nats-server, such as producers use.
    #[must_use]
    pub fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// A handshake without a token, from a device that nobody else names.
    pub fn dial(&self) -> Dial {
        let device = self.devices.fetch_add(1, Ordering::Relaxed);
        Dial::new(&self.address).query("device", &format!("device-{device}"))
    }

    /// A plain client with a token of these claims. When this returns, it hears whatever is published.
    pub async fn open(&self, claims: Value) -> Client {
        let mut client = self.dial().bearer(&token(SECRET, claims)).open().await;
        client.expect_nothing_before_pong(BOUND).await;
        client
    }

    /// As [`Self::open`], subscribed to these topics with these filters.
    pub async fn subscribed(&self, claims: Value, topics: &[&str], filters: Value) -> Client {
        let mut client = self.open(claims).await;
        let subscribe = serde_json::json!({ "action": "subscribe", "topics": topics, "filters": filters });
        client.send_json(&subscribe).await;
        client.expect_nothing_before_pong(BOUND).await;
        client
    }

    /// Publishes plain JSON as an event: `publish("ops", "incident.created", &data)`. Its sequence in the stream.
    pub async fn publish(&self, tenant: &str, event: &str, data: &Value) -> u64 {
        let subject = format!("events.{tenant}.{event}");
        self.publish_raw(&subject, HeaderMap::new(), data.to_string()).await
    }

    /// Publishes anything on a subject of the stream. Its sequence there.
    pub async fn publish_raw(&self, subject: &str, headers: HeaderMap, payload: impl Into<Vec<u8>>) -> u64 {
        let payload: Vec<u8> = payload.into();
        let context = jetstream::new(self.client.clone());
        let publication = context.publish_with_headers(subject.to_owned(), headers, payload.into());
        publication.await.unwrap().await.expect("the stream takes what is published").sequence
    }

    /// The rejection of the event with this sequence. The test fails if it does not come.
    pub async fn rejected(&self, event: u64) -> Rejected {
        let stream = jetstream::new(self.client.clone()).get_stream("REJECTED").await.unwrap();
        let subject = format!("rejected.*.*.{event}");
        let found = eventually(&subject, BOUND, async || {
            // The server takes a wildcard here; whatever stood in the tenant's place is in its own.
            stream.direct_get_last_for_subject(&subject).await
        });
        Rejected(found.await)
    }

    /// Gateway and projector have survived the test: both still run, and none of their tasks panicked.
    pub fn check_well(&mut self) {
        for process in [&mut self.gateway, &mut self.projector] {
            let output = process.output();
            assert!(process.is_running() && !output.contains("panicked"), "{output}");
        }
    }
}

/// A gateway beside the system's first.
#[derive(Debug)]
pub struct Gateway {
    /// `tidings gateway`.
    pub process: Tidings,
    /// Where it listens, such as `http://127.0.0.1:8080`.
    pub address: String,
}

/// An event that could not be projected, as it lies in the stream `REJECTED`.
#[derive(Debug)]
pub struct Rejected(StreamMessage);

impl Rejected {
    /// A header, such as `Tidings-Reason`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.get(name).map(async_nats::HeaderValue::as_str)
    }

    /// The event's payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    /// The subject in `REJECTED`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }
}
