//! What users want to be told by which channel, and when not: the key-value bucket `PREFERENCES`, `<tenant>.<user>` to JSON.
//!
//! Guarantees:
//!
//! - A change is made to the stored record, so that an unsubscription by a link and a page of settings do not undo each other
//!   ([`PreferenceStore::change`]).
//! - A dispatcher reads from the stream's leader, so what was confirmed to a user counts from then on.
//! - An unreadable entry is never taken for a user who has set nothing, and never overwritten, as a newer Tidings may have written
//!   it.
//!
//! A record lies in no other place. If NATS comes back with an older state, users have what they had set then.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::RawMessageError;
use bytes::Bytes;
use tidings_preferences::Preferences;

use crate::nats::record::{Record, RecordError};
use crate::nats::{Bucket, BucketSettings, Missing, Purpose, TopologyError, is_removal, record};
use crate::users::UserName;

/// How many times a change is retried after a conflict; at each conflict, another change succeeds.
const ATTEMPTS: u32 = 16;

/// The bucket `PREFERENCES`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PreferenceStore {
    bucket: Bucket,
}

impl Record for Preferences {
    const VERSION: u64 = 1;
}

impl PreferenceStore {
    /// Creates the bucket if it is missing, checks it if it exists.
    pub async fn open(context: &Context, settings: BucketSettings) -> Result<Self, TopologyError> {
        Self::open_or(context, settings, Missing::Created).await
    }

    /// Opens the bucket; `None` if no gateway and no dispatcher has made it.
    pub async fn find(context: &Context, settings: BucketSettings) -> Result<Option<Self>, TopologyError> {
        match Self::open_or(context, settings, Missing::Awaited).await {
            Err(TopologyError::Missing { .. }) => Ok(None),
            opened => opened.map(Some),
        }
    }

    async fn open_or(
        context: &Context,
        settings: BucketSettings,
        missing: Missing,
    ) -> Result<Self, TopologyError> {
        let purpose =
            Purpose { name: "PREFERENCES", description: "Tidings: what users want to be told, and when" };
        Ok(Self { bucket: Box::pin(Bucket::open(context, purpose, None, settings, missing)).await? })
    }

    /// Recreates the bucket if it has disappeared.
    pub async fn check(&self) -> Result<(), TopologyError> {
        self.bucket.restore().await.map(drop)
    }

    /// Loads what a user has set.
    pub async fn load(&self, name: &UserName) -> Result<Preferences, PreferencesError> {
        Ok(self.read(name).await?.0)
    }

    /// Changes what a user has set, and returns it as it is then.
    pub async fn change(
        &self,
        name: &UserName,
        change: impl Fn(&mut Preferences),
    ) -> Result<Preferences, PreferencesError> {
        for _ in 0..ATTEMPTS {
            let (before, revision) = self.read(name).await?;
            let mut preferences = before.clone();
            change(&mut preferences);
            if preferences == before {
                return Ok(preferences);
            }
            let failed = |source| PreferencesError::Write { name: name.clone(), source };
            let value = record::encode(&preferences).map_err(|error| failed(error.into()))?;
            let written = self.bucket.write(&name.to_key(), Bytes::from(value), revision).await;
            if written.map_err(|error| failed(error.into()))?.is_some() {
                return Ok(preferences);
            }
        }
        Err(PreferencesError::Contended { name: name.clone() })
    }

    /// Removes what a user has set, without a trace; returns whether there was something.
    pub async fn purge_user(&self, name: &UserName) -> Result<bool, PreferencesError> {
        let purged = self.bucket.stream.purge().filter(self.bucket.subject(&name.to_key())).await;
        let failed = |source| PreferencesError::Remove { name: name.clone(), source };
        Ok(purged.map_err(|error| failed(error.into()))?.purged > 0)
    }

    /// Reads the record from the leader, and the sequence that the next write must expect.
    async fn read(&self, name: &UserName) -> Result<(Preferences, u64), PreferencesError> {
        let failed = |source| PreferencesError::Read { name: name.clone(), source };
        let entry = self.bucket.newest(&name.to_key()).await.map_err(failed)?;
        let Some(message) = entry else { return Ok(Default::default()) };
        if is_removal(Some(&message.headers)) {
            return Ok((Preferences::default(), message.sequence));
        }
        let damaged = |source| PreferencesError::Damaged { name: name.clone(), key: name.to_key(), source };
        Ok((record::decode(&message.payload).map_err(damaged)?, message.sequence))
    }
}

/// Why preferences cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum PreferencesError {
    /// NATS does not answer.
    #[error("cannot read the preferences of user {name} now")]
    Read {
        /// The user.
        name: UserName,
        /// The error of the client.
        #[source]
        source: RawMessageError,
    },
    /// NATS does not store the record, or did not confirm it in time; it is safe to repeat the change.
    #[error("cannot save the preferences of user {name} now")]
    Write {
        /// The user.
        name: UserName,
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
    /// NATS does not remove the record, or did not confirm it in time; it is safe to repeat that.
    #[error("cannot remove the preferences of user {name} now")]
    Remove {
        /// The user.
        name: UserName,
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
    /// The record was written by something else, or by a newer Tidings.
    #[error(
        "the preferences of user {name} in the bucket PREFERENCES cannot be read, and the user receives by channels only \
         what is critical; `nats kv get PREFERENCES {key}` shows them, `nats kv del PREFERENCES {key}` forgets them"
    )]
    Damaged {
        /// The user.
        name: UserName,
        /// The key in the bucket.
        key: String,
        /// Why it cannot be read.
        #[source]
        source: RecordError,
    },
    /// Others kept changing the record of the user.
    #[error("the preferences of user {name} were changed by others {ATTEMPTS} times in a row; try again")]
    Contended {
        /// The user.
        name: UserName,
    },
}
