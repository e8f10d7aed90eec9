//! Retries after a conflict with another writer.
//!
//! Pauses are random, so that two writers that conflicted once do not conflict again, and short, as the other writer
//! finishes within a round trip.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::{ConsumerName, ConsumerStoreError};

/// After this time the cause is not contention alone.
const BOUND: Duration = Duration::from_secs(10);
const FIRST_MICROSECONDS: u64 = 1_000;
const LONGEST_MICROSECONDS: u64 = 64_000;

/// Attempts to write one consumer.
pub(super) struct Contention<'n> {
    name: &'n ConsumerName,
    began: Instant,
    longest_pause: u64,
    random: RandomState,
}

impl<'n> Contention<'n> {
    pub(super) fn over(name: &'n ConsumerName) -> Self {
        Self { name, began: Instant::now(), longest_pause: FIRST_MICROSECONDS, random: RandomState::new() }
    }

    /// Waits before the next attempt, or fails when the time is used up.
    pub(super) async fn pause(&mut self) -> Result<(), ConsumerStoreError> {
        let waited = self.began.elapsed();
        if waited > BOUND {
            return Err(ConsumerStoreError::Contended { name: self.name.clone(), waited });
        }
        let pause = self.random.hash_one(waited) % self.longest_pause;
        tokio::time::sleep(Duration::from_micros(pause)).await;
        self.longest_pause = (self.longest_pause * 2).min(LONGEST_MICROSECONDS);
        Ok(())
    }
}
