//! Limits the log lines of a frequent fault: one line with a count, at most once in a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The minimum time between two lines.
const SPAN: Duration = Duration::from_secs(10);

/// A fault that is counted, and logged now and then.
#[derive(Debug, Default)]
pub struct Complaint(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// How many times it happened since it was last logged.
    unsaid: u64,
    said_at: Option<Instant>,
}

impl Complaint {
    /// Counts a fault `times` times. Returns how many times it happened since it was last logged, if it is to be logged
    /// now.
    pub fn count(&self, times: usize) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.unsaid = counted.unsaid.saturating_add(u64::try_from(times).unwrap_or(u64::MAX));
        if counted.unsaid == 0 || counted.said_at.is_some_and(|at| at.elapsed() < SPAN) {
            return None;
        }
        counted.said_at = Some(Instant::now());
        Some(std::mem::take(&mut counted.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_tells_of_all_that_happened_since_the_last() {
        let complaint = Complaint::default();
        assert_eq!(complaint.count(0), None);
        assert_eq!(complaint.count(1), Some(1));
        assert_eq!((complaint.count(1), complaint.count(97)), (None, None));
        tokio::time::advance(SPAN).await;
        assert_eq!((complaint.count(0), complaint.count(0)), (Some(98), None));
        tokio::time::advance(SPAN).await;
        assert_eq!(complaint.count(2), Some(2));
    }
}
