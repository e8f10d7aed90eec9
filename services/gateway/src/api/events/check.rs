//! Whether the events of a request may be stored: permitted to the producer, and accepted by the projector. Pure.
//!
//! The decision is the projector's own: each event is projected with the tenant's catalog. So nothing is stored that would
//! be rejected later.

use std::collections::HashMap;

use tidings_catalog::{Catalogs, Reason, Rejection, read};
use tidings_model::{Event, EventError, RawEvent};
use tidings_streams::{Earlier, event_size};

use super::rejection::rejected;
use super::request::Submitted;
use crate::auth::PublishRights;
use crate::error::{ApiCode, ApiError};

/// An event that may be stored.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(super) raw: RawEvent,
    pub(super) event: Event,
    /// Whether its producer may send it again.
    pub(super) may_repeat: bool,
    /// The event of the same request that this one repeats.
    pub(super) repeats: Option<usize>,
    /// The sequence of the event that was stored earlier and that this one repeats.
    pub(super) stored_at: Option<u64>,
}

/// What bounds an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The longest payload that the projector accepts.
    pub(crate) max_event_bytes: usize,
    /// The longest message that NATS stores.
    pub(crate) max_stored_bytes: usize,
}

impl Checked {
    pub(crate) fn new(
        submitted: Submitted,
        rights: &PublishRights,
        catalogs: &Catalogs,
        bounds: Bounds,
    ) -> Result<Self, ApiError> {
        let Submitted { raw, is_id_new, key } = submitted;
        let refused = |rejection: Rejection| rejected(&rejection);
        let (_, name) = raw.name().map_err(|error| refused(Rejection::malformed(&error)))?;
        rights.check_event(&name)?;
        let (catalog, event) = read(catalogs, &raw, bounds.max_event_bytes).map_err(refused)?;
        rights.check_source(event.source.as_deref())?;
        if !event.has_own_id {
            return Err(refused(Rejection::malformed(&EventError::Missing("id"))));
        }
        check_key(key.as_deref(), &event)?;
        catalog.project(&event).map_err(refused)?;
        let size = event_size(&raw);
        if size > bounds.max_stored_bytes {
            let text = format!(
                "the event and its headers have {size} bytes, more than the {} that NATS stores",
                bounds.max_stored_bytes
            );
            return Err(refused(Rejection::new(Reason::TooLarge, &text)));
        }
        Ok(Self { raw, event, may_repeat: !is_id_new, repeats: None, stored_at: None })
    }

    /// Whether a repetition of the event is answered as one. An event that is to be delivered later takes the place of the
    /// one before, so each is stored.
    pub(super) fn has_receipt(&self) -> bool {
        self.may_repeat && self.event.delivery.is_none()
    }

    /// With what was stored earlier under the same identity.
    pub(super) fn after(self, earlier: Option<Earlier>) -> Result<Self, ApiError> {
        match earlier {
            Some(Earlier { sequence, is_same: true }) => Ok(Self { stored_at: Some(sequence), ..self }),
            Some(earlier) => Err(self.reused(earlier)),
            None => Ok(self),
        }
    }

    /// The refusal of the event, because an earlier one with its id has other content.
    pub(super) fn reused(&self, earlier: Earlier) -> ApiError {
        id_reused(&self.event, &format!("event {} of EVENTS", earlier.sequence))
    }
}

/// A key that differs from the event's id would promise what does not hold: that the key counts.
fn check_key(key: Option<&str>, event: &Event) -> Result<(), ApiError> {
    if key.is_none_or(|key| key == event.id) {
        return Ok(());
    }
    let text = format!("the CloudEvent counts by its own id {:?}; send no other Idempotency-Key", event.id);
    Err(ApiError::new(ApiCode::IdempotencyKey, text))
}

/// Finds events that repeat another one of the same request.
pub(crate) fn find_repetitions(events: &mut [Result<Checked, ApiError>]) {
    let mut first: HashMap<(Option<String>, String), usize> = HashMap::new();
    for index in 0..events.len() {
        let (before, rest) = events.split_at_mut(index);
        let Some(slot) = rest.first_mut() else { return };
        let Some(checked) = slot.as_mut().ok().filter(|checked| checked.event.delivery.is_none()) else {
            continue;
        };
        let identity = (checked.event.source.clone(), checked.event.id.clone());
        let found = *first.entry(identity).or_insert(index);
        let Some(Ok(earlier)) = before.get(found) else { continue };
        if earlier.event.says_the_same(&checked.event) {
            checked.repeats = Some(found);
        } else {
            *slot = Err(id_reused(&checked.event, &format!("event {found} of the batch")));
        }
    }
}

/// The refusal of an event that has the id of another one.
fn id_reused(event: &Event, other: &str) -> ApiError {
    let source = event.source.as_deref().map(|source| format!(" of source {source:?}")).unwrap_or_default();
    let text = format!(
        "the event has the id {:?}{source}, as {other} has, but other content; publish it with an id of its own",
        event.id
    );
    rejected(&Rejection::new(Reason::IdReused, &text))
}
