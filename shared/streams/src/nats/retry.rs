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

    /// What an attempt returned, if it succeeded; otherwise waits until the next one may begin.
    ///
    /// ```ignore
    /// let answer = loop {
    ///     if let Some(answer) = retry.done(ask().await).await {
    ///         break answer;
    ///     }
    /// };
    /// ```
    pub async fn done<T, E: Error + 'static>(&mut self, attempt: Result<T, E>) -> Option<T> {
        self.settled(attempt, |_| false).await?.ok()
    }

    /// What an attempt returned, if it succeeded or failed for good; otherwise waits until the next one may begin.
    pub async fn settled<T, E: Error + 'static>(
        &mut self,
        attempt: Result<T, E>,
        is_final: impl Fn(&E) -> bool,
    ) -> Option<Result<T, E>> {
        match &attempt {
            Ok(_) => self.succeeded(),
            Err(error) if is_final(error) => {}
            Err(error) => {
                self.failed(error);
                self.wait().await;
                return None;
            }
        }
        Some(attempt)
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

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::time::Instant;

    use super::*;

    fn failure(kind: io::ErrorKind) -> Result<(), io::Error> {
        Err(kind.into())
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_fails_is_followed_by_a_pause_and_one_that_succeeds_by_none() {
        let (mut retry, began) = (Retry::to("count to five"), Instant::now());
        for _ in 0..4 {
            assert_eq!(retry.done(failure(io::ErrorKind::TimedOut)).await, None);
        }
        // 50, 100, 200 and 400 ms, each by up to a half shorter.
        assert!(began.elapsed() >= Duration::from_millis(375), "{:?}", began.elapsed());
        let began = Instant::now();
        assert_eq!(retry.done(Ok::<_, io::Error>(5)).await, Some(5));
        retry.wait().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_good_is_returned_at_once() {
        let is_final = |error: &io::Error| error.kind() == io::ErrorKind::InvalidInput;
        let mut retry = Retry::to("count to two");
        assert!(retry.settled(failure(io::ErrorKind::TimedOut), is_final).await.is_none());
        let began = Instant::now();
        let settled = retry.settled(failure(io::ErrorKind::InvalidInput), is_final).await;
        assert_eq!(settled.unwrap().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
