//! The streams: created if they are missing, checked if they exist. No setting is altered except the deduplication of
//! `EVENTS` (module `deduplication`), its source `SCHEDULED` (module `scheduled`) and the permission for fast ingest of
//! `ENVELOPES` (module `batches`).
//!
//! Only projectors and administrative commands create streams; a gateway waits until they exist ([`Topology::find`]).
//!
//! There is one `EVENTS`, one `SCHEDULED`, one `REJECTED`, and one `ENVELOPES` for each shard.
//!
//! Settings on which correctness rests (subjects, rollup, direct access, message TTL) must have the expected values, or
//! the process does not start. Limits (age, size, replicas) belong to the operator: a difference is logged and
//! respected.

use std::sync::Arc;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, Stream};
use tidings_model::{Epoch, ShardNumber};

use crate::nats::restored::{self, Continues};
use crate::nats::{Missing, connects, ensure, epoch_of, reaching};
use crate::placements::Placements;

mod batches;
mod cut_off_servers;
mod deduplication;
mod extent;
mod home;
pub(crate) mod lives;
mod scheduled;
pub(crate) mod server;
mod settings;
pub(crate) mod subjects;

pub use self::cut_off_servers::leave_cut_off_servers;
pub use self::extent::{Extent, ExtentError, WantedPositionError};
pub use self::home::{Home, HomeError};
pub use self::settings::Settings;
pub use crate::nats::{Difference, TopologyError};

pub(crate) use self::batches::without_former;
use self::batches::{open_envelopes, permit_in_events};
use self::lives::KnownLives;

/// Events, as producers publish them.
pub const EVENTS: &str = "EVENTS";
/// Envelopes of the first shard. The names of the other shards' streams end in `_` and the number of the shard.
pub const ENVELOPES: &str = "ENVELOPES";
/// Events that could not be projected.
pub const REJECTED: &str = "REJECTED";

/// Events that are delivered later.
pub const SCHEDULED: &str = "SCHEDULED";

/// The checked streams, as one shard uses them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Topology {
    /// The JetStream context.
    pub(crate) context: Context,
    settings: Arc<Settings>,
    shard: ShardNumber,
    /// Events, as producers publish them.
    pub(crate) events: Arc<Stream>,
    /// Envelopes of this shard.
    pub(crate) envelopes: Arc<Stream>,
    /// Events that could not be projected.
    pub(crate) rejected: Arc<Stream>,
    /// Events that are delivered later; `None` in a gateway, and where the server cannot schedule events.
    pub(crate) scheduled: Option<Arc<Stream>>,
    placements: Placements,
    pub(crate) lives: KnownLives,
    missing: Missing,
}

/// Whether streams are used that are being restored from a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restoring {
    /// By the restore itself.
    Allowed,
    /// What is written now would be mixed with what is not there yet.
    Refused,
}

impl Restoring {
    fn check(self, events: &Stream) -> Result<(), TopologyError> {
        let is_restoring = events.cached_info().config.metadata.contains_key(restored::RESTORING);
        if is_restoring && self == Self::Refused { Err(TopologyError::Restoring) } else { Ok(()) }
    }
}

impl Topology {
    /// Creates missing streams and checks existing ones. Uses the envelopes of the first shard.
    pub async fn ensure(client: &async_nats::Client, settings: &Settings) -> Result<Self, TopologyError> {
        Self::open(client, settings, Missing::Created, Restoring::Refused).await
    }

    /// As [`Self::ensure`], for the restore that these streams come from and that is not complete.
    pub(crate) async fn during_restore(
        client: &async_nats::Client,
        settings: &Settings,
    ) -> Result<Self, TopologyError> {
        Self::open(client, settings, Missing::Created, Restoring::Allowed).await
    }

    /// Checks the streams; fails with [`TopologyError::Missing`] if one does not exist.
    pub async fn find(client: &async_nats::Client, settings: &Settings) -> Result<Self, TopologyError> {
        Self::open(client, settings, Missing::Awaited, Restoring::Refused).await
    }

    async fn open(
        client: &async_nats::Client,
        settings: &Settings,
        missing: Missing,
        restoring: Restoring,
    ) -> Result<Self, TopologyError> {
        server::check(client)?;
        let (context, shard) = (settings.context(client), ShardNumber::default());
        // An unusable stream is reported before a missing one, which may still be created.
        let mut first = None;
        // Before `EVENTS`, which has it as a source.
        let scheduled = scheduled::open(&context, settings.scheduled(), missing).await?;
        let events = open_events(&context, settings.events(client), missing).await;
        let events = present(events, &mut first)?;
        // Before another stream is created, which is only not there yet.
        events.iter().try_for_each(|events| restoring.check(events))?;
        let envelopes = open_envelopes(&context, shard, settings.envelopes(shard), missing).await;
        let envelopes = present(envelopes, &mut first)?;
        let rejected = present(ensure::open(&context, settings.rejected(), missing).await, &mut first)?;
        let placements = present(Placements::open(&context, settings.bucket(), missing).await, &mut first)?;
        let (Some(events), Some(envelopes), Some(rejected), Some(placements)) =
            (events, envelopes, rejected, placements)
        else {
            return Err(TopologyError::Missing { stream: first.unwrap_or_default() });
        };
        Ok(Self {
            events: events.into(),
            envelopes: envelopes.into(),
            rejected: rejected.into(),
            scheduled: scheduled.map(Arc::new),
            placements,
            lives: KnownLives::default(),
            settings: Arc::new(settings.clone()),
            shard,
            context,
            missing,
        })
    }

    /// Recreates streams that have disappeared. Their content is already lost; readers find another epoch and report it
    /// to clients.
    pub async fn restore(&self) -> Result<(), TopologyError> {
        let settings = &self.settings;
        let events = settings.events(&self.context.client());
        let scheduled = self.scheduled.as_ref().map(|_| settings.scheduled());
        let others = [events, settings.envelopes(self.shard), settings.rejected()];
        for wanted in scheduled.into_iter().chain(others) {
            ensure::restore(&self.context, &wanted).await?;
        }
        self.placements.restore_bucket().await
    }

    /// The same topology with the envelopes of another shard. That stream is created or waited for like the others.
    pub async fn on(&self, shard: ShardNumber) -> Result<Self, TopologyError> {
        if shard == self.shard {
            return Ok(self.clone());
        }
        let wanted = self.settings.envelopes(shard);
        let envelopes = open_envelopes(&self.context, shard, wanted, self.missing).await?.into();
        Ok(Self { shard, envelopes, ..self.clone() })
    }

    /// The shard of these envelopes.
    #[must_use]
    pub fn shard(&self) -> ShardNumber {
        self.shard
    }

    /// The placements of tenants.
    #[must_use]
    pub fn placements(&self) -> &Placements {
        &self.placements
    }

    /// The configured settings of the streams.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the shard's stream of envelopes holds now.
    pub async fn extent(&self) -> Result<Extent, ExtentError> {
        self.extent_reaching(0).await
    }

    /// As [`Self::extent`]; the leader is asked again before it is believed that the stream ends before this sequence.
    pub async fn extent_reaching(&self, sequence: u64) -> Result<Extent, ExtentError> {
        let info = reaching(&self.envelopes, sequence).await;
        let info = info.map_err(|source| ExtentError::new(ENVELOPES, source))?;
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        Ok(Extent {
            epoch: epoch_of(&info),
            floor: first.saturating_sub(1).min(last),
            last,
            messages: info.state.messages,
            bytes: info.state.bytes,
        })
    }

    /// The epoch of the shard's stream of envelopes, and the streams that it continues.
    pub(crate) async fn continues(&self) -> Result<(Epoch, Continues), ExtentError> {
        let info = reaching(&self.envelopes, 0).await;
        let info = info.map_err(|source| ExtentError::new(ENVELOPES, source))?;
        Ok((epoch_of(&info), Continues::of(&info.config.metadata)))
    }

    /// The last sequence of `EVENTS`.
    pub async fn last_event(&self) -> Result<u64, ExtentError> {
        let info = reaching(&self.events, 0).await.map_err(|source| ExtentError::new(EVENTS, source))?;
        Ok(info.state.last_sequence)
    }

    /// The largest message, headers included, that NATS accepts and `ENVELOPES` stores, in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        bounded_by(&self.envelopes, self.context.client().max_payload())
    }

    /// How many times the client has connected.
    #[must_use]
    pub fn connects(&self) -> u64 {
        connects(&self.context.client())
    }

    /// Whether there is a connection to NATS now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.context.client().connection_state() == async_nats::connection::State::Connected
    }

    /// The JetStream context, with the API prefix of this process's account.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The NATS client of these streams.
    #[must_use]
    pub fn client(&self) -> async_nats::Client {
        self.context.client()
    }
}

/// The smaller one of what the server accepts and what the stream stores, in bytes.
pub(crate) fn bounded_by(stream: &Stream, server: usize) -> usize {
    // A stream without a limit of its own has -1.
    let stream = usize::try_from(stream.cached_info().config.max_message_size);
    stream.map_or(server, |stream| stream.min(server))
}

/// Records the first stream that is missing.
fn present<T>(
    opened: Result<T, TopologyError>,
    first: &mut Option<String>,
) -> Result<Option<T>, TopologyError> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(TopologyError::Missing { stream }) => {
            first.get_or_insert(stream);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Opens `EVENTS`; where it may be created, also disables its deduplication, has it take what is due, and permits fast
/// ingest.
async fn open_events(context: &Context, wanted: Config, missing: Missing) -> Result<Stream, TopologyError> {
    let mut stream = ensure::find_or_create(context, &wanted, missing).await?;
    if missing == Missing::Created {
        stream = deduplication::turn_off(context, &wanted, stream).await;
        stream = scheduled::take_due(context, stream).await;
        stream = permit_in_events(context, stream).await;
    }
    ensure::check(&wanted, &stream.cached_info().config)?;
    Ok(stream)
}
