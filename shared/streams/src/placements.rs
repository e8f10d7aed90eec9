//! Where tenants' envelopes are: the key-value bucket `PLACEMENTS`, tenant to JSON, and the notices in the streams.
//!
//! The bucket is for those who decide and those who start: which shard writes a tenant's envelopes, where they were before,
//! and what is to be made anew. A notice on `places.<tenant>` is for those who read: it lies between the last envelope of
//! one place and the first of the next one, so that every gateway changes over at the same envelope, however late it reads.
//! The notice is written first; the bucket follows, and whoever starts brings it up to date.
//!
//! What is promised: a change is merged with what is stored, so that command and projectors never undo each other's. A
//! record that cannot be read is its tenant's trouble alone, and is never overwritten.

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

/// The first token of notices in the first shard.
const ROOT: &str = "places";
/// How often a change is tried again because another one came first; each time, one is through.
const ATTEMPTS: u32 = 16;

/// The bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Placements {
    bucket: Bucket,
    reported: Arc<Reported<Tenant>>,
}

/// Where tenants' envelopes are, of those of whom something was said.
#[derive(Debug, Clone, Default)]
pub struct AllPlacements {
    /// What is stored.
    pub placements: BTreeMap<Tenant, Placement>,
    /// Those for whom what is stored cannot be read: it is not known where their envelopes are.
    pub unreadable: BTreeSet<Tenant>,
}

impl Record for Placement {
    const VERSION: u64 = 1;
}

impl Placements {
    /// Creates the bucket if it is missing and checks it if it is there.
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

    /// Where a tenant's envelopes are.
    pub async fn load(&self, tenant: &Tenant) -> Result<Placement, PlacementError> {
        Ok(self.read(tenant).await?.0.unwrap_or_default())
    }

    /// Where tenants' envelopes are, of those of whom something was said.
    pub async fn all(&self) -> Result<AllPlacements, PlacementError> {
        let failed = |source| PlacementError::List { source };
        let mut pass = Scan::new(Arc::clone(&self.bucket.stream), self.bucket.subject(">"), Content::Whole);
        let mut all = AllPlacements::default();
        while let Some((message, revision)) = pass.next().await.map_err(failed)? {
            let Ok(tenant) = Tenant::parse(self.bucket.key(&message.subject)) else { continue };
            // What was written again while it was read comes again.
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

    /// Rises with every change of any placement; another epoch if the bucket was created again.
    pub async fn revision(&self) -> Result<Position, PlacementError> {
        let info = self.bucket.stream.get_info().await;
        let info = info.map_err(|error| PlacementError::List { source: error.into() })?;
        Ok(Position { epoch: epoch_of(&info), sequence: info.state.last_sequence })
    }

    pub(crate) async fn restore_bucket(&self) -> Result<(), TopologyError> {
        self.bucket.restore().await.map(drop)
    }

    /// Writes a placement that the bucket has lost, unless something is said of the tenant by now.
    pub async fn restore(&self, tenant: &Tenant, placement: &Placement) -> Result<(), PlacementError> {
        let (None, 0) = self.read(tenant).await? else { return Ok(()) };
        let failed =
            |error: async_nats::Error| PlacementError::Write { tenant: tenant.clone(), source: error };
        let json = record::encode(placement).map_err(|error| failed(error.into()))?;
        let written = self.bucket.write(tenant.as_str(), Bytes::from(json), 0).await;
        written.map_err(|error| failed(error.into())).map(drop)
    }

    /// Changes a placement; a tenant of whom nothing was said yet is in `first`. Returns what is stored now.
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

    /// What the leader has, and the sequence that the next write must expect.
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

/// Where a tenant's envelopes are, and the stream there.
#[derive(Debug, Clone)]
pub struct Home {
    /// Where they are, and were.
    pub placement: Placement,
    /// The streams as the shard has them in which they are now.
    pub topology: Topology,
}

impl Home {
    /// What the stream holds now, as positions of the tenant are counted.
    pub async fn extent(&self) -> Result<Extent, ExtentError> {
        let extent = self.topology.extent().await?;
        Ok(Extent { epoch: self.placement.current.place.epoch(extent.epoch), ..extent })
    }
}

impl Topology {
    /// Where a tenant's envelopes are now.
    pub async fn home(&self, tenant: &Tenant) -> Result<Home, HomeError> {
        let placement = self.placements().load(tenant).await?;
        let topology = self.on(placement.current.place.shard).await?;
        Ok(Home { placement, topology })
    }
}

/// The stream with a tenant's envelopes cannot be found now.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// It is not known which one it is.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// It is not as it should be.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

/// The newest notice about a tenant in a shard's stream, and its position there, if the stream still has one.
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

/// When the notice was stored that lies at this position of a shard's stream, if it is there.
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

/// The subject of every notice in a shard.
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

/// What a notice says; `None` of what is no notice.
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

/// It cannot be said or changed where a tenant's envelopes are.
#[derive(Debug, thiserror::Error)]
pub enum PlacementError {
    /// NATS does not tell.
    #[error("cannot read now where the envelopes of tenant {tenant} are")]
    Read {
        /// The tenant.
        tenant: Tenant,
        /// What the client says.
        #[source]
        source: async_nats::Error,
    },
    /// NATS does not tell of all.
    #[error("cannot list now where tenants' envelopes are")]
    List {
        /// What the client says.
        #[source]
        source: async_nats::Error,
    },
    /// NATS does not store it, or did not say so in time; doing it again is harmless.
    #[error("cannot save now where the envelopes of tenant {tenant} are")]
    Write {
        /// The tenant.
        tenant: Tenant,
        /// What the client says.
        #[source]
        source: async_nats::Error,
    },
    /// Something else wrote there, or a newer Tidings.
    #[error(
        "what the bucket PLACEMENTS holds for tenant {tenant} cannot be read; gateways and projectors that start do not \
         serve the tenant and keep its events in REJECTED until `nats kv put PLACEMENTS {tenant}` restores the record, \
         or `nats kv del PLACEMENTS {tenant}` removes it, after which the tenant counts as never rebuilt or moved"
    )]
    Damaged {
        /// The tenant.
        tenant: Tenant,
        /// What is wrong with it.
        #[source]
        source: RecordError,
    },
    /// Others changed the same placement all the time.
    #[error("the placement of tenant {tenant} was changed by others {ATTEMPTS} times in a row; try again")]
    Contended {
        /// The tenant.
        tenant: Tenant,
    },
}
