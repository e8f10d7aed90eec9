//! What a deployment looks like to somebody who changes nothing: every call here is a question, and none creates, alters or
//! removes anything.
//!
//! The answers are plain facts; what they mean is judged elsewhere. A question that this login may not ask has the answer
//! [`Silence`], like one that nobody answers, so that a login with few rights learns what it could not look at.

mod permissions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, Request, RequestErrorKind};
use bytes::Bytes;
use serde::Deserialize as _;
use serde_json::Value;
use tidings_model::{Placement, ShardNumber, Tenant, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use self::permissions::{Duty, Permissions, Role};

use crate::leadership;
use crate::nats::ensure::compare;
use crate::nats::{Difference, Missing, Purpose};
use crate::placements::Placements;
use crate::topology::{ENVELOPES, Settings, server, without_former};
use crate::{catalogs, consumers, deliveries};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// The error of a stream whose replicas have no leader.
const UNAVAILABLE: u64 = 10_008;

/// A connection that only looks.
#[derive(Debug, Clone)]
pub struct Inspection {
    client: Client,
    context: Context,
    settings: Settings,
}

/// What the server of the connection says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its version.
    pub version: String,
    /// Whether it has everything that Tidings relies on.
    pub is_supported: bool,
    /// Whether it also has what Tidings uses where it is there.
    pub is_recommended: bool,
    /// The largest message that it accepts, in bytes.
    pub max_payload: usize,
    /// Unique to the server.
    pub id: String,
    /// The cluster that it is part of.
    pub cluster: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// Nobody listens: there is no JetStream here, or this account imports no way to it.
    #[error("nobody listens on {0}; this login may have no way there")]
    Nobody(String),
    /// Nobody answers in time, or the stream says that it has no leader.
    #[error("there was no answer on {0}")]
    None(String),
    /// This user may not ask.
    #[error("this login may not publish to {0}")]
    Denied(String),
    /// The answer is an error, or cannot be read.
    #[error("the answer on {0} is {1}")]
    Error(String, String),
}

/// A stream as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFacts {
    /// Its name.
    pub name: String,
    /// What it says; `None` if there is no such stream.
    pub found: Result<Option<StreamState>, Silence>,
}

/// A stream that exists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamState {
    /// Settings with other values than Tidings relies on.
    pub essential: Vec<Difference>,
    /// Limits with other values than the configuration has.
    pub limits: Vec<Difference>,
    /// How many replicas it has, and how many it is to have.
    pub replicas: (usize, usize),
    /// Whether it is led; true on a single server.
    pub is_led: bool,
    /// Its other replicas.
    pub peers: Vec<Peer>,
    /// Bytes in it.
    pub bytes: u64,
    /// Bytes that it may have.
    pub max_bytes: Option<u64>,
    /// Messages in it.
    pub messages: u64,
    /// The time of the server that answered.
    pub now: Option<OffsetDateTime>,
}

/// A replica that does not lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The name of its server.
    pub server: String,
    /// Whether it has everything that the leader has, but for what is on its way.
    pub is_current: bool,
    /// Whether its server cannot be reached.
    pub is_offline: bool,
    /// How many operations it is behind.
    pub lag: u64,
}

impl Inspection {
    /// Looks through this client.
    #[must_use]
    pub fn new(client: &Client, settings: &Settings) -> Self {
        let mut context = settings.context(client);
        context.set_timeout(PATIENCE);
        Self { client: client.clone(), context, settings: settings.clone() }
    }

    /// What the server says of itself.
    #[must_use]
    pub fn server(&self) -> ServerFacts {
        let info = self.client.server_info();
        ServerFacts {
            is_supported: server::check(&self.client).is_ok(),
            is_recommended: server::indexes_sources(&self.client),
            version: info.version,
            max_payload: info.max_payload,
            id: info.server_id,
            cluster: info.cluster,
        }
    }

    /// The permissions of this user; `None` if nothing is forbidden.
    pub async fn permissions(&self) -> Result<Option<Permissions>, Silence> {
        permissions::of(&self.client).await
    }

    /// What a process of this role needs, for these shards.
    #[must_use]
    pub fn duties(&self, role: Role, shards: &BTreeSet<ShardNumber>) -> Vec<Duty> {
        permissions::duties(role, &self.settings.api_prefix, shards)
    }

    /// The streams and buckets that projectors, gateways and dispatchers use, with these shards and this store of consumers.
    pub async fn streams(
        &self,
        shards: &BTreeSet<ShardNumber>,
        may: Option<&Permissions>,
    ) -> Vec<StreamFacts> {
        let looks = self
            .wanted(shards)
            .into_iter()
            .map(async |wanted| StreamFacts { found: self.stream(&wanted, may).await, name: wanted.name });
        futures_util::future::join_all(looks).await
    }

    /// The bucket that only gateways with the store `jetstream` have, if it is there.
    pub async fn has_consumer_leases(&self) -> bool {
        let asked = ask(&self.client, self.subject("STREAM.INFO.KV_CONSUMER_LEASES")).await;
        asked.is_ok_and(|answer| answer.get("error").is_none())
    }

    fn wanted(&self, shards: &BTreeSet<ShardNumber>) -> Vec<Config> {
        let (settings, client) = (&self.settings, &self.client);
        let bucket = |name| Config {
            allow_message_ttl: true,
            ..Purpose { name, description: "" }.config(settings.bucket())
        };
        let mut wanted = vec![settings.events(client), settings.rejected(), catalogs::config(settings)];
        if server::indexes_sources(client) {
            wanted.push(settings.scheduled());
            wanted.push(deliveries::config(settings));
        }
        wanted.extend(shards.iter().map(|shard| settings.envelopes(*shard)));
        let buckets = [
            "PLACEMENTS",
            "PROJECTORS",
            consumers::BUCKET,
            "USERS",
            "KEYS",
            "RECEIPTS",
            "PREFERENCES",
            "CONTACTS",
        ];
        wanted.extend(buckets.map(bucket));
        wanted
    }

    async fn stream(
        &self,
        wanted: &Config,
        may: Option<&Permissions>,
    ) -> Result<Option<StreamState>, Silence> {
        let subject = self.subject(&format!("STREAM.INFO.{}", wanted.name));
        if may.is_some_and(|may| !may.lets_publish(&subject)) {
            return Err(Silence::Denied(subject));
        }
        let answer = ask(&self.client, subject.clone()).await?;
        if let Some(error) = answer.get("error") {
            let code = error.get("err_code").and_then(Value::as_u64).unwrap_or_default();
            return match code {
                UNAVAILABLE => Err(Silence::None(subject)),
                _ if code == ErrorCode::STREAM_NOT_FOUND.0 => Ok(None),
                _ => Err(Silence::Error(subject, error.to_string())),
            };
        }
        let info = Info::deserialize(&answer).map_err(|error| Silence::Error(subject, error.to_string()))?;
        Ok(Some(state(wanted, &info, server_time(&answer))))
    }

    /// Whether a projector leads this shard, by the clock of the server that stores the lease.
    pub async fn lease(&self, shard: ShardNumber) -> Result<bool, Silence> {
        self.is_held(&shard.name("shard")).await
    }

    /// The same for a dispatcher.
    pub async fn dispatcher_lease(&self, shard: ShardNumber) -> Result<bool, Silence> {
        self.is_held(&shard.name("dispatcher")).await
    }

    async fn is_held(&self, name: &str) -> Result<bool, Silence> {
        let read = async { leadership::look(&self.context, name).await.map_err(|error| error.to_string()) };
        let lease = within(&format!("the lease of {name}"), read).await?;
        let now = ask(&self.client, self.subject("STREAM.INFO.KV_PROJECTORS")).await?;
        let now = server_time(&now).unwrap_or_else(OffsetDateTime::now_utc);
        Ok(lease.is_some_and(|lease| lease.holds_at(now)))
    }

    /// Where tenants' envelopes are, as far as there are records.
    pub async fn placements(&self) -> Result<BTreeMap<Tenant, Placement>, Silence> {
        let read = async {
            let opened = Placements::open(&self.context, self.settings.bucket(), Missing::Awaited).await;
            let placements = opened.map_err(|error| error.to_string())?;
            placements.all().await.map_err(|error| error.to_string())
        };
        Ok(within("the bucket PLACEMENTS", read).await?.placements)
    }

    /// The tenants with whose catalogs projectors have run.
    pub async fn recorded_tenants(&self) -> Result<BTreeSet<Tenant>, Silence> {
        let read =
            async { catalogs::recorded_tenants(&self.context).await.map_err(|error| error.to_string()) };
        within("the bucket CATALOGS", read).await
    }

    fn subject(&self, rest: &str) -> String {
        format!("{}.{rest}", self.settings.api_prefix)
    }
}

/// When the server answered, by its clock.
fn server_time(answer: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(answer.get("ts")?.as_str()?, &Rfc3339).ok()
}

fn state(wanted: &Config, info: &Info, now: Option<OffsetDateTime>) -> StreamState {
    let shard = ShardNumber::of(&wanted.name, ENVELOPES);
    let found = shard.map_or_else(|| info.config.clone(), |shard| without_former(&info.config, shard));
    let (essential, mut limits) = compare(wanted, &found);
    // Fewer replicas are a matter of their own.
    limits.retain(|difference| difference.setting != "num_replicas");
    let peers = info.cluster.iter().flat_map(|cluster| &cluster.replicas).map(|peer| Peer {
        server: peer.name.clone(),
        is_current: peer.current,
        is_offline: peer.offline,
        lag: peer.lag.unwrap_or_default(),
    });
    let has_leader = |leader: &Option<String>| leader.as_ref().is_some_and(|leader| !leader.is_empty());
    StreamState {
        essential,
        limits,
        replicas: (info.config.num_replicas, wanted.num_replicas),
        is_led: info.cluster.as_ref().is_none_or(|cluster| has_leader(&cluster.leader)),
        peers: peers.collect(),
        bytes: info.state.bytes,
        max_bytes: u64::try_from(info.config.max_bytes).ok().filter(|bytes| *bytes > 0),
        messages: info.state.messages,
        now,
    }
}

/// What is read in time.
async fn within<T>(what: &str, read: impl Future<Output = Result<T, String>>) -> Result<T, Silence> {
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(Silence::Error(what.to_owned(), error)),
        Err(_) => Err(Silence::None(what.to_owned())),
    }
}

/// Asks, and reads the answer as JSON.
async fn ask(client: &Client, subject: String) -> Result<Value, Silence> {
    let request = Request::new().payload(Bytes::new()).timeout(Some(PATIENCE));
    let answer = client.send_request(subject.clone(), request).await.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => Silence::Nobody(subject.clone()),
        RequestErrorKind::TimedOut => Silence::None(subject.clone()),
        _ => Silence::Error(subject.clone(), error.to_string()),
    })?;
    json::parse(&answer.payload).map_err(|error| Silence::Error(subject, error.to_string()))
}
