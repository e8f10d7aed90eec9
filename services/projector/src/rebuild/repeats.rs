//! Events that came again within the window in which the server takes them for the same. Pure.
//!
//! Live projecting leaves that to the server. What is made anew is written within moments, so there the times count at
//! which the events were stored.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tidings_model::Envelope;
use time::OffsetDateTime;

pub(crate) struct Repeats {
    window: Duration,
    seen: HashSet<Id>,
    in_order: VecDeque<(OffsetDateTime, Id)>,
}

type Id = (Option<String>, String);

impl Repeats {
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, seen: HashSet::new(), in_order: VecDeque::new() }
    }

    /// Whether the event of this envelope, stored then, came before within the window. What came again does not prolong
    /// it.
    pub(crate) fn is_repeat(&mut self, envelope: &Envelope, stored_at: OffsetDateTime) -> bool {
        while let Some((_, past)) = self.in_order.front().filter(|(at, _)| *at + self.window <= stored_at) {
            self.seen.remove(past);
            self.in_order.pop_front();
        }
        let id = (envelope.event_source.clone(), envelope.event_id.clone());
        if self.seen.contains(&id) {
            return true;
        }
        self.in_order.push_back((stored_at, id.clone()));
        self.seen.insert(id);
        false
    }
}

#[cfg(test)]
mod tests {
    use tidings_model::{Attributes, EnvelopeSubject, Epoch, Origin, Position};

    use super::*;

    #[test]
    fn what_comes_again_within_the_window_is_the_same() {
        let mut repeats = Repeats::new(Duration::from_secs(10));
        for (second, source, id, expected) in [
            (0, "a", "1", false),
            (9, "a", "1", true),
            (9, "b", "1", false),
            (9, "a", "2", false),
            (10, "a", "1", false),
            (19, "a", "1", true),
            (19, "a", "2", false),
            (40, "a", "2", false),
        ] {
            let envelope = Envelope {
                subject: EnvelopeSubject::parse("envelopes.t.durable.all.-.note.-").unwrap().0,
                event_id: id.to_owned(),
                event_source: Some(source.to_owned()),
                origin: Origin { event: Position { epoch: Epoch(1), sequence: 1 }, message: 0, part: 0 },
                attributes: Attributes::new(),
                expires_at: None,
                trace_parent: None,
                body: bytes::Bytes::new(),
            };
            let at = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(second);
            assert_eq!(repeats.is_repeat(&envelope, at), expected, "{id} of {source} at {second}");
        }
        assert_eq!(repeats.seen.len(), 1, "what is past is forgotten");
    }
}
