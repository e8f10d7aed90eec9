//! The NATS headers that Tidings reads and writes.

/// The id of a publication (NATS JetStream). The server uses it within the stream's window, the projector for events
/// without an id of their own.
pub const MESSAGE_ID: &str = "Nats-Msg-Id";
/// `sub`: the stream keeps only this message on its subject (NATS JetStream).
pub const ROLLUP: &str = "Nats-Rollup";
/// The stream removes the message after this time (NATS ADR-43).
pub const TIME_TO_LIVE: &str = "Nats-TTL";
/// The publication is refused unless the last sequence of the stream is this one (NATS JetStream).
pub const EXPECTED_LAST_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
/// The publication is refused unless the last sequence on a subject is this one, 0 for none (NATS JetStream).
pub const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
/// The subject of [`EXPECTED_LAST_SUBJECT_SEQUENCE`], if it is not the publication's own (NATS JetStream).
pub const EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

/// On an envelope: its event and number, `<epoch>-<sequence>/<message>/<part>`.
pub const ORIGIN: &str = "Tidings-Origin";
/// On an envelope: the source and the id of its event, `<source's length in bytes>/<source>/<id>`.
pub const EVENT: &str = "Tidings-Event";
/// On an envelope that was held back or is rebuilt, and on a notice: a position in `EVENTS`, `<epoch>-<sequence>`. All
/// envelopes of the events up to it were written before, or are held back. The envelope's own event is older.
pub const THROUGH: &str = "Tidings-Through";
/// On an envelope: the sequence in `EVENTS` of the oldest event with an envelope that was held back at that time.
pub const HELD_FROM: &str = "Tidings-Held-From";
/// On an envelope and on a notice: the term of the projector that wrote it.
pub const TERM: &str = "Tidings-Term";
/// On an envelope: when it expires, in seconds since 1970-01-01T00:00:00Z.
pub const EXPIRES: &str = "Tidings-Expires";
/// On an envelope: its attributes for filters, a JSON object of strings and lists of strings.
pub const ATTRIBUTES: &str = "Tidings-Attributes";

/// On every notice among envelopes: the version of its form. JetStream's own replies have no headers, so a reply that
/// JetStream is made to publish there is never taken for a notice.
pub const NOTICE: &str = "Tidings-Notice";
/// On a notice that a tenant's envelopes continue elsewhere: the place, `<shard>/<generation>`.
pub const PLACE: &str = "Tidings-Place";

/// On a fact that a delivery was not sent: what is known of the delivery, as JSON, so that it can be retried.
pub const DELIVERY: &str = "Tidings-Delivery";

/// On a rejection, and on an event that is retried: the id of the event. On plain JSON that a gateway publishes for a
/// producer: its id. In contrast to `Nats-Msg-Id`, no version of nats-server deduplicates by it.
pub const EVENT_ID: &str = "Tidings-Event-Id";
/// On a rejection: the event's position in `EVENTS`, `<epoch>-<sequence>`.
pub const EVENT_POSITION: &str = "Tidings-Event-Seq";
/// On a rejection: the stable word for the reason.
pub const REASON: &str = "Tidings-Reason";
/// On a rejection: the reason as text.
pub const REASON_TEXT: &str = "Tidings-Reason-Text";
/// On a rejection: the JSON pointer (RFC 6901) of the refused place, if there is one.
pub const REASON_POINTER: &str = "Tidings-Reason-Pointer";
/// On a rejection: the subject of the event.
pub const EVENT_SUBJECT: &str = "Tidings-Event-Subject";
/// On a rejection, and on an event that is retried: the event's position in `EVENTS` at its first attempt,
/// `<epoch>-<sequence>`.
pub const FIRST_POSITION: &str = "Tidings-First-Seq";
/// On a rejection, and on an event that is retried: when the event was stored first, RFC 3339.
pub const FIRST_SEEN: &str = "Tidings-First-Seen";
/// On a rejection, and on an event that is retried: the number of attempts.
pub const TRIES: &str = "Tidings-Tries";
/// On a rejection: the number of bytes of the event that were omitted because it could not be kept whole.
pub const OMITTED_BYTES: &str = "Tidings-Omitted-Bytes";

/// On a copy: the place of its message in the source, `<stream> <epoch>-<sequence> <time>`.
pub const SOURCE_POSITION: &str = "Tidings-Source-Position";
/// On a copy: the subject of its message in the source.
pub const SOURCE_SUBJECT: &str = "Tidings-Source-Subject";
/// On a copy without a name: why the message has none.
pub const UNMAPPED: &str = "Tidings-Unmapped";
/// On an event: when it is to be delivered, RFC 3339, or `never` to cancel it.
pub const DELIVER_AT: &str = "Tidings-Deliver-At";
/// On an event: after which time it is to be delivered, such as `90s`.
pub const DELAY: &str = "Tidings-Delay";
/// On an event that waits in `SCHEDULED` or is due, and on a cancellation there: the position in `EVENTS` of the event that
/// says so, `<epoch>-<sequence>`.
pub const SCHEDULED: &str = "Tidings-Scheduled";
/// On a message in `SCHEDULED` that takes the place of an event that was due: where that lies in `EVENTS`.
pub const SETTLED: &str = "Tidings-Settled";
/// When the stream stores the message once more (NATS ADR-51).
pub const SCHEDULE: &str = "Nats-Schedule";
/// On which subject it then stores the message (NATS ADR-51).
pub const SCHEDULE_TARGET: &str = "Nats-Schedule-Target";
/// The `Nats-TTL` that the message then has (NATS ADR-51).
pub const SCHEDULE_TIME_TO_LIVE: &str = "Nats-Schedule-TTL";
/// On a message that a stream took from another one: that stream, the sequence there, and more (NATS JetStream).
pub const STREAM_SOURCE: &str = "Nats-Stream-Source";

/// The W3C trace context, copied from the producer's event to the envelope.
pub const TRACE_PARENT: &str = "traceparent";
/// The media type of the payload.
pub const CONTENT_TYPE: &str = "Content-Type";
