//! Waiting between attempts at something that NATS cannot do right now.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// Pauses that double from 50 ms to 2 s until something succeeds.
///
/// A pause has its end when it begins, so that whoever waits may be dropped and begin again
/// without waiting for longer.
#[derive(Debug)]
pub struct Backoff {
    pause: Duration,
    until: Option<Instant>,
}

impl Backoff {
    /// Without a pause yet.
    #[must_use]
    pub fn new() -> Self {
        Self { pause: FIRST, until: None }
    }

    /// Begins a pause.
    pub fn failed(&mut self) {
        self.until = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST);
    }

    /// Waits for the end of the pause, if there is one.
    pub async fn wait(&mut self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
            self.until = None;
        }
    }

    /// The next pause is the shortest again.
    pub fn succeeded(&mut self) {
        *self = Self::new();
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}
