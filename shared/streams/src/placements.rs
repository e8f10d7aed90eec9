//! Placements of tenants: the key-value bucket `PLACEMENTS`, tenant to JSON, and the notices in the streams.
//!
//! The bucket is for commands and for processes that start: it says which shard writes a tenant's envelopes, where they
//! were before, and what is to be rebuilt. A notice on `places.<tenant>` is for readers: it is stored between the last
//! envelope of one place and the first of the next one, so that every gateway switches at the same envelope, however
//! late it reads. The notice is written first and the bucket second; a projector that starts brings the bucket up to
//! date.
//!
//! Guarantees: a change is merged with the stored record, so that commands and projectors never undo each other's
//! changes. An unreadable record affects only its tenant, and is never overwritten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{RawMessageError, RawMessageErrorKind};
use bytes::Bytes;
use tidings_model::{Place, Placement, Position, ShardNumber, Tenant, headers};
use time::OffsetDateTime;

use crate::bucket::{Bucket, BucketSettings, Purpose, is_removal};
use crate::convert::set;
use crate::leader_get;
use crate::notice;
use crate::ordered_reader::Content;
use crate::record::{self, Record, RecordError, Reported};
use crate::scan::Scan;
use crate::topology::{Extent, ExtentError, Missing, Settings, Topology, TopologyError, epoch_of};

/// The first token of the subjects of notices in the first shard.
const ROOT: &str = "places";
/// How many times a change is retried after a conflict; at each conflict, another change succeeds.
const ATTEMPTS: u32 = 16;

/// The bucket `PLACEMENTS`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Placements {
    bucket: Bucket,
    reported: Arc<Reported<Tenant>>,
}

/// The placements of all tenants that have a record.
#[derive(Debug, Clone, Default)]
pub struct AllPlacements {
    /// The readable records.
    pub placements: BTreeMap<Tenant, Placement>,
    /// Tenants with an unreadable record: the placement of their envelopes is unknown.
    pub unreadable: BTreeSet<Tenant>,
}

impl Record for Placement {
    const VERSION: u64 = 1;
}

impl Placements {
    /// Creates the bucket if it is missing, checks it if it exists.
    pub(crate) async fn open(
        context: &Context,
        settings: &Settings,
        missing: Missing,
    ) -> Result<Self, TopologyError> {
        let kept = BucketSettings { replicas: settings.replicas, in_memory: settings.in_memory };
        let purpose = Purpose { name: "PLACEMENTS", description: "Tidings: where tenants' envelopes are" };
        let bucket = Box::pin(Bucket::open(context, purpose, None, kept, missing)).await?;
        Ok(Self { bucket, reported: Arc::default() })
    }

    /// Loads the placement of a tenant.
    pub async fn load(&self, tenant: &Tenant) -> Result<Placement, PlacementError> {
        Ok(self.read(tenant).await?.0.unwrap_or_default())
    }

    /// Loads the placements of all tenants that have a record.
    pub async fn all(&self) -> Result<AllPlacements, PlacementError> {
        let failed = |source| PlacementError::List { source };
        let mut pass = Scan::new(Arc::clone(&self.bucket.stream), self.bucket.subject(">"), Content::Whole);
        let mut all = AllPlacements::default();
        while let Some((message, revision)) = pass.next().await.map_err(failed)? {
            let Ok(tenant) = Tenant::parse(self.bucket.key(&message.subject)) else { continue };
            // A record that was written again during the scan is delivered again.
            all.placements.remove(&tenant);
            all.unreadable.remove(&tenant);
            if is_removal(message.headers.as_ref()) {
                continue;
            }
            match record::decode(&message.payload) {
                Ok(placement) => _ = all.placements.insert(tenant, placement),
                Err(source) => {
                    self.report(&tenant, revision, source);
                    all.unreadable.insert(tenant);
                }
            }
        }
        Ok(all)
    }

    fn report(&self, tenant: &Tenant, revision: u64, source: RecordError) {
        if self.reported.is_new(tenant, revision) {
            let error = PlacementError::Damaged { tenant: tenant.clone(), source };
            tracing::error!(error = &error as &dyn std::error::Error, "other tenants are not affected");
        }
    }

    /// A position that rises with every change of any placement; its epoch changes if the bucket was recreated.
    pub async fn revision(&self) -> Result<Position, PlacementError> {
        let info = self.bucket.stream.get_info().await;
        let info = info.map_err(|error| PlacementError::List { source: error.into() })?;
        Ok(Position { epoch: epoch_of(&info), sequence: info.state.last_sequence })
    }

    pub(crate) async fn restore_bucket(&self) -> Result<(), TopologyError> {
        self.bucket.restore().await.map(drop)
    }

    /// Writes a placement that the bucket has lost, unless the tenant has a record by now.
    pub async fn restore(&self, tenant: &Tenant, placement: &Placement) -> Result<(), PlacementError> {
        let (None, 0) = self.read(tenant).await? else { return Ok(()) };
        let failed =
            |error: async_nats::Error| PlacementError::Write { tenant: tenant.clone(), source: error };
        let json = record::encode(placement).map_err(|error| failed(error.into()))?;
        let written = self.bucket.write(tenant.as_str(), Bytes::from(json), 0).await;
        written.map_err(|error| failed(error.into())).map(drop)
    }

    /// Changes a placement; a tenant without a record is in shard `first`. Returns the stored placement.
    pub async fn change(
        &self,
        tenant: &Tenant,
        first: ShardNumber,
        change: impl Fn(&mut Placement),
    ) -> Result<Placement, PlacementError> {
        for _ in 0..ATTEMPTS {
            let (stored, revision) = self.read(tenant).await?;
            let mut placement = stored.clone().unwrap_or_else(|| Placement::first(first));
            change(&mut placement);
            if stored.as_ref() == Some(&placement) {
                return Ok(placement);
            }
            let failed =
                |error: async_nats::Error| PlacementError::Write { tenant: tenant.clone(), source: error };
            let json = record::encode(&placement).map_err(|error| failed(error.into()))?;
            let written = self.bucket.write(tenant.as_str(), Bytes::from(json), revision).await;
            if written.map_err(|error| failed(error.into()))?.is_some() {
                return Ok(placement);
            }
        }
        Err(PlacementError::Contended { tenant: tenant.clone() })
    }

    /// Reads the record from the leader, and the sequence that the next write must expect.
    async fn read(&self, tenant: &Tenant) -> Result<(Option<Placement>, u64), PlacementError> {
        let subject = self.bucket.subject(tenant.as_str());
        let failed =
            |error: RawMessageError| PlacementError::Read { tenant: tenant.clone(), source: error.into() };
        let Some(message) = leader_get::last(&self.bucket.stream, &subject).await.map_err(failed)? else {
            return Ok((None, 0));
        };
        let is_there = !is_removal(Some(&message.headers));
        let damaged = |source| PlacementError::Damaged { tenant: tenant.clone(), source };
        let placement = is_there.then(|| record::decode(&message.payload).map_err(damaged)).transpose()?;
        Ok((placement, message.sequence))
    }
}

/// The placement of a tenant, and the streams of its current shard.
#[derive(Debug, Clone)]
pub struct Home {
    /// The current and past places.
    pub placement: Placement,
    /// The topology of the current shard.
    pub topology: Topology,
}

impl Home {
    /// The content of the stream, with the epoch as used in the tenant's positions.
    pub async fn extent(&self) -> Result<Extent, ExtentError> {
        let extent = self.topology.extent().await?;
        Ok(Extent { epoch: self.placement.current.place.epoch(extent.epoch), ..extent })
    }
}

impl Topology {
    /// Finds the current placement and streams of a tenant.
    pub async fn home(&self, tenant: &Tenant) -> Result<Home, HomeError> {
        let placement = self.placements().load(tenant).await?;
        let topology = self.on(placement.current.place.shard).await?;
        Ok(Home { placement, topology })
    }
}

/// The stream with a tenant's envelopes cannot be found now.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The placement is not known.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// The stream cannot be used.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

/// The newest notice about a tenant in a shard's stream, and its position, if the stream still has one.
pub async fn last_notice(
    topology: &Topology,
    tenant: &Tenant,
) -> Result<Option<(Place, Position)>, PlacementError> {
    let failed = |source| PlacementError::Read { tenant: tenant.clone(), source };
    let subject = format!("{}.{tenant}", topology.shard().name(ROOT));
    let stream = &topology.envelopes;
    let last = notice::last(stream, &subject).await.map_err(|error| failed(error.into()))?;
    let said = last.and_then(|message| Some((place(&message.headers)?, message.sequence)));
    let Some((place, sequence)) = said else { return Ok(None) };
    let info = stream.get_info().await.map_err(|error| failed(error.into()))?;
    Ok(Some((place, Position { epoch: place.epoch(epoch_of(&info)), sequence })))
}

/// When the notice at this position of a shard's stream was stored, if it exists.
pub async fn placed_at(
    topology: &Topology,
    position: Position,
) -> Result<Option<OffsetDateTime>, PlacementError> {
    match topology.envelopes.get_raw_message(position.sequence).await {
        Ok(message) => {
            let is_notice = placed(&message.subject, Some(&message.headers), &message.payload).is_some();
            Ok(Some(message.time).filter(|_| is_notice))
        }
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(PlacementError::List { source: error.into() }),
    }
}

/// The subject that matches every notice in a shard.
pub(crate) fn any_place(shard: ShardNumber) -> String {
    format!("{}.>", shard.name(ROOT))
}

/// Subject, message id and headers of the notice that a tenant's envelopes are in a place from there on.
pub(crate) fn place_notice(shard: ShardNumber, tenant: &Tenant, place: Place) -> (String, String, HeaderMap) {
    let mut map = HeaderMap::new();
    notice::mark(&mut map);
    set(&mut map, headers::PLACE, place.to_string());
    (format!("{}.{tenant}", shard.name(ROOT)), format!("{ROOT}/{tenant}/{place}"), map)
}

/// Parses a notice; `None` if the message is not a notice.
pub(crate) fn placed(subject: &str, headers: Option<&HeaderMap>, body: &[u8]) -> Option<(Tenant, Place)> {
    if !notice::is_marked(headers, body) {
        return None;
    }
    let (root, tenant) = subject.split_once('.')?;
    ShardNumber::of(root, ROOT)?;
    Some((Tenant::parse(tenant).ok()?, place(headers?)?))
}

fn place(map: &HeaderMap) -> Option<Place> {
    map.get(headers::PLACE)?.as_str().parse().ok()
}

/// The placement of a tenant cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum PlacementError {
    /// NATS does not answer.
    #[error("cannot read the placement of tenant {tenant} now")]
    Read {
        /// The tenant.
        tenant: Tenant,
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
    /// NATS does not answer for all of them.
    #[error("cannot list the placements of tenants now")]
    List {
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
    /// NATS does not store the record, or did not confirm it in time; it is safe to repeat the change.
    #[error("cannot save the placement of tenant {tenant} now")]
    Write {
        /// The tenant.
        tenant: Tenant,
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
    /// The record was written by something else, or by a newer Tidings.
    #[error(
        "the record of tenant {tenant} in the bucket PLACEMENTS cannot be read; gateways and projectors that start \
         do not serve the tenant and keep its events in REJECTED until `nats kv put PLACEMENTS {tenant}` restores the \
         record, or `nats kv del PLACEMENTS {tenant}` removes it, after which the tenant counts as never rebuilt or \
         moved"
    )]
    Damaged {
        /// The tenant.
        tenant: Tenant,
        /// Why it cannot be read.
        #[source]
        source: RecordError,
    },
    /// Others kept changing the same placement.
    #[error("the placement of tenant {tenant} was changed by others {ATTEMPTS} times in a row; try again")]
    Contended {
        /// The tenant.
        tenant: Tenant,
    },
}
