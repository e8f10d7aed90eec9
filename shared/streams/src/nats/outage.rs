//! Logs an outage: its beginning with the reason, and its end with the number of failed attempts and the duration.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use tokio::time::Instant;

/// Whether something is possible. Logs changes, not each failed attempt.
#[derive(Debug)]
pub struct Outage {
    of: Subject,
    since: Option<Instant>,
    /// How many attempts have failed in this outage.
    attempts: u64,
}

/// What an outage is of.
#[derive(Debug)]
enum Subject {
    Service(&'static str),
    Action(Cow<'static, str>),
}

impl Outage {
    /// A service of this name, which is available.
    #[must_use]
    pub fn new(service: &'static str) -> Self {
        Self { of: Subject::Service(service), since: None, attempts: 0 }
    }

    /// An action, a verb and its object, which succeeds.
    pub(super) fn of_action(action: Cow<'static, str>) -> Self {
        Self { of: Subject::Action(action), since: None, attempts: 0 }
    }

    /// Notes a failed attempt; begins an outage, if there is none. `away` is how long it has lasted already.
    pub fn begin(&mut self, error: &(dyn Error + 'static), away: Duration) {
        self.attempts += 1;
        if self.since.is_none() {
            self.since = Some(Instant::now().checked_sub(away).unwrap_or_else(Instant::now));
            match &self.of {
                Subject::Service(name) => tracing::warn!(error, "the {name} is unavailable"),
                Subject::Action(action) => tracing::warn!(error, "cannot {action} now; trying again"),
            }
        }
    }

    /// Ends the outage, if there is one.
    pub fn end(&mut self) {
        let attempts = std::mem::take(&mut self.attempts);
        if let Some(since) = self.since.take() {
            let after = since.elapsed();
            match &self.of {
                Subject::Service(name) => tracing::info!(attempts, ?after, "the {name} is available again"),
                Subject::Action(action) => tracing::info!(attempts, ?after, "can {action} again"),
            }
        }
    }
}
