//! Why a projector cannot start, or cannot continue right now.

use tidings_streams::{ExtentError, PlacementError, QueryError, ReaderError, TopologyError, WriteError};

use crate::dedup::RecallError;

/// The smallest maximum size of a NATS message with which a projector starts.
const LEAST_MAX_PAYLOAD: usize = 256 * 1024;

/// Why the projector cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The largest message does not fit.
    #[error(
        "NATS takes messages of {0} bytes; Tidings needs at least {LEAST_MAX_PAYLOAD}: raise `max_payload` in its \
         configuration, or `max_msg_size` of stream ENVELOPES"
    )]
    MaxPayload(usize),
    /// The shard's stream is not as required.
    #[error("the projector cannot use its shard's stream")]
    Topology(#[from] TopologyError),
    /// The tenants of this shard cannot be determined.
    #[error("the projector cannot determine the tenants of its shard")]
    Placement(#[from] PlacementError),
    /// The durable consumer cannot be opened.
    #[error("the projector cannot read events")]
    Reader(#[from] ReaderError),
    /// The state of `ENVELOPES` cannot be read.
    #[error("the projector cannot read the state of stream ENVELOPES")]
    Extent(#[from] ExtentError),
    /// The held envelopes cannot be found.
    #[error("the projector cannot find the held envelopes")]
    Past(#[from] QueryError),
    /// Repeated events cannot be determined.
    #[error("the projector cannot determine which events are repetitions")]
    Recall(#[from] RecallError),
    /// The end of `ENVELOPES` cannot be read.
    #[error("the projector cannot start writing")]
    Writer(#[from] WriteError),
}

impl ProjectorError {
    /// Fails if the largest message, with its headers, does not fit into one NATS message of this size.
    pub(crate) fn check_max_payload(max_payload: usize) -> Result<(), Self> {
        if max_payload < LEAST_MAX_PAYLOAD { Err(Self::MaxPayload(max_payload)) } else { Ok(()) }
    }

    /// Whether the error may pass by itself.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::MaxPayload(_) => false,
            Self::Topology(error) => error.may_pass() || matches!(error, TopologyError::Create { .. }),
            Self::Reader(error) => error.may_pass(),
            _ => true,
        }
    }
}
