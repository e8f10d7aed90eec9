//! Placements of tenants: the key-value bucket `PLACEMENTS`, tenant to JSON.
//!
//! The bucket is for commands and for processes that start: it says which shard writes a tenant's envelopes, where they
//! were before, and what is to be rebuilt. A notice in the streams, on `places.<tenant>`, is for readers: it is stored between the last
//! envelope of one place and the first of the next one, so that every gateway switches at the same envelope, however
//! late it reads. The notice is written first and the bucket second; a projector that starts brings the bucket up to
//! date.
//!
//! Guarantees: a change is merged with the stored record, so that commands and projectors never undo each other's
//! changes. An unreadable record affects only its tenant, and is never overwritten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::RawMessageError;
use bytes::Bytes;
use tidings_model::{Epoch, Placement, Position, ShardNumber, Tenant};

use crate::nats::record::{Record, RecordError, Reported};
use crate::nats::{
    Bucket, BucketNews, BucketSettings, BucketWatch, Delivered, Missing, Purpose, TopologyError, epoch_of,
    is_removal, record,
};

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

/// What is known of a tenant's record.
enum Found {
    Placement(Placement),
    Unreadable,
    Nothing,
}

impl AllPlacements {
    fn set(&mut self, tenant: Tenant, found: Found) {
        self.placements.remove(&tenant);
        self.unreadable.remove(&tenant);
        match found {
            Found::Placement(placement) => _ = self.placements.insert(tenant, placement),
            Found::Unreadable => _ = self.unreadable.insert(tenant),
            Found::Nothing => {}
        }
    }
}

/// Parses a record, and logs one that cannot be read. `None` if its key is not a tenant.
fn parse(reported: &Reported<Tenant>, key: &str, delivered: &Delivered) -> Option<(Tenant, Found)> {
    let tenant = Tenant::parse(key).ok()?;
    if is_removal(delivered.message.headers.as_ref()) {
        return Some((tenant, Found::Nothing));
    }
    let found = record::decode(&delivered.message.payload).map_or_else(
        |source| {
            if reported.is_new(&tenant, delivered.sequence) {
                let error = PlacementError::Damaged { tenant: tenant.clone(), source };
                tracing::error!(error = &error as &dyn std::error::Error, "other tenants are not affected");
            }
            Found::Unreadable
        },
        Found::Placement,
    );
    Some((tenant, found))
}

/// Reads the placements of all tenants and their changes.
pub struct PlacementWatch {
    watch: BucketWatch<(Tenant, Found)>,
    /// The epoch of the bucket.
    epoch: Epoch,
    all: AllPlacements,
}

impl PlacementWatch {
    /// Waits for a change, at first until everything is read; returns all placements, and the epoch of the bucket, which
    /// changes if the bucket was recreated. Waits until faults of NATS have passed. Cancel-safe.
    pub async fn next(&mut self) -> (Epoch, &AllPlacements) {
        match self.watch.next().await {
            BucketNews::All(epoch, found) => {
                (self.epoch, self.all) = (epoch, AllPlacements::default());
                for (tenant, found) in found {
                    self.all.set(tenant, found);
                }
            }
            BucketNews::One((tenant, found)) => self.all.set(tenant, found),
        }
        (self.epoch, &self.all)
    }

    /// All placements, as they were returned last.
    #[must_use]
    pub fn known(&self) -> &AllPlacements {
        &self.all
    }
}

impl Record for Placement {
    const VERSION: u64 = 1;
}

impl Placements {
    /// Creates the bucket if it is missing, checks it if it exists.
    pub(crate) async fn open(
        context: &Context,
        kept: BucketSettings,
        missing: Missing,
    ) -> Result<Self, TopologyError> {
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
        let mut scan = self.bucket.scan(">");
        let mut all = AllPlacements::default();
        while let Some(delivered) = scan.next().await.map_err(failed)? {
            let key = self.bucket.key(&delivered.message.subject);
            // A record that was written again during the scan is delivered again.
            if let Some((tenant, found)) = parse(&self.reported, key, &delivered) {
                all.set(tenant, found);
            }
        }
        Ok(all)
    }

    /// Watches the placements of all tenants. Nothing is read before the first [`PlacementWatch::next`].
    #[must_use]
    pub fn watch(&self) -> PlacementWatch {
        let reported = Arc::clone(&self.reported);
        let parse = move |key: &str, delivered: &Delivered| parse(&reported, key, delivered);
        let watch = BucketWatch::new(self.bucket.clone(), parse);
        PlacementWatch { watch, epoch: Epoch(0), all: AllPlacements::default() }
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
        let failed =
            |error: RawMessageError| PlacementError::Read { tenant: tenant.clone(), source: error.into() };
        let Some(message) = self.bucket.last(tenant.as_str()).await.map_err(failed)? else {
            return Ok((None, 0));
        };
        let is_there = !is_removal(Some(&message.headers));
        let damaged = |source| PlacementError::Damaged { tenant: tenant.clone(), source };
        let placement = is_there.then(|| record::decode(&message.payload).map_err(damaged)).transpose()?;
        Ok((placement, message.sequence))
    }
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
