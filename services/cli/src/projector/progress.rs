//! Describes the progress of a rebuild. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tidings_model::{Place, Placement, Progress, Rebuild};
use tokio::time::Instant;

/// The time over which the rate is measured.
const WINDOW: Duration = Duration::from_secs(10);

/// The state of a requested rebuild.
#[derive(Debug, PartialEq)]
pub(crate) enum State<'p> {
    /// It waits for its projector, or is in progress.
    UnderWay(&'p Rebuild),
    /// It has become the current generation.
    Done,
    /// It was cancelled.
    Cancelled,
}

/// The state, according to a placement, of the rebuild that produces `place`.
pub(crate) fn state(placement: &Placement, place: Place) -> State<'_> {
    match &placement.next {
        Some(rebuild) if rebuild.place == place => State::UnderWay(rebuild),
        _ if placement.places().any(|known| known == place) => State::Done,
        _ => State::Cancelled,
    }
}

/// The rate at which events are projected.
#[derive(Debug, Default)]
pub(crate) struct Pace(VecDeque<(Instant, u64)>);

impl Pace {
    /// Notes how many events were done at this time.
    pub(crate) fn note(&mut self, at: Instant, events: u64) {
        match self.0.back() {
            Some((_, last)) if *last == events => return,
            // A projector that took over started from the beginning.
            Some((_, last)) if *last > events => self.0.clear(),
            _ => {}
        }
        self.0.push_back((at, events));
        while self.0.get(1).is_some_and(|(second, _)| at - *second >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// Events per second over the last seconds, if known.
    #[expect(clippy::cast_precision_loss, reason = "it is shown to people, rounded")]
    fn per_second(&self) -> Option<f64> {
        let ((first, before), (last, after)) = (self.0.front()?, self.0.back()?);
        let seconds = (*last - *first).as_secs_f64();
        (seconds > 0.0).then(|| (after - before) as f64 / seconds)
    }

    /// The progress on one line.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is shown to people, rounded"
    )]
    pub(crate) fn line(&self, progress: &Progress) -> String {
        let Progress { events, left, envelopes, rejected, .. } = progress;
        let rate = self.per_second().map(|rate| {
            let remaining = Duration::from_secs((*left as f64 / rate).ceil() as u64);
            format!(", {rate:.0} events/s, {} left", humantime::format_duration(remaining))
        });
        let rate = rate.unwrap_or_default();
        format!("{events} events done, {left} left{rate}; {envelopes} envelopes, {rejected} rejected")
    }
}

#[cfg(test)]
mod tests {
    use tidings_model::{Position, ShardNumber};

    use super::*;

    #[test]
    fn a_rebuild_is_under_way_until_it_is_current_or_gone() {
        let mut placement = Placement::default();
        assert!(placement.request(ShardNumber(0), None, 5));
        let rebuild = placement.next.clone().unwrap();
        let place = rebuild.place;
        assert_eq!(state(&placement, place), State::UnderWay(&rebuild));
        let cancelled = Placement { next: None, ..placement.clone() };
        assert_eq!(state(&cancelled, place), State::Cancelled);
        let position = Position { epoch: tidings_model::Epoch(1), sequence: 1 };
        placement.switch(place, position);
        assert_eq!(state(&placement, place), State::Done);
        // The next rebuild is another one.
        assert!(placement.request(ShardNumber(1), None, 6));
        assert_eq!(state(&placement, place), State::Done);
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let said = |pace: &Pace, events, left| {
            pace.line(&Progress { events, left, envelopes: 7, rejected: 1, at: 0 })
        };
        pace.note(after(0), 0);
        assert_eq!(said(&pace, 0, 500), "0 events done, 500 left; 7 envelopes, 1 rejected");
        pace.note(after(1), 100);
        pace.note(after(1), 100);
        let line = "100 events done, 400 left, 100 events/s, 4s left; 7 envelopes, 1 rejected";
        assert_eq!(said(&pace, 100, 400), line);
        for second in 2..=20 {
            pace.note(after(second), 100 + second * 50);
        }
        assert!(said(&pace, 1_100, 6_000).contains("6000 left, 50 events/s, 2m left"), "{pace:?}");
        // Another projector took over and started from the beginning.
        pace.note(after(21), 10);
        pace.note(after(22), 20);
        assert!(said(&pace, 20, 100).contains(", 10 events/s, 10s left"), "{pace:?}");
    }
}
