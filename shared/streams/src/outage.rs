//! What the log says of a time without service: its beginning with the reason, and its end with how long it took.

use std::error::Error;
use std::time::Duration;

use tokio::time::Instant;

/// Whether there is service. Says so when that changes, and not for each attempt in between.
#[derive(Debug)]
pub struct Outage {
    /// Who has no service.
    of: &'static str,
    since: Option<Instant>,
}

impl Outage {
    /// There is service.
    #[must_use]
    pub fn new(of: &'static str) -> Self {
        Self { of, since: None }
    }

    /// There is none. `away` is for how long it has been away already.
    pub fn begin(&mut self, error: &(dyn Error + 'static), away: Duration) {
        if self.since.is_none() {
            self.since = Some(Instant::now().checked_sub(away).unwrap_or_else(Instant::now));
            tracing::warn!(error, "no service of the {} from now on", self.of);
        }
    }

    /// There is service again.
    pub fn end(&mut self) {
        if let Some(since) = self.since.take() {
            tracing::info!(after = ?since.elapsed(), "service of the {} again", self.of);
        }
    }
}
