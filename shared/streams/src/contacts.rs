//! Where users are reached who are not connected: the key-value bucket `CONTACTS`, `<tenant>.<user>` to a sealed text.
//!
//! This room keeps sealed texts and can read none: which key opens one, and what is in it, is known above. Guarantees:
//!
//! - A record is replaced only by a writer that has read it, so that nobody undoes the change of another.
//! - A purge leaves nothing of a user, no removal marker either.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::RawMessageError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidings_model::Tenant;

use crate::nats::record::{Record, RecordError};
use crate::nats::{Bucket, BucketSettings, Missing, Purpose, TopologyError, is_removal, record};
use crate::topology::Topology;
use crate::users::UserName;

/// The bucket `CONTACTS`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SealedContacts {
    bucket: Bucket,
}

/// A sealed text, and the name of the key that opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The name of the key.
    pub key: String,
    /// The sealed text.
    pub sealed: String,
}

impl Record for Sealed {
    const VERSION: u64 = 1;
}

/// Removes what is kept of a user, and returns the number of records.
pub async fn purge_user(topology: &Topology, name: &UserName) -> Result<u64, SealedContactsError> {
    let opened = SealedContacts::open_or(topology.context(), topology.settings().bucket(), Missing::Awaited);
    match opened.await {
        Err(TopologyError::Missing { .. }) => Ok(0),
        opened => opened?.purge(name).await,
    }
}

impl SealedContacts {
    /// Creates the bucket if it is missing, checks it if it exists.
    pub async fn open(context: &Context, settings: BucketSettings) -> Result<Self, TopologyError> {
        Self::open_or(context, settings, Missing::Created).await
    }

    async fn open_or(
        context: &Context,
        settings: BucketSettings,
        missing: Missing,
    ) -> Result<Self, TopologyError> {
        let description = "Tidings: where users are reached who are not connected, encrypted";
        let purpose = Purpose { name: "CONTACTS", description };
        Ok(Self { bucket: Box::pin(Bucket::open(context, purpose, None, settings, missing)).await? })
    }

    /// Recreates the bucket if it has disappeared.
    pub async fn check(&self) -> Result<(), TopologyError> {
        self.bucket.restore().await.map(drop)
    }

    /// Reads a user's record from the leader, and the sequence that the next write must expect: 0 if there is none.
    pub async fn read(&self, name: &UserName) -> Result<(Option<Sealed>, u64), SealedContactsError> {
        let found = self.bucket.last(&name.to_key()).await.map_err(SealedContactsError::Read)?;
        let Some(message) = found else { return Ok((None, 0)) };
        if is_removal(Some(&message.headers)) {
            return Ok((None, message.sequence));
        }
        let damaged = |source| SealedContactsError::Damaged { key: name.to_key(), source };
        let sealed = record::decode(&message.payload).map_err(damaged)?;
        Ok((Some(sealed), message.sequence))
    }

    /// Writes a user's record if the last one has the sequence `expected`. Returns whether it was written.
    pub async fn write(
        &self,
        name: &UserName,
        sealed: &Sealed,
        expected: u64,
    ) -> Result<bool, SealedContactsError> {
        let value = record::encode(sealed).map_err(|error| SealedContactsError::Write(error.into()))?;
        let written = self.bucket.write(&name.to_key(), Bytes::from(value), expected).await;
        Ok(written.map_err(|error| SealedContactsError::Write(error.into()))?.is_some())
    }

    /// Removes a user's record, and returns how many there were.
    pub async fn purge(&self, name: &UserName) -> Result<u64, SealedContactsError> {
        let purged = self.bucket.stream.purge().filter(self.bucket.subject(&name.to_key())).await;
        Ok(purged.map_err(|error| SealedContactsError::Remove(error.into()))?.purged)
    }

    /// The users of a tenant of whom there is a record. One whose name cannot be read is left out.
    pub async fn users(&self, tenant: &Tenant) -> Result<Vec<UserName>, SealedContactsError> {
        let (mut scan, mut found) = (self.bucket.scan(&format!("{tenant}.*")), Vec::new());
        while let Some(delivered) = scan.next().await.map_err(SealedContactsError::List)? {
            let message = &delivered.message;
            if !is_removal(message.headers.as_ref()) {
                found.extend(UserName::from_key(self.bucket.key(&message.subject)));
            }
        }
        Ok(found)
    }
}

/// Why a record in the bucket `CONTACTS` cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SealedContactsError {
    /// The bucket is not as required.
    #[error("the bucket CONTACTS cannot be used")]
    Bucket(#[from] TopologyError),
    /// NATS does not answer.
    #[error("cannot read a user's contacts now")]
    Read(#[source] RawMessageError),
    /// NATS does not answer.
    #[error("cannot list whose contacts there are now")]
    List(#[source] async_nats::Error),
    /// NATS does not store the record, or did not confirm it in time; it is safe to repeat the change.
    #[error("cannot save a user's contacts now")]
    Write(#[source] async_nats::Error),
    /// NATS does not remove the record, or did not confirm it in time; it is safe to repeat it.
    #[error("cannot remove a user's contacts now")]
    Remove(#[source] async_nats::Error),
    /// The record was written by something else, or by a newer Tidings.
    #[error("the entry {key} of the bucket CONTACTS cannot be read; `nats kv get CONTACTS {key}` shows it")]
    Damaged {
        /// The key in the bucket.
        key: String,
        /// Why it cannot be read.
        #[source]
        source: RecordError,
    },
}
