//! The projector: events in, envelopes out, in order and exactly once.
//!
//! One projector is active per shard; others stand by on the same durable consumer.
//! [`tidings_catalog::project`] is the pure part: from an event as it lies in the stream to the
//! envelopes that it becomes, or to the reason why it becomes none. [`run`] is the engine around it,
//! which promises: envelopes lie in the stream in the order of their events; each is there once,
//! whenever the process ends; an event is acknowledged only after all of its envelopes, or its
//! rejection, are stored. What the catalog limits to a rate (`max_rate`) is the exception: the newest is
//! written last, once, and in its own time; until then it is held back, and found again in `EVENTS` by
//! whoever takes over.
//!
//! A shard's projector writes the envelopes of the tenants who live there. It makes all of a tenant's anew when that is
//! asked for in the bucket `PLACEMENTS`, also to have the tenant move in from another shard: beside live projecting, each
//! once and in the order of events, until a notice in the stream has everybody change over.

mod dedup;
mod engine;
mod initial_placements;
mod placements;
mod projection;
mod rebuild;
mod start;
mod throttle;
mod write_queue;

pub use dedup::{Dedup, RecallError};
pub use initial_placements::place_initially;
pub use start::{ProjectorError, Settings, run};
