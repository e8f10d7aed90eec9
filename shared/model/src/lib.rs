//! The shared types of Tidings: tenant, event, envelope, address, position.
//!
//! This crate is pure: no I/O, no clock, no randomness. It defines once what several processes must agree on (subjects,
//! header names, the encoding of ids), so that producers, the projector and every gateway read the same.

#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests read what they have written"))]

mod address;
mod attribute;
mod channel_kind;
mod cloud_event;
mod content;
mod delivery;
mod delivery_name;
mod envelope;
mod event;
mod event_pattern;
mod grants;
pub mod headers;
pub mod json;
mod key_id;
pub mod number;
mod place;
mod placement;
mod position;
mod presence_subject;
mod rejection;
mod shown_time;
mod source;
pub mod subject;
mod tenant;
mod timestamp;

pub use address::{Address, AddressError};
pub use attribute::{Attribute, Attributes};
pub use channel_kind::{ChannelKind, UnknownChannel};
pub use cloud_event::CloudEvent;
pub use content::Content;
pub use delivery::{Delivery, ScheduleSubject};
pub use delivery_name::DeliveryName;
pub use envelope::{Class, Envelope, EnvelopeSubject, Origin, OriginError, OriginOrder, UnknownClass};
pub use event::{Event, EventError, EventName, Identity, RawEvent, is_json, media_type};
pub use event_pattern::{EventPattern, EventPatternError};
pub use grants::Grants;
pub use key_id::{KeyId, KeyIdError};
pub use place::{Place, PlaceError, ShardNumber, TenantToken};
pub use placement::{PastPlacement, Placement, Progress, Rebuild};
pub use position::{Epoch, PlacedPosition, Position, PositionError};
pub use presence_subject::{
    ALL_GATEWAY_LEASES, gateway_lease, leased_gateway, presence_of_tenant, presence_subject,
};
pub use rejection::{Attempts, rejection_subject};
pub use shown_time::{
    rfc3339, rfc3339_of_seconds, serialize_optional_seconds, serialize_optional_time, serialize_seconds,
    serialize_time,
};
pub use source::{
    SourcePosition, SourcePositionError, copies_of, copy_subject, is_retried_copy, is_unnamed, retry_subject,
    source_of,
};
pub use tenant::{Tenant, TenantError};
