//! Limits the log lines of a frequent fault: one line with a count, at most once in a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The minimum time between two lines.
const SPAN: Duration = Duration::from_secs(10);

/// A fault that is counted, and logged now and then.
#[derive(Debug, Default)]
pub struct RepeatedFault(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// How many times it happened since it was last logged.
    unlogged: u64,
    logged_at: Option<Instant>,
}

impl RepeatedFault {
    /// Counts a fault `times` times. Returns how many times it happened since it was last logged, if it is to be logged
    /// now.
    pub fn count(&self, times: usize) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.unlogged = counted.unlogged.saturating_add(u64::try_from(times).unwrap_or(u64::MAX));
        if counted.unlogged == 0 || counted.logged_at.is_some_and(|at| at.elapsed() < SPAN) {
            return None;
        }
        counted.logged_at = Some(Instant::now());
        Some(std::mem::take(&mut counted.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_counts_all_that_happened_since_the_last() {
        let fault = RepeatedFault::default();
        assert_eq!(fault.count(0), None);
        assert_eq!(fault.count(1), Some(1));
        assert_eq!((fault.count(1), fault.count(97)), (None, None));
        tokio::time::advance(SPAN).await;
        assert_eq!((fault.count(0), fault.count(0)), (Some(98), None));
        tokio::time::advance(SPAN).await;
        assert_eq!(fault.count(2), Some(2));
    }
}
