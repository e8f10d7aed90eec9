//! Why a backup or a restore cannot go on.

use std::fmt;

use async_nats::jetstream;

use crate::nats::TopologyError;
use crate::placements::PlacementError;

/// Why a backup or a restore cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The server's snapshots are of another kind.
    #[error("this is nats-server {found}, and backups need nats-server 2.15.0 or later; update it")]
    OldServer {
        /// The server's version.
        found: String,
    },
    /// A request got no answer.
    #[error("cannot {what} stream {stream}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// The stream.
        stream: String,
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
    /// A stream was not sent or taken to its end.
    #[error("stream {stream} was not {what} to its end: {reason}")]
    Interrupted {
        /// What was tried.
        what: &'static str,
        /// The stream.
        stream: String,
        /// Why.
        reason: String,
    },
    /// The stream was recreated meanwhile.
    #[error("stream {stream} was recreated while it was saved; run the backup again")]
    Recreated {
        /// The stream.
        stream: String,
    },
    /// No event has the id.
    #[error("no event of the backup has the id {id:?}")]
    NoEvent {
        /// The id.
        id: String,
    },
    /// The id is of several events.
    #[error("{count} events of different tenants or sources have the id {id:?}; give a time instead")]
    AmbiguousEvent {
        /// The id.
        id: String,
        /// How many events.
        count: usize,
    },
    /// There is something already.
    #[error(
        "this NATS is not empty: it has the streams {streams}; restore into an empty one, or remove them first if nothing in \
         them matters"
    )]
    NotEmpty {
        /// The streams that are there.
        streams: String,
    },
    /// The streams cannot be used.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The placements cannot be used.
    #[error(transparent)]
    Placement(#[from] PlacementError),
}

impl BackupError {
    pub(super) fn failed(what: &'static str, stream: &str, source: impl Into<async_nats::Error>) -> Self {
        Self::Failed { what, stream: stream.to_owned(), source: source.into() }
    }

    pub(super) fn refused(what: &'static str, stream: &str, error: jetstream::Error) -> Self {
        Self::failed(what, stream, error)
    }

    pub(super) fn interrupted(what: &'static str, stream: &str, reason: impl fmt::Display) -> Self {
        Self::Interrupted { what, stream: stream.to_owned(), reason: reason.to_string() }
    }
}
