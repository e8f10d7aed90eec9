//! Why deliveries cannot be read or written now.

use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::stream::RawMessageError;

use crate::nats::TopologyError;
use crate::nats::record::RecordError;

/// The stream `DELIVERIES` cannot be read or written now.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The stream cannot be used.
    #[error(transparent)]
    Open(#[from] TopologyError),
    /// NATS does not answer.
    #[error("stream DELIVERIES cannot be read now")]
    Read(#[source] RawMessageError),
    /// NATS does not answer.
    #[error("stream DELIVERIES cannot be listed now")]
    List(#[source] async_nats::Error),
    /// NATS does not store a message, or did not confirm it in time; it is safe to repeat that.
    #[error("stream DELIVERIES does not store a message now")]
    Write(#[source] PublishError),
    /// NATS does not remove messages.
    #[error("stream DELIVERIES does not remove messages now")]
    Remove(#[source] async_nats::Error),
    /// Another dispatcher is just writing the same.
    #[error("another message about the same delivery is just being stored in stream DELIVERIES")]
    Contended,
    /// A record cannot be encoded.
    #[error("a record about a delivery cannot be encoded")]
    Encode(#[source] serde_json::Error),
    /// The record was written by something else, or by a newer Tidings.
    #[error(
        "message {sequence} of stream DELIVERIES cannot be read; `nats stream get DELIVERIES {sequence}` shows it"
    )]
    Damaged {
        /// The sequence of the message.
        sequence: u64,
        /// Why it cannot be read.
        #[source]
        source: RecordError,
    },
}
