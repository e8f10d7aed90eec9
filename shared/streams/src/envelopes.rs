//! `ENVELOPES`: writing it in order or not at all, following it, and reading it again.
//!
//! Besides envelopes the stream has notices: of purges, and of tenants' places.

mod batch;
mod follower;
mod get;
mod locate;
pub(crate) mod notice;
mod of_event;
mod ordered_copy;
mod outgoing;
mod place_notice;
mod purge;
mod resume;
mod stored_envelope;
mod timing;
mod translate_position;
mod write_error;
mod writer;

pub use self::follower::{EnvelopeFollower, FollowError, Followed};
pub use self::get::{ReadEnvelopeError, fetch, is_at_end, newest};
pub use self::locate::locate;
pub use self::of_event::envelopes_of_event;
pub use self::ordered_copy::{Copy, CopyError, EnvelopeCopies};
pub use self::outgoing::Outgoing;
pub use self::place_notice::{last_notice, placed_at};
pub(crate) use self::purge::purged;
pub use self::purge::{
    DiscardError, PurgeAddressError, Purged, all_purges, discard_address, discard_generation, purge_address,
};
pub use self::resume::{Resume, WriteMarkers};
pub use self::stored_envelope::StoredEnvelope;
pub(crate) use self::stored_envelope::origin;
pub use self::translate_position::{TranslateError, Translated, translate_position};
pub use self::write_error::WriteError;
pub use self::writer::EnvelopeWriter;
