//! What every Tidings process needs before and after its own work: [`config`] says what to do,
//! [`telemetry`] says what was done, [`visible`] keeps what others wrote from taking over a terminal or a log, and
//! [`shutdown`] ends it all in an orderly way.
//!
//! Nothing here knows NATS, HTTP or a tenant; those crates take their section of [`config::Config`].

pub mod config;
pub mod shutdown;
pub mod telemetry;
pub mod visible;
