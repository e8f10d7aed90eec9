//! Figures of running processes: that each metric moves when its cause happens, in every format, and to a collector.
//!
//! Every test starts its own nats-server, projector and gateway as processes.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers fail a test by panicking")]

mod alerts;
mod canary;
mod causes;
mod collector;
mod figures;
mod formats;
mod queries;
mod scene;
mod traces;
