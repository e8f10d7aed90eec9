//! How long to wait between attempts. Pure: randomness is passed in.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The waits before each attempt, the first included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPlan {
    waits: Vec<Duration>,
}

impl RetryPlan {
    /// The share of a wait by which jitter may lengthen it, so that what failed together is not repeated together.
    const JITTER: f64 = 0.2;
    /// The longest wait that a receiver may ask for.
    const LONGEST: Duration = Duration::from_secs(24 * HOUR);

    /// Creates a plan from the waits before each attempt.
    #[must_use]
    pub fn new(waits: impl Into<Vec<Duration>>) -> Self {
        Self { waits: waits.into() }
    }

    /// Returns the wait before the next attempt, or nothing if no attempt is left.
    ///
    /// `attempts` is the number of attempts that were made, `jitter` a random number from 0 to 1, and `retry_after` the
    /// time that the receiver asked for.
    #[must_use]
    pub fn wait(&self, attempts: usize, jitter: f64, retry_after: Option<Duration>) -> Option<Duration> {
        let wait = self.waits.get(attempts)?;
        let asked = retry_after.unwrap_or_default().min(Self::LONGEST);
        Some((*wait).max(asked).mul_f64(1.0 + Self::JITTER * jitter.clamp(0.0, 1.0)))
    }
}

/// At once, and after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h: what Standard Webhooks recommends.
impl Default for RetryPlan {
    fn default() -> Self {
        let seconds = [0, 5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR];
        Self { waits: seconds.map(Duration::from_secs).into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_is_what_standard_webhooks_recommends() {
        let plan = RetryPlan::default();
        let waits: Vec<u64> =
            (0..).map_while(|attempts| plan.wait(attempts, 0.0, None)).map(|wait| wait.as_secs()).collect();
        assert_eq!(waits, [0, 5, 300, 1_800, 7_200, 18_000, 36_000]);
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_but_not_for_ever_and_not_for_less() {
        let plan = RetryPlan::default();
        let hour = Duration::from_secs(HOUR);
        assert_eq!(plan.wait(1, 0.0, Some(hour)), Some(hour));
        assert_eq!(plan.wait(4, 0.0, Some(hour)), Some(2 * hour));
        assert_eq!(plan.wait(1, 0.0, Some(Duration::MAX)), Some(24 * hour));
        assert_eq!(plan.wait(7, 0.0, Some(hour)), None);
    }

    proptest! {
        #[test]
        fn jitter_only_lengthens_and_by_a_fifth_at_most(attempts in 0_usize..7, jitter in 0.0..=1.0) {
            let plan = RetryPlan::default();
            let (least, wait) = (plan.wait(attempts, 0.0, None).unwrap(), plan.wait(attempts, jitter, None).unwrap());
            prop_assert!(wait >= least && wait <= least.mul_f64(1.2));
        }
    }
}
