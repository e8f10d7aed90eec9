//! Entries of the write queue.

use tidings_model::{Envelope, Place, Tenant};
use tidings_streams::{ReadEvent, WriteMarkers};
use time::OffsetDateTime;

/// An entry, which is done when all of its items are stored.
pub(crate) struct Entry {
    pub(crate) cause: Cause,
    pub(crate) trail: WriteMarkers,
}

/// Why the entry is in the queue.
#[expect(clippy::large_enum_variant, reason = "nearly all are events")]
pub(crate) enum Cause {
    /// An event, which is acknowledged after the entry is done.
    Event(ReadEvent),
    /// A held envelope; its event is done.
    Late,
    /// Envelopes of a generation that is being rebuilt.
    Rebuilt(Rebuilt),
    /// The notice that a tenant's envelopes are in another place from here on.
    Notice,
}

/// How rebuilt envelopes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rebuilt {
    pub(crate) generation: u32,
    pub(crate) kept_until: OffsetDateTime,
}

/// One publication.
#[expect(clippy::large_enum_variant, reason = "nearly all are envelopes")]
pub(crate) enum Item {
    Envelope(Envelope),
    Notice(Tenant, Place),
}

impl Item {
    pub(crate) fn envelope(&self) -> Option<&Envelope> {
        match self {
            Self::Envelope(envelope) => Some(envelope),
            Self::Notice(..) => None,
        }
    }
}
