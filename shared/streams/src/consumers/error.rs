//! Why a consumer could not be read or written.

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use tidings_model::Tenant;

use super::{ConsumerName, MAX_DEVICES};
use crate::publish::is_permanent;
use crate::record::RecordError;
use crate::topology::{ENVELOPES, TopologyError};

/// Why an operation on consumers failed.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerStoreError {
    /// NATS is slow, has no leader, is away, or refuses.
    #[error("cannot {action} now")]
    Unavailable {
        /// What was attempted, as a verb and its object.
        action: String,
        /// What the client says.
        #[source]
        source: async_nats::Error,
    },
    /// Other gateways wrote the same consumer all the time.
    #[error("consumer {name} was written by others for {waited:?} without a gap; save it again later")]
    Contended {
        /// The consumer.
        name: ConsumerName,
        /// How long it was tried.
        waited: Duration,
    },
    /// All places of the user are taken by devices that are connected now.
    #[error(
        "user {user:?} of tenant {tenant} has {MAX_DEVICES} devices connected, which is the most; disconnect one first"
    )]
    TooManyDevices {
        /// The application.
        tenant: Tenant,
        /// The user.
        user: String,
    },
    /// The server takes no more JetStream consumers on the stream.
    #[error(
        "consumer {name} cannot be created: nats-server takes no more consumers on stream {ENVELOPES} (1000, unless \
         its `jetstream {{ limits {{ default_max_consumers }} }}` says otherwise); set `consumers.store` to \"kv\", \
         which has no such limit, or raise it"
    )]
    TooManyConsumers {
        /// The consumer.
        name: ConsumerName,
    },
    /// What is stored is not what this version of Tidings writes.
    #[error(
        "what is stored as consumer {key:?} cannot be read; `tidings consumers rm` removes it, and the device then \
         starts as one that connects for the first time"
    )]
    Damaged {
        /// The key or name that NATS has it under.
        key: String,
        /// What is wrong with it.
        #[source]
        source: RecordError,
    },
}

impl ConsumerStoreError {
    /// Whether JetStream refuses the record for good, because of its size: another, smaller one may be taken.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        let Self::Unavailable { source, .. } = self else { return false };
        let chain =
            std::iter::successors(Some(&**source as &(dyn Error + 'static)), |error| (*error).source());
        chain.into_iter().any(|error| {
            let published = error.downcast_ref::<PublishError>().is_some_and(is_permanent);
            let answered = error.downcast_ref::<ConsumerError>().is_some_and(|error| {
                matches!(error.kind(), ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::CONSUMER_METADATA_LENGTH)
            });
            published || answered
        })
    }

    pub(super) fn unavailable(action: impl Into<String>, source: impl Into<async_nats::Error>) -> Self {
        Self::Unavailable { action: action.into(), source: source.into() }
    }
}

/// Why a store of consumers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenConsumersError {
    /// A bucket is missing and cannot be created, or cannot serve.
    #[error(transparent)]
    Bucket(#[from] TopologyError),
    /// The server cannot move a consumer.
    #[error(
        "consumers.store = \"jetstream\" needs nats-server 2.14 or later, which can reset a consumer, and this one is \
         {found}; update it, or set `consumers.store` to \"kv\""
    )]
    OldServer {
        /// The server's version.
        found: String,
    },
}
