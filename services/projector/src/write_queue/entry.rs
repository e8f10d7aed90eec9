//! What stands in line to be written.

use tidings_model::{Envelope, Place, Tenant};
use tidings_streams::{ReadEvent, WriteMarkers};
use time::OffsetDateTime;

/// Something that is done when all of its items are stored.
pub(crate) struct Entry {
    pub(crate) cause: Cause,
    pub(crate) trail: WriteMarkers,
}

/// Why it stands in line.
#[expect(clippy::large_enum_variant, reason = "nearly all are events")]
pub(crate) enum Cause {
    /// An event, which is acknowledged after it.
    Event(ReadEvent),
    /// What was held back; its event is done.
    Late,
    /// Envelopes of a generation that is being made.
    Rebuilt(Rebuilt),
    /// A tenant's envelopes are in another place from here on.
    Notice,
}

/// How envelopes that are made anew are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rebuilt {
    pub(crate) generation: u32,
    pub(crate) kept_until: OffsetDateTime,
    pub(crate) attempt: u64,
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
