//! How far a reader is behind the end of a stream, in messages and in time.
//!
//! The time is measured without trusting the clocks of others: whenever the end of the stream is looked at, it is
//! remembered with the moment, and the reader is as late as the oldest end that it has not come to.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Ends that are remembered; with more, every second one is forgotten, so that the time grows coarse and never wrong by
/// more than the distance of two.
const MARKS: usize = 64;

/// The lag of one reader.
#[derive(Debug, Default)]
pub struct Lag {
    /// Ends that the reader has not come to, and when they were seen; ascending.
    marks: VecDeque<(u64, Instant)>,
    messages: u64,
}

impl Lag {
    /// The stream ends at `end` now, and the reader has come to `done`.
    pub fn look(&mut self, done: u64, end: u64, now: Instant) {
        self.messages = end.saturating_sub(done);
        // After a roll-back, ends from before say nothing.
        if self.marks.back().is_some_and(|(last, _)| *last > end) {
            self.marks.clear();
        }
        self.advance(done);
        if done < end && self.marks.back().is_none_or(|(last, _)| *last < end) {
            if self.marks.len() >= MARKS {
                let mut index = 0;
                self.marks.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
            }
            self.marks.push_back((end, now));
        }
    }

    /// The reader has come to `done`, while the end is not known.
    pub fn advance(&mut self, done: u64) {
        while self.marks.front().is_some_and(|(end, _)| *end <= done) {
            self.marks.pop_front();
        }
    }

    /// By how many messages the reader was behind at the last look.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// For how long there has been something that the reader has not come to.
    #[must_use]
    pub fn time(&self, now: Instant) -> Duration {
        self.marks.front().map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(*since))
    }
}

/// A [`Lag`] that one task keeps and others read.
#[derive(Debug, Default)]
pub struct LagGauge(Mutex<Lag>);

impl LagGauge {
    /// As [`Lag::look`], now.
    pub fn look(&self, done: u64, end: u64) {
        self.lock().look(done, end, Instant::now());
    }

    /// Messages, and time until now, by which the reader is behind.
    #[must_use]
    pub fn read(&self) -> (u64, Duration) {
        let lag = self.lock();
        (lag.messages(), lag.time(Instant::now()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lag> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(Instant::now) + Duration::from_secs(second)
    }

    #[test]
    fn a_reader_that_keeps_up_has_no_lag() {
        let mut lag = Lag::default();
        for second in 0..100 {
            lag.look(second * 10, second * 10, at(second));
            assert_eq!((lag.messages(), lag.time(at(second))), (0, Duration::ZERO));
        }
    }

    #[test]
    fn a_reader_is_as_late_as_the_oldest_end_that_it_has_not_come_to() {
        let mut lag = Lag::default();
        lag.look(0, 10, at(0));
        lag.look(5, 20, at(1));
        assert_eq!((lag.messages(), lag.time(at(3))), (15, Duration::from_secs(3)));
        lag.look(12, 30, at(4));
        assert_eq!((lag.messages(), lag.time(at(4))), (18, Duration::from_secs(3)));
        lag.look(30, 30, at(5));
        assert_eq!((lag.messages(), lag.time(at(5))), (0, Duration::ZERO));
    }

    #[test]
    fn a_reader_that_stands_still_grows_older_in_bounded_memory() {
        let mut lag = Lag::default();
        for second in 0..10_000 {
            lag.look(0, 1 + second, at(second));
        }
        assert!(lag.marks.len() <= MARKS);
        assert_eq!(lag.time(at(10_000)), Duration::from_secs(10_000));
    }

    #[test]
    fn a_stream_that_was_rolled_back_begins_again() {
        let mut lag = Lag::default();
        lag.look(0, 1_000, at(0));
        lag.look(0, 5, at(9));
        assert_eq!((lag.messages(), lag.time(at(10))), (5, Duration::from_secs(1)));
    }
}
