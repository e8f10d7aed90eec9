//! The catalogs that projectors run with, kept where whoever is about to change one can compare: the bucket `CATALOGS`.
//!
//! Kept for people and tools. Nothing is decided by it: a projector runs with the catalogs that it was given.
//!
//! Under `<tenant>` is the catalog that runs, under `<tenant>.accepted` the one that clients and producers rely on. A
//! projector that somebody starts or reloads moves both. One that reloads by itself while files are edited moves the first
//! alone, so that a comparison with the second still shows what the edits break.

use std::collections::BTreeMap;

use async_nats::jetstream::context::KeyValueErrorKind;
use async_nats::jetstream::kv::{EntryError, PutError, Store};
use async_nats::jetstream::stream::Config;
use serde::{Deserialize, Serialize};
use tidings_model::Tenant;

use crate::bucket::{BucketSettings, Purpose};
use crate::record::{self, Record, RecordError};
use crate::topology::{self, Missing, Settings, Topology, TopologyError};

pub(crate) const BUCKET: &str = "CATALOGS";
/// How many catalogs of a tenant are kept, for `nats kv history`.
const HISTORY: i64 = 8;

/// A tenant's files by name, as they were read.
type Files = BTreeMap<String, String>;

/// What is stored of a tenant.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    files: Files,
}

impl Record for Recorded {
    const VERSION: u64 = 1;
}

/// Whether there is a bucket with the catalogs that run.
pub async fn are_catalogs_recorded(topology: &Topology) -> Result<bool, CatalogStoreError> {
    match topology.context.get_key_value(BUCKET).await {
        Ok(_) => Ok(true),
        // The client says the same of a bucket that is not there and of a server that does not answer.
        Err(error) if error.kind() == KeyValueErrorKind::GetBucket => {
            // So a server that does not answer is one that does not answer to this, either.
            topology.events.get_info().await.map_err(|error| CatalogStoreError::Unavailable(error.into()))?;
            Ok(false)
        }
        Err(error) => Err(CatalogStoreError::Unavailable(error.into())),
    }
}

/// Tells that these catalogs are running now.
pub async fn record_catalogs<'c>(
    topology: &Topology,
    catalogs: impl IntoIterator<Item = (&'c Tenant, &'c Files)>,
) -> Result<(), CatalogStoreError> {
    let store = create(topology).await?;
    for (tenant, files) in catalogs {
        write(&store, tenant.as_str(), files).await?;
    }
    Ok(())
}

/// Tells that clients and producers rely on these catalogs from now on; `if_first`, only those of tenants of whom that was
/// never told.
pub async fn accept_catalogs<'c>(
    topology: &Topology,
    catalogs: impl IntoIterator<Item = (&'c Tenant, &'c Files)>,
    if_first: bool,
) -> Result<(), CatalogStoreError> {
    let store = create(topology).await?;
    for (tenant, files) in catalogs {
        let key = accepted(tenant);
        if !if_first || store.get(&*key).await?.is_none() {
            write(&store, &key, files).await?;
        }
    }
    Ok(())
}

/// The catalog that a tenant's clients and producers rely on; where that was never told, the one that a projector took up
/// last.
pub async fn accepted_catalog(
    topology: &Topology,
    tenant: &Tenant,
) -> Result<Option<Files>, CatalogStoreError> {
    let Some(store) = bucket(topology).await? else { return Ok(None) };
    match read(&store, &accepted(tenant)).await? {
        Some(files) => Ok(Some(files)),
        None => read(&store, tenant.as_str()).await,
    }
}

fn accepted(tenant: &Tenant) -> String {
    format!("{tenant}.accepted")
}

async fn write(store: &Store, key: &str, files: &Files) -> Result<(), CatalogStoreError> {
    let value = record::encode(&Recorded { files: files.clone() }).map_err(CatalogStoreError::Encode)?;
    let known = store.get(key).await?;
    if known.is_none_or(|known| known != value) {
        store.put(key, value.into()).await?;
    }
    Ok(())
}

async fn read(store: &Store, key: &str) -> Result<Option<Files>, CatalogStoreError> {
    let value = store.get(key).await?;
    let damaged = |source| CatalogStoreError::Damaged { key: key.to_owned(), source };
    let recorded = value.map(|value| record::decode::<Recorded>(&value).map_err(damaged)).transpose()?;
    Ok(recorded.map(|recorded| recorded.files))
}

/// The catalog of a tenant that a projector took up last, or `None` if none ever did.
pub async fn running_catalog(
    topology: &Topology,
    tenant: &Tenant,
) -> Result<Option<Files>, CatalogStoreError> {
    let Some(store) = bucket(topology).await? else { return Ok(None) };
    read(&store, tenant.as_str()).await
}

/// The bucket, if there is one; it is checked like the others.
async fn bucket(topology: &Topology) -> Result<Option<Store>, CatalogStoreError> {
    match topology::open(&topology.context, config(topology.settings()), Missing::Awaited).await {
        Ok(_) => Ok(Some(store(topology).await?)),
        Err(TopologyError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The bucket, checked if it is there and created if it is not.
async fn create(topology: &Topology) -> Result<Store, CatalogStoreError> {
    topology::open(&topology.context, config(topology.settings()), Missing::Created).await?;
    store(topology).await
}

async fn store(topology: &Topology) -> Result<Store, CatalogStoreError> {
    let store = topology.context.get_key_value(BUCKET).await;
    store.map_err(|error| CatalogStoreError::Unavailable(error.into()))
}

/// A key-value bucket with a history, as NATS's own tools make it.
fn config(settings: &Settings) -> Config {
    let purpose = Purpose { name: BUCKET, description: "Tidings: the catalogs that projectors run with" };
    let kept = BucketSettings { replicas: settings.replicas, in_memory: settings.in_memory };
    Config { max_messages_per_subject: HISTORY, deny_delete: true, ..purpose.config(kept) }
}

/// The bucket `CATALOGS` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogStoreError {
    /// NATS does not answer.
    #[error("bucket {BUCKET} cannot be looked up now")]
    Unavailable(#[source] async_nats::Error),
    /// It cannot be looked up or created, or has settings with which it cannot serve.
    #[error(transparent)]
    Bucket(#[from] TopologyError),
    /// NATS does not read it.
    #[error("bucket {BUCKET} cannot be read now")]
    Get(#[from] EntryError),
    /// NATS does not write it.
    #[error("bucket {BUCKET} cannot be written now")]
    Put(#[from] PutError),
    /// The catalogs cannot be written as JSON.
    #[error("the catalogs cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// Something else wrote there, or a newer Tidings.
    #[error(
        "what the bucket {BUCKET} holds as {key:?} cannot be read; a projector that starts, or reloads its catalogs, \
         writes it again"
    )]
    Damaged {
        /// The key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: RecordError,
    },
}
