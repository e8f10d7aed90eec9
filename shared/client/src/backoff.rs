//! How long a client waits before it connects again. Pure.

use std::time::Duration;

/// After how long a client connects again, and how often it tries.
#[derive(Debug, Clone)]
pub struct Reconnect {
    delays: Vec<Duration>,
    attempts: Option<usize>,
    spread: bool,
}

impl Default for Reconnect {
    /// 3, 6, 12, 24 and from then on 48 seconds, without end.
    fn default() -> Self {
        Self::after([3, 6, 12, 24, 48].map(Duration::from_secs))
    }
}

impl Reconnect {
    /// Waits this long before each attempt; the last counts for all further ones. None of them: not at all.
    #[must_use]
    pub fn after(delays: impl IntoIterator<Item = Duration>) -> Self {
        Self { delays: delays.into_iter().collect(), attempts: None, spread: false }
    }

    /// Gives up after so many failures in a row.
    #[must_use]
    pub fn attempts(self, attempts: usize) -> Self {
        Self { attempts: Some(attempts), ..self }
    }

    /// Shortens each wait at random, to no less than its half, so that clients do not come all at once.
    #[must_use]
    pub fn spread(self) -> Self {
        Self { spread: true, ..self }
    }

    /// The wait after so many failures in a row; `None` if they are enough. `random` lies in 0 to 1.
    pub(crate) fn delay(&self, failures: usize, random: f64) -> Option<Duration> {
        if self.attempts.is_some_and(|attempts| failures >= attempts) {
            return None;
        }
        let index = failures.saturating_sub(1).min(self.delays.len().saturating_sub(1));
        let delay = self.delays.get(index).copied().unwrap_or_default();
        Some(if self.spread { delay.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0) } else { delay })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_last() {
        let seconds = |reconnect: &Reconnect, random| {
            let delays = (1..=6).map(|failures| reconnect.delay(failures, random));
            delays.map(|delay| delay.map(|delay| delay.as_secs_f64())).collect::<Vec<_>>()
        };
        let some = |all: [f64; 6]| all.map(Some).to_vec();
        let documented = Reconnect::default();
        assert_eq!(seconds(&documented, 0.3), some([3.0, 6.0, 12.0, 24.0, 48.0, 48.0]));
        assert_eq!(seconds(&documented.clone().spread(), 0.0), some([1.5, 3.0, 6.0, 12.0, 24.0, 24.0]));
        assert_eq!(seconds(&documented.clone().spread(), 1.0), some([3.0, 6.0, 12.0, 24.0, 48.0, 48.0]));
        let five = documented.attempts(5);
        assert_eq!(seconds(&five, 0.0)[3..], [Some(24.0), None, None]);
        assert_eq!(seconds(&Reconnect::after([]), 0.0), some([0.0; 6]));
    }
}
