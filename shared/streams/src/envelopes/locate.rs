//! Finds an envelope by its origin, in whatever generation it is now.

use tidings_model::{EnvelopeSubject, Origin};

use super::get::{ReadEnvelopeError, fetch};
use super::stored_envelope::{StoredEnvelope, origin};
use crate::nats::leader_get;
use crate::topology::Home;

/// Finds the envelope with this origin in the tenant's current place, or `None` if it is there no more. `hint` is the
/// sequence that it had when it was read. Origins ascend on each subject, so it takes a few reads at most.
pub async fn locate(
    home: &Home,
    subject: &EnvelopeSubject,
    wanted: Origin,
    hint: u64,
) -> Result<Option<StoredEnvelope>, ReadEnvelopeError> {
    let (topology, place) = (&home.topology, home.placement.current.place);
    let is_it = |found: &StoredEnvelope| {
        found.generation == place.generation
            && found.envelope.subject == *subject
            && found.envelope.origin == wanted
    };
    if let Some(found) = fetch(topology, hint).await?.filter(is_it) {
        return Ok(Some(found));
    }
    let (stream, subject) = (&topology.envelopes, subject.written_in(place));
    let last = leader_get::last(stream, &subject).await.map_err(ReadEnvelopeError::new)?;
    let Some(last) = last else { return Ok(None) };
    let (mut low, mut high) = (1, last.sequence);
    while low < high {
        let middle = low + (high - low) / 2;
        let next = leader_get::next(stream, &subject, middle).await.map_err(ReadEnvelopeError::new)?;
        // What was there a moment ago may be removed by now.
        let Some(message) = next else { return Ok(None) };
        let is_before = origin(&message.headers).is_some_and(|found| found.order() < wanted.order());
        if message.sequence < high && is_before {
            low = message.sequence.saturating_add(1);
        } else if is_before {
            low = high;
        } else {
            high = middle;
        }
    }
    let found = leader_get::next(stream, &subject, low).await.map_err(ReadEnvelopeError::new)?;
    Ok(found.and_then(|message| StoredEnvelope::from_stream(&message)).filter(is_it))
}
