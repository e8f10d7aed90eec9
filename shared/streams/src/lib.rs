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
//! - [`connections`]: asks every gateway for its connections, and reports which gateways did not answer.

mod backoff;
mod bucket;
mod catalogs;
mod complaint;
mod connect;
pub mod connections;
pub mod consumers;
mod convert;
mod end;
mod event_writer;
mod fence;
mod follower;
mod get;
mod history;
mod leader_get;
mod leadership;
mod lives;
mod notice;
mod ordered_copy;
mod ordered_reader;
mod outage;
mod placements;
mod publish;
mod purge;
mod queries;
mod reader;
mod record;
mod rejections;
mod scan;
mod stored_form;
mod tenants;
pub mod topology;
mod translate_position;
pub mod users;
mod writer;

pub use async_nats::Client;
pub use backoff::{Backoff, may_pass};
pub use bucket::BucketSettings;
pub use catalogs::{
    CatalogStoreError, accept_catalogs, accepted_catalog, are_catalogs_recorded, record_catalogs,
    running_catalog,
};
pub use complaint::Complaint;
pub use connect::{ConnectError, ConnectSettings, Login, TlsFiles, connect, leave_cut_off_servers};
pub use convert::StoredEnvelope;
pub use event_writer::{EventWriteError, EventWriter, OpenWriterError, OutgoingEvent, PendingEvent};
pub use follower::{EnvelopeFollower, FollowError, Followed};
pub use get::{ReadEnvelopeError, fetch, newest};
pub use history::{EventHistory, HistoryError};
pub use leadership::{Candidate, Lease};
pub use ordered_copy::{Copy, CopyError, EnvelopeCopies};
pub use ordered_reader::Content;
pub use outage::Outage;
pub use placements::{AllPlacements, Home, HomeError, PlacementError, Placements, last_notice, placed_at};
pub use publish::{PublishEventError, publish_event};
pub use purge::{
    DiscardError, PurgeAddressError, Purged, all_purges, discard_address, discard_generation, purge_address,
};
pub use queries::{
    QueryError, end_of_events, first_event, first_of_generation, is_done_before, last_event,
    last_of_generation, last_purge, last_written, next_event, projected_through,
};
pub use reader::{EventReader, Pace, ReadEvent, ReaderError};
pub use record::RecordError;
pub use rejections::{Kept, ReadRejectionError, RejectError, RejectedEvent, Rejections, RetryError};
pub use stored_form::StoredForm;
pub use tenants::{RecordedTenantsError, recorded_tenants};
pub use topology::{Extent, ExtentError, Settings, Topology, TopologyError};
pub use translate_position::{TranslateError, translate_position};
pub use writer::{EnvelopeWriter, Outgoing, Pending, Resume, WriteError, WriteMarkers, remove_strays};
