//! What the log says of a fault that many run into, again and again: one line with a count, at most once in a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often a line is written at most.
const SPAN: Duration = Duration::from_secs(10);

/// A fault that is counted, and said now and then.
#[derive(Debug, Default)]
pub struct Complaint(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// How often it happened and was not said.
    unsaid: u64,
    said_at: Option<Instant>,
}

impl Complaint {
    /// It happened so many times more. Returns how often it happened since it was last said, if it is to be said now.
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
