//! Figures of running processes: that each metric moves when its cause happens, in every format, and to a collector.
//!
//! Every test starts its own nats-server, projector and gateway as processes.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers fail a test by panicking")]

mod causes;
mod collector;
mod figures;
mod formats;
mod scene;
