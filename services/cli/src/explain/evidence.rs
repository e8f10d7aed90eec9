//! What is known of an event and a user, as read from NATS.

use tidings_model::{Attributes, Class, Envelope, EnvelopeSubject, Position};
use tidings_streams::StoredEnvelope;
use tidings_streams::consumers::ConsumerState;
use tidings_streams::deliveries::{PendingDelivery, StoredFact};
use time::OffsetDateTime;

/// What is known.
pub(super) struct Evidence {
    pub(super) user: String,
    pub(super) event: String,
    pub(super) now: OffsetDateTime,
    /// When the event is due, if it waits in `SCHEDULED`.
    pub(super) scheduled: Option<OffsetDateTime>,
    /// Each time that `EVENTS` has it.
    pub(super) stored: Vec<Stored>,
    pub(super) rejection: Option<Rejection>,
    /// Whether the projector has read it; `false` if it is not in `EVENTS`.
    pub(super) is_projected: bool,
    /// What the catalog makes of it, or why it makes nothing of it; `None` if that cannot be told.
    pub(super) expected: Option<Result<Vec<Expected>, String>>,
    /// What `ENVELOPES` has of it, in order.
    pub(super) envelopes: Vec<StoredEnvelope>,
    pub(super) devices: Vec<Device>,
    /// Why the user is disabled, if so.
    pub(super) disabled: Option<String>,
    /// What became of the user's deliveries of the event, in order.
    pub(super) facts: Vec<StoredFact>,
    pub(super) waiting: Vec<PendingDelivery>,
}

/// The event in `EVENTS`.
pub(super) struct Stored {
    pub(super) position: Position,
    pub(super) at: OffsetDateTime,
    pub(super) name: String,
}

/// The event in `REJECTED`.
pub(super) struct Rejection {
    pub(super) at: OffsetDateTime,
    pub(super) reason: String,
    pub(super) text: String,
}

/// A message that the catalog makes of the event.
pub(super) struct Expected {
    pub(super) subject: EnvelopeSubject,
    pub(super) attributes: Attributes,
    pub(super) expires_at: Option<OffsetDateTime>,
    /// The event whose message has its place now.
    pub(super) newer: Option<String>,
    /// When messages to its address were purged last.
    pub(super) purged_at: Option<OffsetDateTime>,
}

impl Expected {
    pub(super) fn new(envelope: Envelope) -> Self {
        let Envelope { subject, attributes, expires_at, .. } = envelope;
        Self { subject, attributes, expires_at, newer: None, purged_at: None }
    }

    pub(super) fn may_be_replaced(&self) -> bool {
        self.subject.key.is_some() && self.subject.class != Class::Ephemeral
    }
}

/// A device of the user.
pub(super) struct Device {
    pub(super) name: String,
    pub(super) state: ConsumerState,
    /// Its sequence in the tenant's current place; `None` if that has nothing to do with its position.
    pub(super) sequence: Option<u64>,
    /// Whether the position is of that place, without a rebuild or a move in between.
    pub(super) is_in_place: bool,
}
