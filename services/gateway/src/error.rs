//! The errors of a gateway: why it cannot start or serve, and ([`ApiError`]) what a request is refused with.

mod api;

use tidings_model::ShardNumber;
use tidings_net::ListenError;
use tidings_streams::{ExtentError, FollowError, PlacementError, TopologyError};

pub use self::api::error_codes;
pub(crate) use self::api::{ApiCode, ApiError, unread_head};

/// Why a gateway cannot serve, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or it is not an address of this machine.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The bucket that says where tenants' envelopes are cannot be read.
    #[error("the gateway cannot find out which streams to read")]
    Placement(#[from] PlacementError),
    /// The configured store does not keep consumers of this shard.
    #[error(
        "the gateway cannot serve tenants in shard {0} with their consumers in JetStream; set `consumers.store = \"kv\"`"
    )]
    Store(ShardNumber),
    /// A stream is not as it should be.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The stream's state cannot be read.
    #[error("the gateway cannot find its place in the stream")]
    Extent(#[from] ExtentError),
    /// The stream cannot be read.
    #[error("the gateway cannot read the stream")]
    Follow(#[from] FollowError),
    /// A worker's thread cannot be started.
    #[error("cannot start a worker")]
    Worker(#[source] std::io::Error),
    /// A worker ended although it was not asked to. Its connections are lost, so the gateway stops.
    #[error("worker {index} failed")]
    WorkerFailed {
        /// The worker's number.
        index: usize,
        /// The cause.
        #[source]
        source: WorkerError,
    },
}

/// Why a worker failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Its code has a fault.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// The system does not report its sockets any more.
    #[error("it cannot poll its sockets")]
    Poll(#[source] std::io::Error),
}

/// An error and its sources, in one line.
pub(crate) fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    causes.map(ToString::to_string).fold(error.to_string(), |line, cause| {
        if line.ends_with(&cause) { line } else { format!("{line}: {cause}") }
    })
}
