//! Repeats a request until it succeeds: pauses between the attempts, and logs the outage instead of each attempt.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use super::{Backoff, Outage};

/// The attempts of one kind of request.
#[derive(Debug)]
pub struct Retry {
    outage: Outage,
    backoff: Backoff,
}

impl Retry {
    /// No attempt has failed yet. The action is a verb and its object, such as "read the stream".
    #[must_use]
    pub fn to(action: impl Into<Cow<'static, str>>) -> Self {
        Self { outage: Outage::of_action(action.into()), backoff: Backoff::new() }
    }

    /// Notes a failed attempt, and begins the pause before the next one.
    pub fn failed(&mut self, error: &(dyn Error + 'static)) {
        self.outage.begin(error, Duration::ZERO);
        self.backoff.failed();
    }

    /// Begins a pause after a fault that is no outage, and is not logged unless it becomes one.
    pub fn interrupted(&mut self) {
        self.backoff.failed();
    }

    /// Waits for the end of the pause, if there is one. Cancel-safe.
    pub async fn wait(&mut self) {
        self.backoff.wait().await;
    }

    /// Notes a success: ends the outage, and makes the next pause a short one.
    pub fn succeeded(&mut self) {
        self.outage.end();
        self.backoff.succeeded();
    }
}
