//! Waiting for a condition, with a bound.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

/// A bound for what takes milliseconds on an idle machine; exceeding it means that it does not happen.
pub const BOUND: Duration = Duration::from_secs(30);

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Probes until the outcome is `Ok` and returns that. After `bound` the test fails with the last `Err`.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let mut tries = 0;
/// let third = harness::eventually("a third try", harness::BOUND, async || {
///     tries += 1;
///     if tries < 3 { Err(format!("{tries} tries")) } else { Ok(tries) }
/// });
/// assert_eq!(third.await, 3);
/// # });
/// ```
pub async fn eventually<T, E: Display>(
    what: &str,
    bound: Duration,
    probe: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    within(what, bound, probe).await.unwrap_or_else(|failure| panic!("{failure}"))
}

/// As [`eventually`], for a caller that has something to do before the test fails.
pub async fn within<T, E: Display>(
    what: &str,
    bound: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, String> {
    let deadline = Instant::now() + bound;
    let mut last_seen = "no probe came to an end".to_owned();
    // A probe that is ready at once is never cut off by the timeout, hence the condition of the loop.
    while Instant::now() < deadline {
        match timeout_at(deadline, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(state)) => last_seen = state.to_string(),
            Err(_elapsed) => break,
        }
        sleep_until(deadline.min(Instant::now() + POLL_INTERVAL)).await;
    }
    Err(format!("not within {bound:?}: {what}; last seen: {last_seen}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "not within 50ms: the impossible; last seen: never")]
    async fn a_failure_tells_what_was_seen_last() {
        eventually("the impossible", Duration::from_millis(50), async || Err::<(), _>("never")).await;
    }

    #[tokio::test]
    #[should_panic(expected = "last seen: no probe came to an end")]
    async fn a_probe_that_hangs_is_bounded_too() {
        eventually("a hanging probe", Duration::from_millis(50), async || {
            std::future::pending::<Result<(), String>>().await
        })
        .await;
    }
}
