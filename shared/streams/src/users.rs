//! Disabled users and users with revoked tokens: the key-value bucket `USERS`, `<tenant>.<user>` to JSON.
//!
//! Guarantees:
//!
//! - A change is merged with the stored record, so that administrators never undo each other's changes.
//! - Entries stay: a user who is enabled again keeps an empty record, so that watchers receive the change. There are as
//!   many entries as users who were ever disabled or revoked.
//! - An unreadable entry refuses its user, and no other: a foreign write into the bucket never lets a user in. It is
//!   never overwritten, as a newer Tidings may have written it.

mod state;
mod watch;

use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::RawMessageError;
use bytes::Bytes;

use crate::nats::record::{RecordError, Reported};
use crate::nats::{Bucket, BucketSettings, Missing, Purpose, TopologyError, is_removal, record};

pub use state::{Mark, Revocation, UserName, UserNameError, UserState};
pub use watch::{KnownState, UserNews, UserWatch};

/// How many times a change is retried after a conflict; at each conflict, another change succeeds.
const ATTEMPTS: u32 = 16;

/// The bucket `USERS`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Users {
    bucket: Bucket,
    reported: Arc<Reported<UserName>>,
}

impl Users {
    /// Creates the bucket if it is missing, checks it if it exists.
    pub async fn open(context: &Context, settings: BucketSettings) -> Result<Self, TopologyError> {
        let description = "Tidings: users who are switched off or whose tokens are revoked";
        let purpose = Purpose { name: "USERS", description };
        let bucket = Box::pin(Bucket::open(context, purpose, None, settings, Missing::Created)).await?;
        Ok(Self { bucket, reported: Arc::default() })
    }

    /// Loads the record of a user. A user without a record may connect.
    pub async fn load(&self, name: &UserName) -> Result<UserState, UsersError> {
        Ok(self.read(name).await?.0)
    }

    /// Disables a user.
    pub async fn disable(&self, name: &UserName, mark: &Mark) -> Result<UserState, UsersError> {
        self.change(name, |state| state.disabled = Some(mark.clone())).await
    }

    /// Enables a user. Revoked tokens stay revoked.
    pub async fn enable(&self, name: &UserName) -> Result<UserState, UsersError> {
        self.change(name, |state| state.disabled = None).await
    }

    /// Revokes a user's tokens, in addition to earlier revocations.
    pub async fn revoke(&self, name: &UserName, revocation: &Revocation) -> Result<UserState, UsersError> {
        self.change(name, |state| state.revoke(revocation)).await
    }

    /// Recreates the bucket if it has disappeared; [`UserNews::All`] then has another epoch.
    pub async fn check(&self) -> Result<(), TopologyError> {
        self.bucket.restore().await.map(drop)
    }

    /// Writes a record that the bucket has lost, unless the user has another record by now.
    pub async fn restore(&self, name: &UserName, state: &UserState) -> Result<(), UsersError> {
        let (_, 0) = self.read(name).await? else { return Ok(()) };
        let failed = |source| UsersError::Write { name: name.clone(), source };
        let value = record::encode(state).map_err(|error| failed(error.into()))?;
        let written = self.bucket.write(&name.to_key(), Bytes::from(value), 0).await;
        written.map_err(|error| failed(error.into())).map(drop)
    }

    /// Watches the bucket: reads all entries, then each change.
    #[must_use]
    pub fn watch(&self) -> UserWatch {
        UserWatch::new(self.bucket.clone(), Arc::clone(&self.reported))
    }

    async fn change(
        &self,
        name: &UserName,
        change: impl Fn(&mut UserState),
    ) -> Result<UserState, UsersError> {
        for _ in 0..ATTEMPTS {
            let (mut state, revision) = self.read(name).await?;
            change(&mut state);
            let failed = |source| UsersError::Write { name: name.clone(), source };
            let value = record::encode(&state).map_err(|error| failed(error.into()))?;
            let written = self.bucket.write(&name.to_key(), Bytes::from(value), revision).await;
            if written.map_err(|error| failed(error.into()))?.is_some() {
                return Ok(state);
            }
        }
        Err(UsersError::Contended { name: name.clone() })
    }

    /// Reads the record from the leader, and the sequence that the next write must expect.
    async fn read(&self, name: &UserName) -> Result<(UserState, u64), UsersError> {
        let failed = |source| UsersError::Read { name: name.clone(), source };
        let entry = self.bucket.last(&name.to_key()).await.map_err(failed)?;
        let Some(message) = entry else { return Ok(Default::default()) };
        let damaged = |source| UsersError::Damaged { name: name.clone(), key: name.to_key(), source };
        let state = parse(Some(&message.headers), &message.payload).map_err(damaged)?;
        Ok((state, message.sequence))
    }
}

fn parse(headers: Option<&HeaderMap>, json: &[u8]) -> Result<UserState, RecordError> {
    if is_removal(headers) { Ok(UserState::default()) } else { record::decode(json) }
}

/// Why the record of a user cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// NATS does not answer.
    #[error("cannot read the record of user {name} now")]
    Read {
        /// The user.
        name: UserName,
        /// The error of the client.
        #[source]
        source: RawMessageError,
    },
    /// NATS does not store the record, or did not confirm it in time; it is safe to repeat the change.
    #[error("cannot save the record of user {name} now")]
    Write {
        /// The user.
        name: UserName,
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
    /// The record was written by something else, or by a newer Tidings.
    #[error(
        "the record of user {name} in the bucket USERS cannot be read, and the user is refused; \
         `nats kv get USERS {key}` shows it, `nats kv del USERS {key}` lets the user in again"
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
    #[error("user {name} was changed by others {ATTEMPTS} times in a row; try again")]
    Contended {
        /// The user.
        name: UserName,
    },
}
