//! An envelope for the tests of the worker's parts.

use std::sync::Arc;

use bytes::Bytes;
use tidings_model::{Address, Attributes, Class, Envelope, EnvelopeSubject, Epoch, Origin, Position, Tenant};
use tidings_replica::FramedEnvelope;
use tidings_streams::StoredEnvelope;
use time::OffsetDateTime;

/// An envelope of the tenant `ops`: this part of a message of its own event.
pub(super) fn envelope((sequence, part): (u64, u32), address: &Address, body: &str) -> Arc<FramedEnvelope> {
    let envelope = Envelope {
        subject: EnvelopeSubject {
            tenant: Tenant::parse("ops").unwrap(),
            class: Class::Durable,
            address: address.clone(),
            slot: "x".to_owned(),
            key: None,
        },
        event_id: "e".to_owned(),
        event_source: None,
        origin: Origin { event: Position { epoch: Epoch(1), sequence }, message: 0, part },
        attributes: Attributes::new(),
        expires_at: None,
        trace_parent: None,
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let stored_at = OffsetDateTime::UNIX_EPOCH;
    let stored = StoredEnvelope { sequence, stored_at, generation: 0, is_late: false, envelope };
    Arc::new(FramedEnvelope::new(stored))
}
