//! Projects a stored event into envelopes. Pure.

use tidings_model::{Envelope, Event, RawEvent};

use crate::catalog::{Catalog, Catalogs};
use crate::rejection::{Reason, Rejection};

/// Projects an event by its tenant's catalog.
///
/// The same event and catalog always yield the same envelopes in the same order. So the projector accepts every client
/// publication that a gateway has accepted.
pub fn project(
    catalogs: &Catalogs,
    event: &RawEvent,
    max_event_bytes: usize,
) -> Result<Vec<Envelope>, Rejection> {
    let (catalog, event) = read(catalogs, event, max_event_bytes)?;
    catalog.project(&event)
}

/// Returns the parsed event and its tenant's catalog: the first half of [`project`].
pub fn read<'c>(
    catalogs: &'c Catalogs,
    event: &RawEvent,
    max_event_bytes: usize,
) -> Result<(&'c Catalog, Event), Rejection> {
    if let Some(text) = event.unmapped() {
        return Err(Rejection::new(Reason::Unmapped, text));
    }
    let (tenant, _) = event.name().map_err(|error| Rejection::malformed(&error))?;
    let catalog = catalogs.get(&tenant).ok_or_else(|| unknown_tenant(catalogs, event))?;
    if event.payload.len() > max_event_bytes {
        let text = format!("the event has {} bytes, more than {max_event_bytes}", event.payload.len());
        return Err(Rejection::new(Reason::TooLarge, &text));
    }
    let event = event.read().map_err(|error| Rejection::malformed(&error))?;
    Ok((catalog, event))
}

fn unknown_tenant(catalogs: &Catalogs, event: &RawEvent) -> Rejection {
    let served: Vec<_> = catalogs.keys().map(ToString::to_string).collect();
    let text =
        format!("no catalog serves the tenant in {:?}; served are {}", event.subject, served.join(", "));
    Rejection::new(Reason::UnknownTenant, &text)
}
