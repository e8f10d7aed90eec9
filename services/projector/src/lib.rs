//! The projector: reads events and writes envelopes, in order and exactly once.
//!
//! One projector is active per shard; others stand by on the same durable consumer. [`tidings_catalog::project`] is
//! the pure part: it turns a stored event into envelopes, or into the reason why there are none. [`run`] is the
//! engine around it. It guarantees:
//!
//! - Envelopes lie in the stream in the order of their events.
//! - Each envelope is written once, whenever the process ends.
//! - An event is acknowledged only after all of its envelopes, or its rejection, are stored.
//!
//! Messages with a `max_rate` are the exception: the newest one is written last, once, when its interval is over.
//! Until then it is held back. A projector that takes over finds it again in `EVENTS`.
//!
//! Beside that it copies the messages of streams that exist already into `EVENTS` ([`copy_sources`]).
//!
//! A shard's projector writes the envelopes of the tenants placed in that shard. It rebuilds a tenant when the bucket
//! `PLACEMENTS` requests it, also to move the tenant in from another shard. A rebuild runs beside live projecting,
//! writes each envelope once and in the order of events, and ends with a notice in the stream at which every reader
//! switches to the new generation.

mod dedup;
mod engine;
mod error;
mod initial_placements;
mod metrics;
mod placements;
mod projection;
mod rebuild;
mod schedule_repair;
mod settings;
mod sources;
mod start;
mod throttle;
mod write_queue;
mod write_trace;

pub use dedup::{Dedup, RecallError};
pub use error::ProjectorError;
pub use initial_placements::place_initially;
pub use metrics::METRICS;
pub use settings::Settings;
pub use sources::{Begin, Mapping, MappingError, SOURCE_METRICS, Source, Sources, Unmapped, copy_sources};
pub use start::run;
