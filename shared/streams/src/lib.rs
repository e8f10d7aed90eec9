//! JetStream: the topology and every call to NATS.
//!
//! Only this crate knows stream names, subjects of the JetStream API and the shape of a NATS message. What each part
//! guarantees:
//!
//! - [`topology`]: the streams exist with the settings that the rest relies on, or nothing starts.
//! - [`EventReader`]: returns every event once, in the order of `EVENTS`, even if the consumer delivers it twice, late
//!   or never.
//! - [`EnvelopeWriter`]: writes in order or not at all; NATS refuses a writer that is no longer at the end of the
//!   stream.
//! - [`Lease`]: which projector of a shard leads, and in which term; a former leader detects that its lease has ended.
//! - [`EventWriter`]: stores events in the order in which they are sent, until its connection ends.
//! - [`EnvelopeFollower`]: returns every envelope once, in the order of `ENVELOPES`, across reconnects and restarts of
//!   NATS.
//! - [`EventHistory`]: reads a tenant's events again, in order, without affecting the projector that is projecting
//!   them.
//! - [`EnvelopeCopies`]: reads a tenant's envelopes again, in the order of their events.
//! - [`Placements`]: where tenants' envelopes are; [`translate_position`] translates positions to the current
//!   placement.
//! - [`users::UserWatch`]: which users are disabled; after an interruption it reads the whole bucket again.
//! - [`keys::KeyWatch`]: which API keys there are, and which are revoked, likewise.
//! - [`contacts`]: where users are reached who are not connected, sealed; a purge leaves nothing.
//! - [`deliveries`]: what fallbacks wait, are due, and became; each step is written on the condition that no other came first.
//! - [`Schedules`]: events that are delivered later; the order of `EVENTS` decides which of them count.
//! - [`Receipts`]: which events were stored lately under which id, so that a gateway answers a repetition as one.
//! - [`connections`]: asks every gateway for its connections, and reports which gateways did not answer.
//!
//! - [`SourceReader`], [`CopyWriter`]: copies streams of a team's own into `EVENTS`, each message once and in order.
//!
//! - [`backup`]: saves all of this at one consistent cut, and restores it.
//! - [`Inspection`]: looks at all of it and changes nothing; [`running_projectors`] and [`running_gateways`] ask who runs.
//!
//! A room uses only those below it, in this order: `backup`; `inspection`; `presence`; `sources`; `queries`; `consumers`; `deliveries`; `rejections`; `schedules`; `contacts`; `receipts`; `events`, which reads and
//! publishes `EVENTS`; `envelopes`, which writes and follows `ENVELOPES`; `leadership`; `catalogs`; `topology`, the
//! streams and which subjects are in them; `placements`, `keys`, `users` and `connections`; and at the bottom `nats`, which knows
//! streams and buckets but not what they are for.

pub mod backup;
mod catalogs;
pub mod connections;
pub mod consumers;
pub mod contacts;
pub mod deliveries;
mod envelopes;
mod events;
mod inspection;
pub mod keys;
mod leadership;
mod nats;
mod placements;
pub mod preferences;
mod presence;
mod queries;
mod receipts;
mod rejections;
mod schedules;
mod sources;
mod stored_form;
pub mod topology;
pub mod users;

pub use async_nats::Client;
pub use catalogs::{
    CatalogStoreError, RecordedTenantsError, accept_catalogs, accepted_catalog, are_catalogs_recorded,
    record_catalogs, recorded_tenants, running_catalog,
};
pub use envelopes::{
    Copy, CopyError, DiscardError, EnvelopeCopies, EnvelopeFollower, EnvelopeWriter, FollowError, Followed,
    Outgoing, PurgeAddressError, Purged, ReadEnvelopeError, Resume, StoredEnvelope, TranslateError,
    Translated, WriteError, WriteMarkers, all_purges, discard_address, discard_generation,
    envelopes_of_event, fetch, is_at_end, last_notice, locate, newest, placed_at, purge_address,
    translate_position,
};
pub use events::{
    EventAnswer, EventHistory, EventReader, EventWriteError, EventWriter, HistoryError, OpenWriterError,
    OutgoingEvent, Pace, PendingEvent, PublishEventError, ReadEvent, ReaderError, event_size, publish_event,
};
pub use inspection::{
    Duty, Inspection, Peer, Permissions, Role, ServerFacts, Silence, StreamFacts, StreamState,
};
pub use leadership::{Candidate, Lease};
pub use nats::record::RecordError;
pub use nats::{
    Backoff, BucketSettings, CONNECTION_METRICS, ConnectError, ConnectSettings, ConnectionFigures, Content,
    Login, Outage, RepeatedFault, Retry, TlsFiles, connect, may_pass,
};
pub use placements::{AllPlacements, PlacementError, PlacementWatch, Placements};
pub use presence::{PresenceError, RunningGateway, answer_pings, running_gateways, running_projectors};
pub use queries::{
    QueryError, end_of_events, first_event, first_of_generation, is_done_before, last_event,
    last_of_generation, last_purge, last_written, next_event, projected_through,
};
pub use receipts::{Earlier, ReceiptError, Receipts};
pub use rejections::{Kept, ReadRejectionError, RejectError, RejectedEvent, Rejections, RetryError};
pub use schedules::{ListSchedulesError, ScheduleError, ScheduledEvent, Schedules};
pub use sources::{
    CopiedThrough, CopyError as StoreCopyError, CopyWriter, NewCopy, OpenCopiesError, SourceError,
    SourceMessage, SourceReader, SourceStream,
};
pub use stored_form::StoredForm;
pub use topology::{
    Extent, ExtentError, Home, HomeError, Settings, Topology, TopologyError, leave_cut_off_servers,
};
