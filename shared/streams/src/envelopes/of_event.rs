//! Lists the envelopes of one event.

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tidings_model::{EnvelopeSubject, Tenant};

use super::get::ReadEnvelopeError;
use super::stored_envelope::StoredEnvelope;
use crate::nats::{Content, Scan};
use crate::topology::Home;

/// Lists the envelopes in the tenant's current place that are of an event with this id, in order and without their bodies.
/// Reads the headers of all of the tenant's envelopes.
#[must_use]
pub fn envelopes_of_event(
    home: &Home,
    tenant: &Tenant,
    event: String,
) -> BoxStream<'static, Result<StoredEnvelope, ReadEnvelopeError>> {
    let (topology, place) = (&home.topology, home.placement.current.place);
    let stream = topology.envelopes.cached_info().config.name.clone();
    let subject = EnvelopeSubject::of(tenant, place);
    let scan = Scan::new(topology.context.clone(), &stream, subject, Content::HeadersOnly);
    stream::try_unfold((scan, event), |(mut scan, event)| async move {
        while let Some(delivered) = scan.next().await.map_err(ReadEnvelopeError::new)? {
            let (sequence, time) = (delivered.sequence, delivered.time);
            let found = StoredEnvelope::from_message(&delivered.message, sequence, time);
            if let Some(found) = found.filter(|found| found.envelope.event_id == event) {
                return Ok(Some((found, (scan, event))));
            }
        }
        Ok(None)
    })
    .boxed()
}
