//! The setup: a nats-server, a small catalog, devices, a channel that keeps what it is given, and dispatchers as tasks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use harness::{BOUND, Nats, eventually};
use serde_json::{Value, json};
use tidings_catalog::{Catalog, Catalogs, Files};
use tidings_channels::{Accepted, Channel, Channels, Delivery, Failed, Target, WebhookTarget};
use tidings_dispatcher::{Destination, DispatcherError, Parts, PresenceSettings, Targets, Unreachable, run};
use tidings_metrics::{Format, Page, Registry, expose};
use tidings_model::{
    ChannelKind, Envelope, Epoch, Event, EventName, PlacedPosition, Position, ShardNumber, Tenant,
};
use tidings_streams::consumers::{
    Change, ConsumerName, ConsumerSettings, ConsumerStore as _, KvConsumers, Presence,
};
use tidings_streams::deliveries::{Deliveries, Status, StoredFact};
use tidings_streams::preferences::PreferenceStore;
use tidings_streams::users::Users;
use tidings_streams::{BucketSettings, EnvelopeWriter, Outgoing, Topology, WriteMarkers, topology};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A `note` goes another way at once, a `wait` after two seconds, a `late` after two and after three seconds.
const CATALOG: &str = r#"
grants = ["all", "user:{sub}", "role:{role}"]
[topics.news]
[categories.offers]
off = ["webhook"]

[[message]]
name = "note"
events = ["note.added"]
schema = "any.json"
to = ["user:{data.user?}", "role:{data.role?}"]
body = { n = "{data.n}" }
[[message.fallback]]
channel = "webhook"
after = "0s"

[[message]]
name = "wait"
events = ["wait.added"]
schema = "any.json"
to = ["user:{data.user?}", "role:{data.role?}", { address = "topic:news", when = { "data.news" = true } }]
body = { n = "{data.n}" }
[[message.fallback]]
channel = "webhook"
after = "2s"
payload = { number = "{n}" }

[[message]]
name = "soon"
events = ["soon.added"]
schema = "any.json"
to = "user:{data.user}"
body = { n = "{data.n}" }
[[message.fallback]]
channel = "webhook"
after = "1s"

[[message]]
name = "late"
events = ["late.added"]
schema = "any.json"
to = "user:{data.user}"
body = { n = "{data.n}" }
[[message.fallback]]
channel = "webhook"
after = "2s"
[[message.fallback]]
channel = "webhook"
after = "3s"
[[message.fallback]]
channel = "email"
after = "3s"
subject = "s"
text = "t"

[[message]]
name = "offer"
category = "offers"
events = ["offer.made"]
schema = "any.json"
to = "user:{data.user}"
body = { n = "{data.n}" }
[[message.fallback]]
channel = "webhook"
after = "0s"

[[message]]
name = "alarm"
critical = true
events = ["alarm.raised"]
schema = "any.json"
to = "user:{data.user}"
body = { n = "{data.n}" }
[[message.fallback]]
channel = "webhook"
after = "0s"

[[message]]
name = "everywhere"
events = ["everywhere.added"]
schema = "any.json"
to = "user:{data.user}"
body = { n = "{data.n}" }
[[message.fallback]]
channel = "webhook"
after = "0s"
[[message.fallback]]
channel = "email"
after = "0s"
subject = "s"
text = "t"
[[message.fallback]]
channel = "sns"
after = "0s"
text = "t"
[[message.fallback]]
channel = "web_push"
after = "0s"
payload = { n = "{n}" }

[[message]]
name = "plain"
events = ["plain.added"]
schema = "any.json"
to = "user:{data.user}"
body = { n = "{data.n}" }
"#;

pub(crate) fn tenant() -> Tenant {
    Tenant::parse("t").unwrap()
}

fn catalogs() -> Arc<Catalogs> {
    let files = [("catalog.toml", CATALOG), ("any.json", "{}")];
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let catalog = Catalog::parse(&tenant(), &files).unwrap_or_else(|error| panic!("{error}"));
    Arc::new([(tenant(), catalog)].into())
}

/// What was sent: the user, the id, and the number in the message.
pub(crate) type Sent = (String, String, Value);

/// A channel that keeps what it is given. For user `hang` an attempt does not end as long as it is told to hang, for user
/// `later` the first one fails, for user `never` each, and for user `refused` the first one for good and the second one.
#[derive(Default)]
pub(crate) struct Receiver {
    sent: Mutex<Vec<Sent>>,
    hangs: AtomicU64,
}

impl Receiver {
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// What was sent to a user.
    pub(crate) fn sent_to(&self, user: &str) -> Vec<Sent> {
        self.sent().into_iter().filter(|(to, _, _)| to == user).collect()
    }

    /// Lets so many attempts for user `hang` not end.
    pub(crate) fn hang(&self, attempts: u64) {
        self.hangs.store(attempts, Ordering::SeqCst);
    }
}

#[async_trait]
impl Channel for Receiver {
    async fn send(&self, delivery: &Delivery) -> Result<Accepted, Failed> {
        let user = delivery.user.clone().unwrap();
        let attempts = {
            let mut sent = self.sent.lock().unwrap();
            let payload = delivery.content.payload.clone().unwrap();
            sent.push((user.clone(), delivery.id.to_string(), payload));
            sent.iter().filter(|(to, _, _)| *to == user).count()
        };
        let less = |left: u64| left.checked_sub(1);
        match user.as_str() {
            "hang" if self.hangs.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() => {
                std::future::pending().await
            }
            "refused" if attempts == 1 => Err(Failed::Never { reason: "status 410".to_owned() }),
            "later" | "refused" if attempts < if user == "later" { 2 } else { 3 } => {
                Err(Failed::Later { reason: "status 503".to_owned(), retry_after: None })
            }
            "never" => Err(Failed::Never { reason: "status 410".to_owned() }),
            _ => Ok(Accepted { reference: Some(format!("reference-{user}")) }),
        }
    }
}

struct AnyTarget;

#[async_trait]
impl Targets for AnyTarget {
    async fn targets(
        &self,
        _tenant: &Tenant,
        user: &str,
        channel: ChannelKind,
    ) -> Result<Vec<Destination>, Unreachable> {
        let target = WebhookTarget { url: "https://example.com".to_owned(), keys: Vec::new() };
        let one = Destination { id: "one".to_owned(), target: Target::Webhook(target) };
        let is_somewhere = user != "nowhere" && channel == ChannelKind::Webhook;
        Ok(is_somewhere.then_some(one).into_iter().collect())
    }

    async fn gone(&self, _tenant: &Tenant, _user: &str, _id: &str, _reason: &str) {}
}

/// A nats-server with the streams.
pub(crate) struct Scene {
    pub(crate) nats: Nats,
    pub(crate) topology: Topology,
    pub(crate) deliveries: Deliveries,
    pub(crate) consumers: Arc<KvConsumers>,
    pub(crate) users: Users,
    pub(crate) preferences: PreferenceStore,
    pub(crate) receiver: Arc<Receiver>,
    events: AtomicU64,
    /// The figures of all dispatchers.
    registry: Registry,
    // The sender keeps the catalogs' channel open.
    catalogs: watch::Sender<Arc<Catalogs>>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let nats = harness::nats().await;
        let client = nats.client().await;
        let day = Duration::from_secs(24 * 60 * 60);
        let settings = topology::Settings::on_one_server(day, Duration::from_millis(100));
        let topology = Topology::ensure(&client, &settings).await.unwrap();
        let settings = ConsumerSettings { replicas: 1, in_memory: false, inactive_after: day };
        let consumers = Arc::new(KvConsumers::open(topology.context(), &settings).await.unwrap());
        let deliveries = Deliveries::open(&topology).await.unwrap();
        let bucket = BucketSettings { replicas: 1, in_memory: false };
        let users = Users::open(topology.context(), bucket).await.unwrap();
        let preferences = PreferenceStore::open(topology.context(), bucket).await.unwrap();
        let (events, receiver) = (AtomicU64::new(0), Arc::default());
        let catalogs = watch::Sender::new(catalogs());
        let registry = Registry::default();
        Self {
            nats,
            topology,
            deliveries,
            consumers,
            users,
            preferences,
            receiver,
            events,
            registry,
            catalogs,
        }
    }

    /// Starts a dispatcher with a connection of its own.
    pub(crate) async fn dispatcher(&self) -> Dispatcher {
        self.dispatchers().start(&self.nats).await
    }

    /// The same with these channels, these targets and this clock.
    pub(crate) async fn dispatcher_with(
        &self,
        channels: Channels,
        targets: Arc<dyn Targets>,
        clock: fn() -> OffsetDateTime,
    ) -> Dispatcher {
        self.dispatchers().start_with(&self.nats, channels, targets, clock).await
    }

    /// What starts dispatchers while the nats-server is killed.
    pub(crate) fn dispatchers(&self) -> Dispatchers {
        Dispatchers {
            settings: self.topology.settings().clone(),
            consumers: self.consumers.clone(),
            users: self.users.clone(),
            preferences: self.preferences.clone(),
            receiver: self.receiver.clone(),
            registry: self.registry.clone(),
            catalogs: self.catalogs.subscribe(),
        }
    }

    /// Starts a dispatcher and waits until it reads envelopes.
    pub(crate) async fn leading(&self) -> Dispatcher {
        let dispatcher = self.dispatcher().await;
        self.is_read().await;
        dispatcher
    }

    /// Waits until a dispatcher reads envelopes.
    pub(crate) async fn is_read(&self) {
        eventually("a dispatcher reads envelopes", BOUND, async || {
            match self.deliveries.through(ShardNumber(0)).await {
                Ok((Some(_), _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// The envelopes of one more event.
    pub(crate) fn envelopes(&self, name: &str, data: Value) -> Vec<Envelope> {
        let sequence = self.events.fetch_add(1, Ordering::SeqCst) + 1;
        let event = Event {
            tenant: tenant(),
            name: EventName::parse(name).unwrap(),
            id: format!("event-{sequence}"),
            source: None,
            subject: None,
            time: None,
            stored_at: OffsetDateTime::now_utc(),
            trace_parent: None,
            position: Position { epoch: Epoch(1), sequence },
            data,
            has_own_id: true,
            publication: None,
            copied_from: None,
            delivery: None,
            scheduled: None,
        };
        self.catalogs.borrow()[&tenant()].project(&event).unwrap()
    }

    /// Writes envelopes into a generation; returns the position of the last one there.
    pub(crate) async fn write(
        &self,
        envelopes: &[Envelope],
        generation: u32,
        trail: WriteMarkers,
    ) -> Position {
        let (mut writer, _) = EnvelopeWriter::open(&self.topology).await.unwrap();
        for envelope in envelopes {
            let outgoing = Outgoing { generation, trail, ..Outgoing::from(envelope) };
            writer.send(outgoing, OffsetDateTime::now_utc()).await.unwrap();
        }
        writer.confirm().await.unwrap();
        let extent = self.topology.extent().await.unwrap();
        let epoch = tidings_model::Place { shard: ShardNumber(0), generation }.epoch(extent.epoch);
        Position { epoch, sequence: extent.last }
    }

    /// Writes the envelopes of one more event; returns the position of the last one.
    pub(crate) async fn send(&self, name: &str, data: Value) -> Position {
        let envelopes = self.envelopes(name, data);
        self.write(&envelopes, 0, WriteMarkers::default()).await
    }

    /// Says where a device stands, with these grants.
    pub(crate) async fn stands(&self, user: &str, device: &str, at: Position, grants: &[&str]) {
        let name = ConsumerName::new(tenant(), user, device).unwrap();
        let position = PlacedPosition { generation: 0, position: at };
        let seen = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap();
        let grants = grants.iter().map(|grant| tidings_model::Address::parse(grant).unwrap()).collect();
        let change = Change { grants, ..Change::new(position, Presence::Left("g".to_owned()), seen) };
        self.consumers.save(&name, None, &change).await.unwrap();
    }

    /// The start of the stream of envelopes.
    pub(crate) async fn start(&self) -> Position {
        Position { sequence: 0, epoch: self.topology.extent().await.unwrap().epoch }
    }

    /// The facts about a user's deliveries, in order.
    pub(crate) async fn facts(&self, user: &str) -> Vec<StoredFact> {
        self.deliveries.facts(&tenant(), Some(user)).try_collect().await.unwrap()
    }

    /// Waits until so many deliveries to a user are decided; returns status and reason of each fact.
    pub(crate) async fn decided(&self, user: &str, count: usize) -> Vec<(Status, String)> {
        eventually(&format!("{count} deliveries to {user} are decided"), BOUND, async || {
            let facts = self.facts(user).await;
            let decided = facts.iter().filter(|stored| stored.fact.status.is_final()).count();
            if decided < count {
                return Err(format!("{facts:?}"));
            }
            assert_eq!(decided, count, "{facts:?}");
            Ok(facts.into_iter().map(|stored| (stored.fact.status, stored.fact.reason.unwrap_or_default())))
        })
        .await
        .collect()
    }

    /// Waits until these series of `/metrics` have these values.
    pub(crate) async fn counts(&self, expected: &[(&str, u64)]) {
        eventually("figures are as expected", BOUND, async || {
            let page = expose(self.registry.snapshot(Page::Process), Format::Text);
            let text = String::from_utf8(page.body).unwrap();
            let has = |(series, value): &(&str, u64)| text.contains(&format!("{series} {value}\n"));
            if expected.iter().all(has) { Ok(()) } else { Err(text) }
        })
        .await;
    }

    /// Waits until nothing waits and nothing is due.
    pub(crate) async fn is_done(&self) {
        let stream = self.topology.context().get_stream("DELIVERIES").await.unwrap();
        eventually("nothing waits and nothing is due", BOUND, async || {
            let mut left = Vec::new();
            for kind in ["waiting", "due"] {
                let info = stream.info_with_subjects(format!("deliveries.{kind}.>")).await;
                let subjects: Vec<_> = info.unwrap().try_collect().await.unwrap();
                left.extend(subjects.into_iter().map(|(subject, _)| subject));
            }
            if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
        })
        .await;
    }
}

/// What starts dispatchers, and moves devices.
pub(crate) struct Dispatchers {
    settings: topology::Settings,
    consumers: Arc<KvConsumers>,
    users: Users,
    preferences: PreferenceStore,
    receiver: Arc<Receiver>,
    registry: Registry,
    catalogs: watch::Receiver<Arc<Catalogs>>,
}

impl Dispatchers {
    /// Starts a dispatcher with a connection of its own.
    pub(crate) async fn start(&self, nats: &Nats) -> Dispatcher {
        let webhook: Arc<dyn Channel> = self.receiver.clone();
        let channels = Channels::default().with(ChannelKind::Webhook, webhook);
        self.start_with(nats, channels, Arc::new(AnyTarget), OffsetDateTime::now_utc).await
    }

    async fn start_with(
        &self,
        nats: &Nats,
        channels: Channels,
        targets: Arc<dyn Targets>,
        clock: fn() -> OffsetDateTime,
    ) -> Dispatcher {
        let client = nats.client().await;
        // A nats-server that has just come back may not have all of its streams yet.
        let (topology, deliveries) = eventually("the streams are there", BOUND, async || {
            let topology =
                Topology::ensure(&client, &self.settings).await.map_err(|error| error.to_string())?;
            let deliveries = Deliveries::open(&topology).await.map_err(|error| error.to_string())?;
            Ok::<_, String>((topology, deliveries))
        })
        .await;
        let parts = Parts {
            shard: ShardNumber(0),
            catalogs: self.catalogs.clone(),
            consumers: self.consumers.clone(),
            users: self.users.clone(),
            preferences: self.preferences.clone(),
            deliveries,
            channels,
            unsubscribe: None,
            targets,
            presence: PresenceSettings {
                tenants: [tenant()].into(),
                settling: Duration::from_secs(1),
                lease: Duration::from_secs(3),
            },
            registry: self.registry.clone(),
            clock,
            random: || 0.0,
        };
        let cancelled = CancellationToken::new();
        let running = tokio::spawn(run(topology, parts, cancelled.clone()));
        Dispatcher { running, cancelled }
    }

    /// Has a user's phone receive everything up to there, however long NATS is away.
    pub(crate) async fn receives(&self, user: &str, at: Position) {
        let name = ConsumerName::new(tenant(), user, "phone").unwrap();
        let position = PlacedPosition { generation: 0, position: at };
        let change = Change::new(position, Presence::Left("g".to_owned()), 0);
        eventually(&format!("the device of {user} is saved"), BOUND, async || {
            self.consumers.save(&name, None, &change).await.map_err(|error| error.to_string())
        })
        .await;
    }
}

/// A dispatcher as a task.
pub(crate) struct Dispatcher {
    running: JoinHandle<Result<(), DispatcherError>>,
    cancelled: CancellationToken,
}

impl Dispatcher {
    /// Ends it at whatever instruction it is.
    pub(crate) async fn kill(self) {
        self.running.abort();
        assert!(self.running.await.unwrap_err().is_cancelled());
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.cancelled.cancel();
        self.running.await.unwrap().unwrap();
    }
}

/// The data of an event to a user.
pub(crate) fn to(user: &str, n: u64) -> Value {
    json!({ "user": user, "n": n })
}
