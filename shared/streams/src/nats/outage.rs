//! Logs an outage: its beginning with the reason, and its end with the duration.

use std::error::Error;
use std::time::Duration;

use tokio::time::Instant;

/// Whether a service is available. Logs changes, not each failed attempt.
#[derive(Debug)]
pub struct Outage {
    /// The name of the service.
    of: &'static str,
    since: Option<Instant>,
}

impl Outage {
    /// A service that is available.
    #[must_use]
    pub fn new(of: &'static str) -> Self {
        Self { of, since: None }
    }

    /// Begins an outage, if there is none. `away` is how long it has lasted already.
    pub fn begin(&mut self, error: &(dyn Error + 'static), away: Duration) {
        if self.since.is_none() {
            self.since = Some(Instant::now().checked_sub(away).unwrap_or_else(Instant::now));
            tracing::warn!(error, "the {} is unavailable", self.of);
        }
    }

    /// Ends the outage, if there is one.
    pub fn end(&mut self) {
        if let Some(since) = self.since.take() {
            tracing::info!(after = ?since.elapsed(), "the {} is available again", self.of);
        }
    }
}
