//! An envelope on its way into the stream, and the message that it becomes.

use async_nats::HeaderMap;
use tidings_model::{Envelope, Place, ShardNumber};
use time::OffsetDateTime;

use super::resume::WriteMarkers;
use super::stored_envelope::envelope_headers;

/// An envelope to be written.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'e> {
    /// The envelope.
    pub envelope: &'e Envelope,
    /// The generation of the tenant's envelopes.
    pub generation: u32,
    /// Markers for the next writer.
    pub trail: WriteMarkers,
    /// When the stream is to remove it, although it has not expired.
    pub kept_until: Option<OffsetDateTime>,
}

impl<'e> From<&'e Envelope> for Outgoing<'e> {
    fn from(envelope: &'e Envelope) -> Self {
        Self { envelope, generation: 0, trail: WriteMarkers::default(), kept_until: None }
    }
}

impl Outgoing<'_> {
    /// The subject and the headers of its message.
    pub(super) fn message(&self, shard: ShardNumber, now: OffsetDateTime) -> (String, HeaderMap) {
        let place = Place { shard, generation: self.generation };
        let mut headers = envelope_headers(self.envelope, self.kept_until, now);
        self.trail.write(&mut headers);
        (self.envelope.subject.written_in(place), headers)
    }
}
