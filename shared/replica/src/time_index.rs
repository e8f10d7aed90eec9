//! From a time to a place in the stream, to the minute. Pure.

use std::collections::VecDeque;

use time::OffsetDateTime;

/// For each minute in which something was stored, the sequence before the first of it.
#[derive(Debug, Default)]
pub(crate) struct TimeIndex(VecDeque<(i64, u64)>);

impl TimeIndex {
    /// An envelope was stored. Times that go backwards count as the latest minute.
    pub(crate) fn note(&mut self, stored_at: OffsetDateTime, sequence: u64) {
        let minute = minute_of(stored_at);
        if self.0.back().is_none_or(|(last, _)| *last < minute) {
            self.0.push_back((minute, sequence.saturating_sub(1)));
        }
    }

    /// The sequence before the first envelope of this minute or a later one; `None` if there is
    /// no such envelope.
    pub(crate) fn before(&self, time: OffsetDateTime) -> Option<u64> {
        let wanted = minute_of(time);
        let place = self.0.partition_point(|(minute, _)| *minute < wanted);
        self.0.get(place).map(|(_, before)| *before)
    }

    /// Forgets minutes of which nothing is left.
    pub(crate) fn retain_from(&mut self, first: u64) {
        while self.0.get(1).is_some_and(|(_, before)| *before < first) {
            self.0.pop_front();
        }
    }
}

fn minute_of(time: OffsetDateTime) -> i64 {
    time.unix_timestamp().div_euclid(60)
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_lead_to_sequences() {
        let start = datetime!(2025-01-17 10:30:30 UTC);
        let mut index = TimeIndex::default();
        assert_eq!(index.before(start), None);
        for (seconds, sequence) in [(0, 5), (20, 6), (40, 7), (100, 9), (95, 10), (600, 20)] {
            index.note(start + Duration::seconds(seconds), sequence);
        }
        for (seconds, before) in
            [(-99, Some(4)), (0, Some(4)), (20, Some(4)), (31, Some(6)), (150, Some(19)), (700, None)]
        {
            assert_eq!(index.before(start + Duration::seconds(seconds)), before, "{seconds}");
        }
        index.retain_from(9);
        assert_eq!(index.before(start), Some(8));
        index.retain_from(100);
        assert_eq!(index.before(start), Some(19));
    }
}
