//! Facts that users connect and disconnect, and the leases of the gateways that have them.
//!
//! A fact is stored only behind the one that its writer knows, so that of two dispatchers one tells of a change. A gateway writes
//! its lease every few seconds, one for all of its users: so those of a gateway that was killed count as disconnected
//! when its lease has ended.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tidings_model::{
    ALL_GATEWAY_LEASES, Tenant, gateway_lease, headers, leased_gateway, presence_of_tenant, presence_subject,
};
use time::OffsetDateTime;

use super::{DELIVERIES, Deliveries, DeliveryError, selection};
use crate::nats::record::{self, Record};
use crate::nats::{Content, Delivered, OrderedReader, Read, Selection, leader_get, set};
use crate::topology::Topology;

/// How often a gateway renews its lease.
pub const LEASE_RENEWAL: Duration = Duration::from_secs(5);
/// How long a lease lasts without renewal.
pub const GATEWAY_LEASE: Duration = Duration::from_secs(15);
/// After so long nats-server removes the lease of a gateway that is gone.
const KEPT_LEASE: &str = "60s";

/// That a user has connected or disconnected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresenceFact {
    /// The user.
    pub user: String,
    /// Whether the user has a connected device now.
    pub status: PresenceStatus,
    /// Since when.
    #[serde(
        serialize_with = "tidings_model::serialize_time",
        deserialize_with = "time::serde::rfc3339::deserialize"
    )]
    pub since: OffsetDateTime,
    /// Whether nothing has changed since the fact before, which is about to expire.
    pub is_repeated: bool,
}

/// Whether a user is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PresenceStatus {
    /// With at least one device.
    Connected,
    /// With none.
    Disconnected,
}

impl Record for PresenceFact {
    const VERSION: u64 = 1;
}

/// A fact as it lies in the stream.
#[derive(Debug, Clone)]
pub struct StoredPresence {
    /// The fact.
    pub fact: PresenceFact,
    /// Its sequence.
    pub sequence: u64,
    /// When it was stored.
    pub at: OffsetDateTime,
}

impl StoredPresence {
    fn read(delivered: &Delivered) -> Option<Self> {
        let fact = record::decode(&delivered.message.payload).ok()?;
        Some(Self { fact, sequence: delivered.sequence, at: delivered.time })
    }
}

impl Deliveries {
    /// How long facts are kept.
    #[must_use]
    pub fn facts_are_kept(&self) -> Duration {
        self.kept
    }

    /// The newest fact about whether each user of a tenant is connected.
    #[must_use]
    pub fn presence(&self, tenant: &Tenant) -> BoxStream<'static, Result<StoredPresence, DeliveryError>> {
        self.scan(selection(presence_of_tenant(tenant)).newest(), StoredPresence::read)
    }

    /// The newest fact about whether a user is connected.
    pub async fn presence_of(
        &self,
        tenant: &Tenant,
        user: &str,
    ) -> Result<Option<StoredPresence>, DeliveryError> {
        let last = leader_get::last(&self.stream, &presence_subject(tenant, user)).await;
        let Some(last) = last.map_err(DeliveryError::Read)? else { return Ok(None) };
        let fact = record::decode(&last.payload);
        let damaged = |source| DeliveryError::Damaged { sequence: last.sequence, source };
        Ok(Some(StoredPresence { fact: fact.map_err(damaged)?, sequence: last.sequence, at: last.time }))
    }

    /// Stores a fact behind the one with the sequence `expected`, 0 for the first. Returns whether it is stored; it is not
    /// if another one came first.
    pub async fn note_presence(
        &self,
        tenant: &Tenant,
        fact: &PresenceFact,
        expected: u64,
    ) -> Result<bool, DeliveryError> {
        let mut map = HeaderMap::new();
        set(&mut map, headers::EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        set(&mut map, headers::TIME_TO_LIVE, format!("{}s", self.kept.as_secs()));
        let payload = record::encode(fact).map_err(DeliveryError::Encode)?;
        Ok(self.publish(presence_subject(tenant, &fact.user), map, payload).await?.is_some())
    }

    /// Reads the leases of gateways, and each renewal.
    pub async fn gateway_leases(&self) -> Result<GatewayLeases, DeliveryError> {
        let subjects = vec![ALL_GATEWAY_LEASES.to_owned()];
        let selection = Selection::new(DELIVERIES.to_owned(), subjects, Content::HeadersOnly);
        let reader = OrderedReader::open_at_start(self.context.clone(), selection).await;
        Ok(GatewayLeases { reader: reader.map_err(DeliveryError::List)?, ready: VecDeque::new() })
    }
}

/// What is heard of gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseNews {
    /// This gateway has renewed its lease.
    Renewed(String),
    /// Renewals may have been missed.
    Interrupted,
}

/// Reads the leases of gateways.
pub struct GatewayLeases {
    reader: OrderedReader,
    ready: VecDeque<LeaseNews>,
}

impl GatewayLeases {
    /// Waits for the next one. Cancel-safe.
    pub async fn next(&mut self) -> LeaseNews {
        loop {
            if let Some(news) = self.ready.pop_front() {
                return news;
            }
            match self.reader.read().await {
                Read::Messages(messages) if !messages.is_empty() => {
                    let gateways = messages.iter().filter_map(|found| leased_gateway(&found.message.subject));
                    self.ready.extend(gateways.map(LeaseNews::Renewed));
                }
                Read::Messages(_) | Read::Renewed(_) => return LeaseNews::Interrupted,
            }
        }
    }
}

/// The lease of one gateway.
#[derive(Debug, Clone)]
pub struct GatewayLease {
    context: Context,
    subject: String,
}

impl GatewayLease {
    /// The lease of the gateway with this name, which no other process ever has.
    #[must_use]
    pub fn new(topology: &Topology, gateway: &str) -> Self {
        Self { context: topology.context.clone(), subject: gateway_lease(gateway) }
    }

    /// Renews it. Fails also where no dispatcher has ever run, which means nothing then.
    pub async fn renew(&self) -> Result<(), async_nats::Error> {
        let mut map = HeaderMap::new();
        set(&mut map, headers::ROLLUP, "sub");
        set(&mut map, headers::TIME_TO_LIVE, KEPT_LEASE);
        let sent = self.context.publish_with_headers(self.subject.clone(), map, Bytes::new()).await?;
        sent.await?;
        Ok(())
    }
}
