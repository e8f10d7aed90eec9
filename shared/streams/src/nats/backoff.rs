//! Waits between attempts while NATS cannot serve a request.

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};

use tokio::time::Instant;

/// Whether the failed request may succeed a moment later. Only a permanent refusal of JetStream may not.
#[must_use]
pub fn may_pass(error: &(dyn Error + 'static)) -> bool {
    let mut chain = std::iter::successors(Some(error), |error| (*error).source());
    !chain.any(|error| {
        let refused = error.downcast_ref::<jetstream::Error>().cloned().or_else(|| {
            match error.downcast_ref::<ConsumerError>()?.kind() {
                ConsumerErrorKind::JetStream(refused) => Some(refused),
                _ => None,
            }
        });
        // What was not found may be created later, and what was unavailable may return.
        refused.is_some_and(|refused| (400..500).contains(&refused.code()) && refused.code() != 404)
    })
}

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// Pauses that double from 50 ms to 2 s until a request succeeds. Each is shortened by up to a half at random, so that
/// processes that lost the same server do not all ask it at once.
///
/// The end of a pause is fixed when it begins, so that a cancelled and repeated wait does not take longer.
#[derive(Debug)]
pub struct Backoff {
    pause: Duration,
    until: Option<Instant>,
}

impl Backoff {
    /// Starts without a pause.
    #[must_use]
    pub fn new() -> Self {
        Self { pause: FIRST, until: None }
    }

    /// Begins a pause.
    pub fn failed(&mut self) {
        self.until = Some(Instant::now() + self.pause.mul_f64(1.0 - fastrand::f64() / 2.0));
        self.pause = (self.pause * 2).min(LONGEST);
    }

    /// Waits for the end of the pause, if there is one.
    pub async fn wait(&mut self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
            self.until = None;
        }
    }

    /// Resets the next pause to the shortest one.
    pub fn succeeded(&mut self) {
        *self = Self::new();
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_differ() {
        let mut firsts = Vec::new();
        for _ in 0..50 {
            let mut backoff = Backoff::new();
            let mut bound = FIRST;
            for attempt in 0..9 {
                let began = Instant::now();
                backoff.failed();
                backoff.wait().await;
                let pause = began.elapsed();
                // Tokio's timers count whole milliseconds.
                assert!(
                    pause >= bound / 2 && pause <= bound + Duration::from_millis(1),
                    "{attempt}: {pause:?}"
                );
                if attempt == 8 {
                    firsts.push(pause);
                }
                bound = (bound * 2).min(LONGEST);
            }
            backoff.succeeded();
            let began = Instant::now();
            backoff.wait().await;
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
        firsts.dedup();
        assert!(firsts.len() > 1, "all pauses are alike");
    }
}
