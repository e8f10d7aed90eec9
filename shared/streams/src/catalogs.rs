//! Stores the catalogs with which projectors run in the bucket `CATALOGS`, so that a new catalog can be compared with
//! them.
//!
//! The bucket is for people and tools. No decision depends on it: a projector runs with the catalogs of its
//! configuration.
//!
//! The key `<tenant>` has the running catalog, the key `<tenant>.accepted` the one that clients and producers rely on.
//! A projector that is started or reloaded by an operator writes both. One that reloads by itself while files are
//! edited writes only the first, so that a comparison with the second still shows what the edits break.

mod tenants;

use std::collections::BTreeMap;

use async_nats::jetstream::kv::{EntryError, PutError, Store};
use async_nats::jetstream::stream::Config;
use serde::{Deserialize, Serialize};
use tidings_model::Tenant;

use crate::nats::ensure;
use crate::nats::record::{Record, RecordError};
use crate::nats::{Missing, Purpose, TopologyError, record};
use crate::topology::{Settings, Topology};

pub use self::tenants::{RecordedTenantsError, recorded_tenants};

const BUCKET: &str = "CATALOGS";
/// How many catalogs of a tenant are kept, for `nats kv history`.
const HISTORY: i64 = 8;

/// A tenant's files by name, as read.
type Files = BTreeMap<String, String>;

/// The record of a tenant.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    files: Files,
}

impl Record for Recorded {
    const VERSION: u64 = 1;
}

/// Whether the bucket with the running catalogs exists. A bucket whose stream has no leader now is not taken for one that
/// is gone.
pub async fn are_catalogs_recorded(topology: &Topology) -> Result<bool, CatalogStoreError> {
    match topology.context.get_stream(format!("KV_{BUCKET}")).await {
        Ok(_) => Ok(true),
        Err(error) if ensure::is_not_found(&error) => Ok(false),
        Err(error) => Err(CatalogStoreError::Unavailable(error.into())),
    }
}

/// Records these catalogs as running.
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

/// Records these catalogs as accepted by clients and producers; with `if_first` only for tenants without an accepted
/// one.
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

/// The accepted catalog of a tenant; if there is none, the running one.
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

/// The running catalog of a tenant, or `None` if no projector has ever recorded one.
pub async fn running_catalog(
    topology: &Topology,
    tenant: &Tenant,
) -> Result<Option<Files>, CatalogStoreError> {
    let Some(store) = bucket(topology).await? else { return Ok(None) };
    read(&store, tenant.as_str()).await
}

/// Opens and checks the bucket, if it exists.
async fn bucket(topology: &Topology) -> Result<Option<Store>, CatalogStoreError> {
    match ensure::open(&topology.context, config(topology.settings()), Missing::Awaited).await {
        Ok(_) => Ok(Some(store(topology).await?)),
        Err(TopologyError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Creates the bucket if it is missing, checks it if it exists.
async fn create(topology: &Topology) -> Result<Store, CatalogStoreError> {
    ensure::open(&topology.context, config(topology.settings()), Missing::Created).await?;
    store(topology).await
}

async fn store(topology: &Topology) -> Result<Store, CatalogStoreError> {
    let store = topology.context.get_key_value(BUCKET).await;
    store.map_err(|error| CatalogStoreError::Unavailable(error.into()))
}

/// A key-value bucket with a history, as NATS's own tools create it.
pub(crate) fn config(settings: &Settings) -> Config {
    let purpose = Purpose { name: BUCKET, description: "Tidings: the catalogs that projectors run with" };
    Config { max_messages_per_subject: HISTORY, deny_delete: true, ..purpose.config(settings.bucket()) }
}

/// The bucket `CATALOGS` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogStoreError {
    /// NATS does not answer.
    #[error("bucket {BUCKET} cannot be looked up now")]
    Unavailable(#[source] async_nats::Error),
    /// The bucket cannot be looked up or created, or has settings with which it cannot be used.
    #[error(transparent)]
    Bucket(#[from] TopologyError),
    /// The bucket cannot be read.
    #[error("bucket {BUCKET} cannot be read now")]
    Get(#[from] EntryError),
    /// The bucket cannot be written.
    #[error("bucket {BUCKET} cannot be written now")]
    Put(#[from] PutError),
    /// The catalogs cannot be encoded as JSON.
    #[error("the catalogs cannot be encoded as JSON")]
    Encode(#[source] serde_json::Error),
    /// The record was written by something else, or by a newer Tidings.
    #[error(
        "the record {key:?} in the bucket {BUCKET} cannot be read; a projector that starts, or reloads its catalogs, \
         writes it again"
    )]
    Damaged {
        /// The key.
        key: String,
        /// Why it cannot be read.
        #[source]
        source: RecordError,
    },
}
