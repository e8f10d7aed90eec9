//! Errors of reading and writing consumers.

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use tidings_model::Tenant;

use super::{ConsumerName, MAX_DEVICES};
use crate::nats::record::RecordError;
use crate::nats::{TopologyError, is_permanent};
use crate::topology::ENVELOPES;

/// Why an operation on consumers failed.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerStoreError {
    /// NATS is slow, has no leader, is unavailable, or refuses.
    #[error("cannot {action} now")]
    Unavailable {
        /// The failed operation, as a verb and its object.
        action: String,
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
    /// Other gateways kept writing the same consumer.
    #[error("other gateways kept writing consumer {name} for {waited:?}; save it again later")]
    Contended {
        /// The consumer.
        name: ConsumerName,
        /// How long the write was attempted.
        waited: Duration,
    },
    /// The user has the maximum number of devices, and all of them are connected.
    #[error(
        "user {user:?} of tenant {tenant} has {MAX_DEVICES} devices connected, which is the most; disconnect one first"
    )]
    TooManyDevices {
        /// The tenant.
        tenant: Tenant,
        /// The user.
        user: String,
    },
    /// The server permits no more JetStream consumers on the stream.
    #[error(
        "consumer {name} cannot be created: nats-server takes no more consumers on stream {ENVELOPES} (1000, unless \
         its `jetstream {{ limits {{ default_max_consumers }} }}` says otherwise); set `consumers.store` to \"kv\", \
         which has no such limit, or raise it"
    )]
    TooManyConsumers {
        /// The consumer.
        name: ConsumerName,
    },
    /// The record is not one that this version of Tidings writes.
    #[error(
        "the record of consumer {key:?} cannot be read; `tidings consumers rm` removes it, and the device then \
         starts as one that connects for the first time"
    )]
    Damaged {
        /// The key or name in NATS.
        key: String,
        /// Why it cannot be read.
        #[source]
        source: RecordError,
    },
}

impl ConsumerStoreError {
    /// Whether JetStream always refuses the record because of its size; it may accept a smaller one.
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
    /// A bucket is missing and cannot be created, or cannot be used.
    #[error(transparent)]
    Bucket(#[from] TopologyError),
    /// The server cannot reset a consumer.
    #[error(
        "consumers.store = \"jetstream\" needs nats-server 2.14 or later, which can reset a consumer, and this one is \
         {found}; update it, or set `consumers.store` to \"kv\""
    )]
    OldServer {
        /// The server's version.
        found: String,
    },
}
