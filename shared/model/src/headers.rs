//! The NATS headers that Tidings reads and writes.

/// Identifies a publication (NATS JetStream): to a server within the stream's window; to the projector, an event without an
/// id of its own.
pub const MESSAGE_ID: &str = "Nats-Msg-Id";
/// `sub`: the stream keeps only this message on its subject (NATS JetStream).
pub const ROLLUP: &str = "Nats-Rollup";
/// After this time the stream removes the message (NATS ADR-43).
pub const TIME_TO_LIVE: &str = "Nats-TTL";
/// The publication is refused unless the stream ends with this sequence (NATS JetStream).
pub const EXPECTED_LAST_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
/// The publication is refused unless this is the sequence of the last message on a subject, 0 for none (NATS JetStream).
pub const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
/// The subject that [`EXPECTED_LAST_SUBJECT_SEQUENCE`] is about, if it is not the publication's own (NATS JetStream).
pub const EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

/// On an envelope: which envelope of which event it is, `<epoch>-<sequence>/<message>/<part>`. The event's id and
/// source stand in its `Nats-Msg-Id`.
pub const ORIGIN: &str = "Tidings-Origin";
/// On an envelope that was held back or is made anew, and on a notice: the position in `EVENTS` of the last event of
/// which everything was written before it, or is held back, `<epoch>-<sequence>`; its own event is an older one.
pub const THROUGH: &str = "Tidings-Through";
/// On an envelope: the sequence in `EVENTS` of the oldest event of which something was held back meanwhile.
pub const HELD_FROM: &str = "Tidings-Held-From";
/// On an envelope and on a notice that a projector wrote: the term in which it led.
pub const TERM: &str = "Tidings-Term";
/// On a notice of fences: the sequence of the first of them, and when it was stored, in nanoseconds since
/// 1970-01-01T00:00:00Z.
pub const FENCES: &str = "Tidings-Fences";
/// On an envelope: when it expires, in seconds since 1970-01-01T00:00:00Z.
pub const EXPIRES: &str = "Tidings-Expires";
/// On an envelope: what subscriptions can filter on, a JSON object of strings and lists of strings.
pub const ATTRIBUTES: &str = "Tidings-Attributes";

/// On every notice among envelopes: the version of its form. JetStream's own answers have no headers, so what it may be made
/// to publish there is never taken for a notice.
pub const NOTICE: &str = "Tidings-Notice";
/// On a notice that a tenant's envelopes are elsewhere from there on: the place, `<shard>/<generation>`.
pub const PLACE: &str = "Tidings-Place";

/// On a rejection, and on an event that is retried: the id of the event that it came from.
pub const EVENT_ID: &str = "Tidings-Event-Id";
/// On a rejection: the position in `EVENTS` of the event that it came from, `<epoch>-<sequence>`.
pub const EVENT_POSITION: &str = "Tidings-Event-Seq";
/// On a rejection: why, as a stable word.
pub const REASON: &str = "Tidings-Reason";
/// On a rejection: why, in words.
pub const REASON_TEXT: &str = "Tidings-Reason-Text";
/// On a rejection: the JSON pointer (RFC 6901) of the place that was refused, if there is one.
pub const REASON_POINTER: &str = "Tidings-Reason-Pointer";
/// On a rejection: the subject that the event was published on.
pub const EVENT_SUBJECT: &str = "Tidings-Event-Subject";
/// On a rejection, and on an event that is retried: where the event lay in `EVENTS` when it was tried first,
/// `<epoch>-<sequence>`.
pub const FIRST_POSITION: &str = "Tidings-First-Seq";
/// On a rejection, and on an event that is retried: when it was stored first, RFC 3339.
pub const FIRST_SEEN: &str = "Tidings-First-Seen";
/// On a rejection, and on an event that is retried: how often it was tried.
pub const TRIES: &str = "Tidings-Tries";
/// On a rejection: how many bytes of the event were left out because it could not be kept whole.
pub const OMITTED_BYTES: &str = "Tidings-Omitted-Bytes";

/// W3C trace context, carried from the producer's event to the envelope.
pub const TRACE_PARENT: &str = "traceparent";
/// The media type of the payload.
pub const CONTENT_TYPE: &str = "Content-Type";
