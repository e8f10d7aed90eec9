//! Users who are switched off, or whose tokens are revoked: the key-value bucket `USERS`,
//! `<tenant>.<user>` to JSON.
//!
//! What is promised:
//!
//! - A change is merged with what is stored, so that administrators never undo each other's.
//! - Entries stay: one that says nothing is left of a user who was let in again, so that whoever
//!   watches hears of it. There are as many as users who were ever switched off or revoked.
//! - An entry that cannot be read counts as a user who is switched off: nobody comes in because
//!   something else wrote into the bucket.

mod state;
mod watch;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::RawMessageError;
use async_nats::jetstream::{self, context::PublishError};
use bytes::Bytes;

use crate::at_leader;
use crate::bucket::{Bucket, BucketSettings, is_removal};
use crate::topology::TopologyError;

pub use state::{Mark, Revocation, UserName, UserNameError, UserState};
pub use watch::{UserNews, UserWatch};

/// How often a change is tried again because another one came first; each time, one is through.
const ATTEMPTS: u32 = 16;

/// The bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Users {
    bucket: Bucket,
}

impl Users {
    /// Creates the bucket if it is missing and checks it if it is there.
    pub async fn open(client: &async_nats::Client, settings: BucketSettings) -> Result<Self, TopologyError> {
        let context = jetstream::new(client.clone());
        let description = "Tidings: users who are switched off or whose tokens are revoked";
        let bucket = Box::pin(Bucket::open(&context, "USERS", description, None, settings)).await?;
        Ok(Self { bucket })
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

    /// Reads all entries and then what changes.
    #[must_use]
    pub fn watch(&self) -> UserWatch {
        UserWatch::new(self.bucket.clone())
    }

    async fn change(
        &self,
        name: &UserName,
        change: impl Fn(&mut UserState),
    ) -> Result<UserState, UsersError> {
        for _ in 0..ATTEMPTS {
            let (mut state, revision) = self.read(name).await?;
            change(&mut state);
            let value = Bytes::from(state.to_json());
            let written = self.bucket.write(&name.to_key(), value, revision).await;
            let failed = |source| UsersError::Write { name: name.clone(), source };
            if written.map_err(failed)?.is_some() {
                return Ok(state);
            }
        }
        Err(UsersError::Contended { name: name.clone() })
    }

    /// What the leader has, and the sequence that the next write must expect.
    async fn read(&self, name: &UserName) -> Result<(UserState, u64), UsersError> {
        let subject = self.bucket.subject(&name.to_key());
        let failed = |source| UsersError::Read { name: name.clone(), source };
        let entry = at_leader::last(&self.bucket.stream, &subject).await.map_err(failed)?;
        Ok(entry.map_or_else(Default::default, |message| {
            (parse(name, Some(&message.headers), &message.payload), message.sequence)
        }))
    }
}

fn parse(name: &UserName, headers: Option<&HeaderMap>, json: &[u8]) -> UserState {
    if is_removal(headers) {
        return UserState::default();
    }
    UserState::from_json(json).unwrap_or_else(|error| {
        tracing::error!(user = %name, %error, "an entry of the bucket USERS cannot be read; the user stays out");
        UserState::unreadable()
    })
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
        source: PublishError,
    },
    /// Others changed the same user all the time.
    #[error("user {name} was changed by others {ATTEMPTS} times in a row; try again")]
    Contended {
        /// The user.
        name: UserName,
    },
}
