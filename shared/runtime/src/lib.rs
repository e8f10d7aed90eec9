//! What every Tidings process needs: configuration ([`config`]), logs and traces ([`telemetry`]), safe display of
//! untrusted text ([`visible`]) and an orderly end ([`shutdown`]).
//!
//! This crate knows nothing of NATS, HTTP or tenants. The crates that do take their section of [`config::Config`].

pub mod config;
pub mod shutdown;
pub mod telemetry;
pub mod visible;
