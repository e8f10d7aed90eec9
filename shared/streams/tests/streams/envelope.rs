//! The envelopes of these tests, on one server and on three.

use bytes::Bytes;
use tidings_model::{Address, Attributes, Class, Envelope, EnvelopeSubject, Epoch, Origin, Position, Tenant};

/// The only envelope of the event with this number.
pub(crate) fn envelope(n: u64) -> Envelope {
    Envelope {
        subject: EnvelopeSubject {
            tenant: Tenant::parse("t").unwrap(),
            class: Class::Durable,
            address: Address::new("user", "ada").unwrap(),
            slot: "note".to_owned(),
            key: None,
        },
        event_id: format!("event-{n}"),
        event_source: None,
        origin: Origin { event: Position { epoch: Epoch(1), sequence: n }, message: 0, part: 0 },
        attributes: Attributes::new(),
        expires_at: None,
        trace_parent: None,
        body: Bytes::from(format!("{{\"n\":{n}}}")),
    }
}
