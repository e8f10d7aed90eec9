//! API keys of producers: the key-value bucket `KEYS`, `<tenant>.<id>` to JSON.
//!
//! Guarantees:
//!
//! - An entry has the hash of its key and nothing that could be used as one.
//! - A key that was revoked stays revoked: entries are never removed, and no change takes a revocation back.
//! - An unreadable entry refuses its key, and no other. It is never overwritten, as a newer Tidings may have written it.

mod report;
mod state;
mod watch;

use std::sync::Arc;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::RawMessageError;
use bytes::Bytes;
use tidings_model::Tenant;

use crate::nats::record::{RecordError, Reported};
use crate::nats::{Bucket, BucketSettings, Missing, Purpose, TopologyError, is_removal, record};
use crate::users::Mark;

pub use report::KeyReport;
pub use state::{KeyName, KeyState};
pub use watch::{KeyNews, KeyWatch, KnownKey};

/// How many times a change is retried after a conflict; at each conflict, another change succeeds.
const ATTEMPTS: u32 = 16;

/// The bucket `KEYS`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiKeys {
    bucket: Bucket,
    reported: Arc<Reported<KeyName>>,
}

impl ApiKeys {
    /// Creates the bucket if it is missing, checks it if it exists.
    pub async fn open(context: &Context, settings: BucketSettings) -> Result<Self, TopologyError> {
        let purpose = Purpose { name: "KEYS", description: "Tidings: hashes of the API keys of producers" };
        let bucket = Box::pin(Bucket::open(context, purpose, None, settings, Missing::Created)).await?;
        Ok(Self { bucket, reported: Arc::default() })
    }

    /// Stores a new key.
    pub async fn create(&self, name: &KeyName, state: &KeyState) -> Result<(), KeysError> {
        if self.write(name, state, 0).await? {
            Ok(())
        } else {
            Err(KeysError::Contended { name: name.clone() })
        }
    }

    /// Revokes a key. Returns its record, or `None` if there is no such key. A key that was revoked before keeps its mark.
    pub async fn revoke(&self, name: &KeyName, mark: &Mark) -> Result<Option<KeyState>, KeysError> {
        for _ in 0..ATTEMPTS {
            let Some((mut state, revision)) = self.read(name).await? else { return Ok(None) };
            if state.revoked.is_some() {
                return Ok(Some(state));
            }
            state.revoked = Some(mark.clone());
            if self.write(name, &state, revision).await? {
                return Ok(Some(state));
            }
        }
        Err(KeysError::Contended { name: name.clone() })
    }

    /// Writes a record that the bucket has lost, or whose revocation it has lost.
    pub async fn restore(&self, name: &KeyName, state: &KeyState) -> Result<(), KeysError> {
        match (self.read(name).await?, &state.revoked) {
            (None, _) => self.write(name, state, 0).await.map(drop),
            (Some(_), Some(mark)) => self.revoke(name, mark).await.map(drop),
            (Some(_), None) => Ok(()),
        }
    }

    /// Lists a tenant's keys; an unreadable one has no state.
    pub async fn list(&self, tenant: &Tenant) -> Result<Vec<(KeyName, KnownKey)>, KeysError> {
        let failed = |source| KeysError::List { tenant: tenant.clone(), source };
        let (mut scan, mut found) = (self.bucket.scan(&format!("{tenant}.*")), Vec::new());
        while let Some(delivered) = scan.next().await.map_err(failed)? {
            let key = self.bucket.key(&delivered.message.subject);
            found.extend(watch::entry(&self.reported, key, &delivered));
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }

    /// Recreates the bucket if it has disappeared; [`KeyNews::All`] then has another epoch.
    pub async fn check(&self) -> Result<(), TopologyError> {
        self.bucket.restore().await.map(drop)
    }

    /// Watches the bucket: reads all entries, then each change.
    #[must_use]
    pub fn watch(&self) -> KeyWatch {
        KeyWatch::new(self.bucket.clone(), Arc::clone(&self.reported))
    }

    /// Returns whether it was written, and no other came first.
    async fn write(&self, name: &KeyName, state: &KeyState, expected: u64) -> Result<bool, KeysError> {
        let failed = |source| KeysError::Write { name: name.clone(), source };
        let value = record::encode(state).map_err(|error| failed(error.into()))?;
        let written = self.bucket.write(&name.to_key(), Bytes::from(value), expected).await;
        Ok(written.map_err(|error| failed(error.into()))?.is_some())
    }

    /// Reads the record from the leader, and the sequence that the next write must expect.
    async fn read(&self, name: &KeyName) -> Result<Option<(KeyState, u64)>, KeysError> {
        let failed = |source| KeysError::Read { name: name.clone(), source };
        let entry = self.bucket.last(&name.to_key()).await.map_err(failed)?;
        let entry = entry.filter(|message| !is_removal(Some(&message.headers)));
        let Some(message) = entry else { return Ok(None) };
        let damaged = |source| KeysError::Damaged { name: name.clone(), key: name.to_key(), source };
        let state = record::decode(&message.payload).map_err(damaged)?;
        Ok(Some((state, message.sequence)))
    }
}

/// Why API keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// NATS does not answer.
    #[error("cannot read the record of API key {name} now")]
    Read {
        /// The key.
        name: KeyName,
        /// The error of the client.
        #[source]
        source: RawMessageError,
    },
    /// NATS does not answer.
    #[error("cannot list the API keys of tenant {tenant} now")]
    List {
        /// The tenant.
        tenant: Tenant,
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
    /// NATS does not store the record, or did not confirm it in time.
    #[error("cannot save the record of API key {name} now")]
    Write {
        /// The key.
        name: KeyName,
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
    /// The record was written by something else, or by a newer Tidings.
    #[error(
        "the record of API key {name} in the bucket KEYS cannot be read, and the key is refused; \
         `nats kv get KEYS {key}` shows it"
    )]
    Damaged {
        /// The key.
        name: KeyName,
        /// The key in the bucket.
        key: String,
        /// Why it cannot be read.
        #[source]
        source: RecordError,
    },
    /// Others kept changing the record.
    #[error("API key {name} was changed by others; try again")]
    Contended {
        /// The key.
        name: KeyName,
    },
}
