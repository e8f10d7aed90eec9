//! Why the streams cannot be used: what differs, what is missing, and whether the error may be transient.

use std::fmt;

use async_nats::jetstream;
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind, GetStreamError};

/// A setting of a stream that differs from the expected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting, as the JetStream API names it.
    pub setting: &'static str,
    /// The value in the stream.
    pub found: String,
    /// The expected value.
    pub wanted: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} is {}, expected {}", self.setting, self.found, self.wanted)
    }
}

pub(super) type Setting<'c> = (&'static str, &'c dyn fmt::Debug, &'c dyn fmt::Debug);

pub(super) fn differences(settings: &[Setting<'_>]) -> Vec<Difference> {
    let described = settings.iter().map(|(setting, wanted, found)| Difference {
        setting,
        found: format!("{found:?}"),
        wanted: format!("{wanted:?}"),
    });
    described.filter(|difference| difference.found != difference.wanted).collect()
}

pub(super) struct Differences<'d>(pub(super) &'d [Difference]);

impl fmt::Display for Differences<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, difference) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{difference}")?;
        }
        Ok(())
    }
}

/// Why the streams cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// The server lacks a feature that Tidings relies on.
    #[error("this is nats-server {found}, and Tidings needs nats-server 2.14.0 or later; update it")]
    OldServer {
        /// The server's version.
        found: String,
    },
    /// The stream does not exist, and this process is not to create it.
    #[error("stream {stream} is missing; a projector creates it when it starts")]
    Missing {
        /// The stream.
        stream: String,
    },
    /// The account has no JetStream.
    #[error("cannot look up stream {stream}: JetStream is not enabled here; start nats-server with -js")]
    NoJetStream {
        /// The stream.
        stream: String,
        /// The error of the client.
        #[source]
        source: GetStreamError,
    },
    /// The request for the stream got no answer: NATS is unavailable, or the stream has no leader.
    #[error("cannot look up stream {stream} now; NATS does not answer, or the stream has no leader")]
    Lookup {
        /// The stream.
        stream: String,
        /// The error of the client.
        #[source]
        source: GetStreamError,
    },
    /// NATS refuses to create the stream.
    #[error("cannot create stream {stream}; if this NATS user may not create it, start the projector first")]
    Create {
        /// The stream.
        stream: String,
        /// The error of the client.
        #[source]
        source: CreateStreamError,
    },
    /// A restore has begun and is not complete.
    #[error(
        "the streams are being restored from a backup; if no `tidings restore` runs now, it was interrupted: run it again"
    )]
    Restoring,
    /// The stream exists but cannot be used.
    #[error(
        "stream {stream} exists with other settings: {}; Tidings does not alter them: change it with `nats stream edit \
         {stream}`, or remove it if nothing in it matters",
        Differences(differences)
    )]
    Different {
        /// The stream.
        stream: String,
        /// All settings that differ.
        differences: Vec<Difference>,
    },
}

impl TopologyError {
    /// Whether the error may be transient, so that no setting has to be changed: a stream was not created yet, or NATS
    /// did not answer, such as while a cluster elects a leader.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        /// "JetStream system temporarily unavailable"
        const UNAVAILABLE: u64 = 10_008;
        let is_unavailable = |error: &jetstream::Error| error.error_code().0 == UNAVAILABLE;
        match self {
            Self::Missing { .. } | Self::Lookup { .. } | Self::Restoring => true,
            Self::Create { source, .. } => match source.kind() {
                CreateStreamErrorKind::TimedOut => true,
                CreateStreamErrorKind::JetStream(error) => is_unavailable(&error),
                _ => false,
            },
            _ => false,
        }
    }
}
