//! Deliveries: fallbacks that wait, those that are due, and what became of them. The stream `DELIVERIES`.
//!
//! | subject | what lies there |
//! | --- | --- |
//! | `deliveries.waiting.<tenant>.<user>.<name>` | a delivery, as a scheduled message (NATS ADR-51) |
//! | `deliveries.waiting.<tenant>.<user>.<name>.<fact>` | the same, since the fact with this sequence |
//! | `deliveries.due.<tenant>.<user>.<name>` | the same, stored by JetStream when it is due, until it is decided |
//! | `deliveries.facts.<tenant>.<user>.<name>` | what became of it: each attempt before it is made, and its outcome |
//! | `deliveries.facts.<tenant>.<user>.presence` | that the user has connected or disconnected |
//! | `deliveries.gateways.<gateway>` | the lease of a gateway: it runs |
//! | `deliveries.through.<shard>` | how far the envelopes of a shard were read |
//!
//! Everything is in one stream: if NATS comes back with an older state, what is noted as read comes back with what waits, so
//! that what was lost is read again. Guarantees:
//!
//! - A delivery is scheduled only if nothing about it is there, however often its envelope is read ([`Deliveries::schedule`]).
//! - A fact is stored only behind the one that its writer knows ([`Deliveries::note`]): of two dispatchers that both believe
//!   to lead, one makes an attempt.
//! - What is due stays until its decision is stored ([`Deliveries::remove_due`]).
//! - A retry is one message, and names the decision that it wants to be made again ([`Deliveries::retry`]): so it is there or
//!   not, and is never handled twice.
//!
//! What waits and what is due never expires. Facts are kept longer than envelopes, so that none is decided twice.

mod due;
mod error;
mod fact;
mod pending;
mod presence;
mod retry;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::stream::{Config, Stream};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tidings_model::{DeliveryName, Position, ShardNumber, Tenant, headers};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::nats::{
    Content, Delivered, Missing, Scan, Selection, TopologyError, ensure, leader_get, record, set, was_beaten,
};
use crate::topology::{Settings, Topology};

pub use due::{Due, DueReader};
pub use error::DeliveryError;
pub use fact::{Fact, Status, StoredFact};
pub use pending::{Pending, PendingDelivery, Retried, Through};
pub use presence::{
    GATEWAY_LEASE, GatewayLease, GatewayLeases, LEASE_RENEWAL, LeaseNews, PresenceFact, PresenceStatus,
    StoredPresence,
};
pub use retry::RetryDeliveryError;

/// The name of the stream.
pub const DELIVERIES: &str = "DELIVERIES";

/// How much longer than envelopes facts are kept: longer than all attempts of a delivery take.
const LONGER: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// The configuration of the stream.
pub(crate) fn config(settings: &Settings) -> Config {
    settings.scheduling(
        DELIVERIES,
        "Tidings: fallbacks that wait, and what became of them",
        DeliveryName::ALL,
    )
}

/// Removes everything about deliveries to a user, and returns the number of messages.
pub async fn purge_user(topology: &Topology, tenant: &Tenant, user: &str) -> Result<u64, DeliveryError> {
    match Deliveries::find(topology).await? {
        Some(deliveries) => deliveries.purge_user(tenant, user).await,
        None => Ok(0),
    }
}

/// The stream of deliveries. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Deliveries {
    context: Context,
    stream: Arc<Stream>,
    wanted: Arc<Config>,
    /// How long facts are kept.
    kept: Duration,
}

impl Deliveries {
    /// Creates the stream if it is missing, checks it if it exists.
    pub async fn open(topology: &Topology) -> Result<Self, TopologyError> {
        Self::open_or(topology, Missing::Created).await
    }

    /// Opens the stream; `None` if no dispatcher has ever run.
    pub async fn find(topology: &Topology) -> Result<Option<Self>, TopologyError> {
        match Self::open_or(topology, Missing::Awaited).await {
            Err(TopologyError::Missing { .. }) => Ok(None),
            opened => opened.map(Some),
        }
    }

    async fn open_or(topology: &Topology, missing: Missing) -> Result<Self, TopologyError> {
        let settings = topology.settings();
        let wanted = config(settings);
        let stream = ensure::open(&topology.context, wanted.clone(), missing).await?.into();
        let kept = settings.envelopes_max_age + LONGER;
        Ok(Self { context: topology.context.clone(), stream, wanted: wanted.into(), kept })
    }

    /// Recreates the stream if it has disappeared.
    pub async fn restore(&self) -> Result<(), TopologyError> {
        ensure::restore(&self.context, &self.wanted).await.map(drop)
    }

    /// Schedules a delivery, unless something is known about it already. Returns when NATS has stored it.
    pub async fn schedule(
        &self,
        name: &DeliveryName,
        pending: &Pending,
        at: OffsetDateTime,
    ) -> Result<(), DeliveryError> {
        if self.wait((name, 0), pending, at, &name.any()).await? {
            return Ok(());
        }
        match leader_get::last(&self.stream, &name.any()).await.map_err(DeliveryError::Read)? {
            Some(_) => Ok(()),
            None => Err(DeliveryError::Contended),
        }
    }

    /// Schedules a delivery that is due for another time, as the fact with this sequence says.
    pub async fn schedule_again(
        &self,
        name: &DeliveryName,
        pending: &Pending,
        at: OffsetDateTime,
        fact: u64,
    ) -> Result<(), DeliveryError> {
        // If it waits already, this was read again.
        self.wait((name, fact), pending, at, &name.waiting(fact)).await.map(drop)
    }

    /// Lets a delivery wait if nothing is on these subjects; returns whether it does.
    async fn wait(
        &self,
        (name, since): (&DeliveryName, u64),
        pending: &Pending,
        at: OffsetDateTime,
        none_on: &str,
    ) -> Result<bool, DeliveryError> {
        let mut map = HeaderMap::new();
        set(&mut map, headers::SCHEDULE, format!("@at {}", at.to_utc().format(&Rfc3339).unwrap_or_default()));
        set(&mut map, headers::SCHEDULE_TARGET, name.due());
        set(&mut map, headers::EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        set(&mut map, headers::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, none_on);
        let payload = record::encode(pending).map_err(DeliveryError::Encode)?;
        Ok(self.publish(name.waiting(since), map, payload).await?.is_some())
    }

    /// The newest fact about a delivery, and its sequence.
    pub async fn last_fact(&self, name: &DeliveryName) -> Result<Option<(Fact, u64)>, DeliveryError> {
        let last = leader_get::last(&self.stream, &name.facts()).await.map_err(DeliveryError::Read)?;
        let Some(last) = last else { return Ok(None) };
        let fact = record::decode(&last.payload);
        Ok(Some((
            fact.map_err(|source| DeliveryError::Damaged { sequence: last.sequence, source })?,
            last.sequence,
        )))
    }

    /// Stores a fact behind the one with the sequence `expected`, 0 for the first. Returns its sequence, or `None` if
    /// another one came first. A fact that the delivery was not sent keeps what is known of it, for a retry.
    pub async fn note(
        &self,
        name: &DeliveryName,
        fact: &Fact,
        pending: &Pending,
        expected: u64,
    ) -> Result<Option<u64>, DeliveryError> {
        let mut map = HeaderMap::new();
        if fact.status.may_be_retried() {
            retry::keep(&mut map, pending)?;
        }
        set(&mut map, headers::EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        set(&mut map, headers::TIME_TO_LIVE, format!("{}s", self.kept.as_secs()));
        let payload = record::encode(fact).map_err(DeliveryError::Encode)?;
        self.publish(name.facts(), map, payload).await
    }

    /// Removes what is due and was decided, by its sequence.
    pub async fn remove_due(&self, sequence: u64) -> Result<(), DeliveryError> {
        // It may be removed already: an answer was lost.
        if leader_get::at(&self.stream, sequence).await.map_err(DeliveryError::Read)?.is_some() {
            self.stream
                .delete_message(sequence)
                .await
                .map_err(|error| DeliveryError::Remove(error.into()))?;
        }
        Ok(())
    }

    /// How far the envelopes of a shard were read, and the sequence that the next note must expect.
    pub async fn through(&self, shard: ShardNumber) -> Result<(Option<Through>, u64), DeliveryError> {
        let last = leader_get::last(&self.stream, &DeliveryName::through(shard)).await;
        let Some(last) = last.map_err(DeliveryError::Read)? else { return Ok((None, 0)) };
        let through = record::decode(&last.payload);
        let damaged = |source| DeliveryError::Damaged { sequence: last.sequence, source };
        Ok((Some(through.map_err(damaged)?), last.sequence))
    }

    /// Notes how far the envelopes of a shard were read. Returns the sequence of the note, or `None` if the last one has
    /// not the sequence `expected`.
    pub async fn note_through(
        &self,
        shard: ShardNumber,
        through: &Through,
        expected: u64,
    ) -> Result<Option<u64>, DeliveryError> {
        let mut map = HeaderMap::new();
        set(&mut map, headers::EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        set(&mut map, headers::ROLLUP, "sub");
        let payload = record::encode(through).map_err(DeliveryError::Encode)?;
        self.publish(DeliveryName::through(shard), map, payload).await
    }

    /// Says where the envelopes of a shard go on, of which the stream was restored: `to` is up to where they were read, and
    /// whether what was read there is lost. Otherwise they would all be read again.
    pub(crate) async fn continue_at(
        &self,
        shard: ShardNumber,
        to: impl FnOnce(Position) -> Option<(Position, bool)>,
    ) -> Result<(), DeliveryError> {
        let (Some(through), noted) = self.through(shard).await? else { return Ok(()) };
        let Some((position, is_lost)) = to(through.position) else { return Ok(()) };
        let stored_at = through.stored_at.filter(|_| !is_lost);
        self.note_through(shard, &Through { position, stored_at }, noted).await.map(drop)
    }

    /// Publishes; `None` if another message came first.
    async fn publish(
        &self,
        subject: String,
        map: HeaderMap,
        payload: Vec<u8>,
    ) -> Result<Option<u64>, DeliveryError> {
        let published = async {
            let sent = self.context.publish_with_headers(subject, map, Bytes::from(payload)).await?;
            Ok::<_, PublishError>(sent.await?.sequence)
        };
        match published.await {
            Ok(sequence) => Ok(Some(sequence)),
            Err(error) if was_beaten(&error) => Ok(None),
            Err(error) => Err(DeliveryError::Write(error)),
        }
    }

    /// Reads what is due for a tenant, and what becomes due.
    pub async fn due(&self, tenant: &Tenant) -> Result<DueReader, DeliveryError> {
        DueReader::open(self.context.clone(), tenant).await
    }

    /// Lists a tenant's facts, or those about one of its users, in the order in which they were stored. Unreadable ones are
    /// left out.
    #[must_use]
    pub fn facts(
        &self,
        tenant: &Tenant,
        user: Option<&str>,
    ) -> BoxStream<'static, Result<StoredFact, DeliveryError>> {
        self.scan(selection(DeliveryName::all_facts(tenant, user)), StoredFact::read)
    }

    /// As [`Deliveries::facts`], but of each delivery only the newest one.
    #[must_use]
    pub fn newest_facts(
        &self,
        tenant: &Tenant,
        user: Option<&str>,
    ) -> BoxStream<'static, Result<StoredFact, DeliveryError>> {
        self.scan(selection(DeliveryName::all_facts(tenant, user)).newest(), StoredFact::read)
    }

    /// As [`Deliveries::facts`], about one delivery.
    #[must_use]
    pub fn facts_about(&self, name: &DeliveryName) -> BoxStream<'static, Result<StoredFact, DeliveryError>> {
        self.scan(selection(name.facts()), StoredFact::read)
    }

    /// Lists what waits for a tenant, or for one of its users.
    #[must_use]
    pub fn waiting(
        &self,
        tenant: &Tenant,
        user: Option<&str>,
    ) -> BoxStream<'static, Result<PendingDelivery, DeliveryError>> {
        self.scan(selection(DeliveryName::all_waiting(tenant, user)), PendingDelivery::read)
    }

    /// How many deliveries of these tenants wait.
    pub async fn count_waiting(&self, tenants: &BTreeSet<Tenant>) -> Result<u64, DeliveryError> {
        if tenants.is_empty() {
            return Ok(0);
        }
        let subjects = tenants.iter().map(|tenant| DeliveryName::all_waiting(tenant, None)).collect();
        let selection = Selection::new(DELIVERIES.to_owned(), subjects, Content::HeadersOnly);
        selection.count(&self.context).await.map_err(DeliveryError::List)
    }

    fn scan<T: 'static>(
        &self,
        selection: Selection,
        read: fn(&Delivered) -> Option<T>,
    ) -> BoxStream<'static, Result<T, DeliveryError>> {
        let scan = Scan::of(self.context.clone(), selection);
        stream::try_unfold(scan, move |mut scan| async move {
            while let Some(delivered) = scan.next().await.map_err(DeliveryError::List)? {
                if let Some(found) = read(&delivered) {
                    return Ok(Some((found, scan)));
                }
            }
            Ok(None)
        })
        .boxed()
    }

    async fn purge_user(&self, tenant: &Tenant, user: &str) -> Result<u64, DeliveryError> {
        let purged = self.stream.purge().filter(DeliveryName::all_of(tenant, user)).await;
        Ok(purged.map_err(|error| DeliveryError::Remove(error.into()))?.purged)
    }
}

fn selection(subject: String) -> Selection {
    Selection::new(DELIVERIES.to_owned(), vec![subject], Content::Whole)
}
