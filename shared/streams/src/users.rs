//! Users who are switched off, or whose tokens are revoked: the key-value bucket `USERS`,
//! `<tenant>.<user>` to JSON.
//!
//! What is promised:
//!
//! - A change is merged with what is stored, so that administrators never undo each other's.
//! - Entries stay: one that says nothing is left of a user who was let in again, so that whoever
//!   watches hears of it. There are as many as users who were ever switched off or revoked.
//! - An entry that cannot be read keeps its user out, and nobody else: nobody comes in because something else wrote into
//!   the bucket. It is never overwritten, as it may be what a newer Tidings wrote.

mod state;
mod watch;

use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::RawMessageError;
use bytes::Bytes;

use crate::bucket::{Bucket, BucketSettings, Purpose, is_removal};
use crate::leader_get;
use crate::record::{self, RecordError, Reported};
use crate::topology::{Missing, TopologyError};

pub use state::{Mark, Revocation, UserName, UserNameError, UserState};
pub use watch::{KnownState, UserNews, UserWatch};

/// How often a change is tried again because another one came first; each time, one is through.
const ATTEMPTS: u32 = 16;

/// The bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Users {
    bucket: Bucket,
    reported: Arc<Reported<UserName>>,
}

impl Users {
    /// Creates the bucket if it is missing and checks it if it is there.
    pub async fn open(context: &Context, settings: BucketSettings) -> Result<Self, TopologyError> {
        let description = "Tidings: users who are switched off or whose tokens are revoked";
        let purpose = Purpose { name: "USERS", description };
        let bucket = Box::pin(Bucket::open(context, purpose, None, settings, Missing::Created)).await?;
        Ok(Self { bucket, reported: Arc::default() })
    }

    /// How it stands with a user. Users of whom nothing was ever said may come in.
    pub async fn load(&self, name: &UserName) -> Result<UserState, UsersError> {
        Ok(self.read(name).await?.0)
    }

    /// Switches a user off.
    pub async fn disable(&self, name: &UserName, mark: &Mark) -> Result<UserState, UsersError> {
        self.change(name, |state| state.disabled = Some(mark.clone())).await
    }

    /// Lets a user in again. Tokens that were revoked stay so.
    pub async fn enable(&self, name: &UserName) -> Result<UserState, UsersError> {
        self.change(name, |state| state.disabled = None).await
    }

    /// Revokes a user's tokens; what was revoked before stays so.
    pub async fn revoke(&self, name: &UserName, revocation: &Revocation) -> Result<UserState, UsersError> {
        self.change(name, |state| state.revoke(revocation)).await
    }

    /// Creates the bucket again if it is gone; [`UserNews::All`] then says that it is another one.
    pub async fn check(&self) -> Result<(), TopologyError> {
        self.bucket.restore().await.map(drop)
    }

    /// Writes what the bucket has lost of a user, unless something is said of the user by now.
    pub async fn restore(&self, name: &UserName, state: &UserState) -> Result<(), UsersError> {
        let (_, 0) = self.read(name).await? else { return Ok(()) };
        let failed = |source| UsersError::Write { name: name.clone(), source };
        let value = record::encode(state).map_err(|error| failed(error.into()))?;
        let written = self.bucket.write(&name.to_key(), Bytes::from(value), 0).await;
        written.map_err(|error| failed(error.into())).map(drop)
    }

    /// Reads all entries and then what changes.
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

    /// What the leader has, and the sequence that the next write must expect.
    async fn read(&self, name: &UserName) -> Result<(UserState, u64), UsersError> {
        let subject = self.bucket.subject(&name.to_key());
        let failed = |source| UsersError::Read { name: name.clone(), source };
        let entry = leader_get::last(&self.bucket.stream, &subject).await.map_err(failed)?;
        let Some(message) = entry else { return Ok(Default::default()) };
        let damaged = |source| UsersError::Damaged { name: name.clone(), key: name.to_key(), source };
        let state = parse(Some(&message.headers), &message.payload).map_err(damaged)?;
        Ok((state, message.sequence))
    }
}

fn parse(headers: Option<&HeaderMap>, json: &[u8]) -> Result<UserState, RecordError> {
    if is_removal(headers) { Ok(UserState::default()) } else { record::decode(json) }
}

/// Why it cannot be said or changed how it stands with a user.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// NATS does not tell.
    #[error("cannot read what is said of user {name} now")]
    Read {
        /// The user.
        name: UserName,
        /// What the client says.
        #[source]
        source: RawMessageError,
    },
    /// NATS does not store it, or did not say so in time; doing it again is harmless.
    #[error("cannot save what is said of user {name} now")]
    Write {
        /// The user.
        name: UserName,
        /// What the client says.
        #[source]
        source: async_nats::Error,
    },
    /// Something else wrote there, or a newer Tidings.
    #[error(
        "what the bucket USERS holds for user {name} cannot be read, and the user is kept out; \
         `nats kv get USERS {key}` shows it, `nats kv del USERS {key}` lets the user in again"
    )]
    Damaged {
        /// The user.
        name: UserName,
        /// The key in the bucket.
        key: String,
        /// What is wrong with it.
        #[source]
        source: RecordError,
    },
    /// Others changed the same user all the time.
    #[error("user {name} was changed by others {ATTEMPTS} times in a row; try again")]
    Contended {
        /// The user.
        name: UserName,
    },
}
