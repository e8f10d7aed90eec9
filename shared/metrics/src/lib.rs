//! Figures of a process: counted where things happen, summed when somebody asks, and exported in two ways.
//!
//! Counting is an addition to a number in memory: no lock, no allocation, no lookup by a label. A number belongs to the
//! part that counts it, and on the path of every message each thread has numbers of its own ([`OwnCounter`]). Labels
//! appear only when the figures are collected: each part implements [`Source`], and a [`Snapshot`] adds up what all
//! sources give for the same metric and the same labels. Both exports, Prometheus's formats ([`expose`]) and OTLP
//! ([`to_otlp`]), are made of such a snapshot, so they cannot differ.
//!
//! A metric is declared once, with its text ([`declare!`](crate::declare)). Labels take few values that the code knows,
//! and never come from a client: no user, device or topic. Metrics whose first label is `tenant` are on a page of their
//! own, which shows the busiest tenants only.

mod counter;
mod exposition;
mod histogram;
mod lag;
mod metric;
mod otlp;
mod process;
mod registry;
mod snapshot;
mod tally;

pub use counter::{Counter, Gauge, OwnCounter};
pub use exposition::{Exposition, Format, expose};
pub use histogram::Histogram;
pub use lag::{Lag, LagGauge};
pub use metric::{Kind, Metric, reference_table};
pub use otlp::to_otlp;
pub use process::{METRICS as PROCESS_METRICS, ProcessFigures};
pub use registry::Registry;
pub use snapshot::{Page, Snapshot, Source};
pub use tally::{Tally, Timing};
