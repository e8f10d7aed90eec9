//! Conflation: limits the envelopes of a subject to one per interval; in between, the newest replaces earlier ones.
//! Pure.
//!
//! The first envelope is written at once. Of those that follow within the interval after a write, only the newest is
//! held, and is written when the interval is over. Held envelopes exist only in this memory:
//! [`Conflation::held_from`] returns the event from which a projector that takes over has to read again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tidings_model::{Envelope, EnvelopeSubject};
use time::OffsetDateTime;

/// Limits of what may be held. Beyond them nothing is lost: envelopes are written at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Subjects with a write within their interval.
    pub(crate) subjects: usize,
    /// Total bytes of held bodies.
    pub(crate) bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { subjects: 250_000, bytes: 128 * 1024 * 1024 }
    }
}

/// A time, and a number that distinguishes equal times.
type Due = (OffsetDateTime, u64);

#[derive(Debug, Default)]
pub(crate) struct Conflation {
    bounds: Bounds,
    slots: HashMap<EnvelopeSubject, Slot>,
    /// The end of each slot's interval, earliest first.
    due: BTreeMap<Due, EnvelopeSubject>,
    /// The event and part of each held envelope.
    held: BTreeSet<(u64, u32)>,
    bytes: usize,
    count: u64,
}

/// A subject with a write within its interval.
#[derive(Debug)]
struct Slot {
    interval: Duration,
    due: Due,
    held: Option<Held>,
}

/// An envelope, and when the stream stored its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) envelope: Envelope,
    pub(crate) stored_at: OffsetDateTime,
}

impl Conflation {
    #[cfg(test)]
    fn within(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Takes an envelope that is newer than all others of its subject; returns it if it is to be written now. An
    /// envelope without an interval always is. In both cases no earlier one of its subject is written any more.
    pub(crate) fn offer(
        &mut self,
        offered: Held,
        interval: Option<Duration>,
        now: OffsetDateTime,
    ) -> Option<Envelope> {
        let envelope = &offered.envelope;
        let superseded = self.slots.get_mut(&envelope.subject).and_then(|slot| slot.held.take());
        if let Some(superseded) = superseded {
            self.let_go(&superseded);
        }
        let known = self.slots.get(&envelope.subject).map(|slot| (slot.interval, slot.due.0));
        let has_room = self.bytes + envelope.body.len() <= self.bounds.bytes;
        match (interval, known) {
            (Some(_), Some((_, due))) if due > now && has_room => {
                self.hold(offered);
                None
            }
            (interval, known) => {
                if let Some(interval) = interval.or(known.map(|(interval, _)| interval)) {
                    self.written(&envelope.subject, interval, now);
                }
                Some(offered.envelope)
            }
        }
    }

    /// Notes that an envelope of this subject was written at this time.
    pub(crate) fn written(&mut self, subject: &EnvelopeSubject, interval: Duration, at: OffsetDateTime) {
        if let Some(slot) = self.slots.get(subject) {
            self.due.remove(&slot.due);
        } else if self.slots.len() >= self.bounds.subjects {
            return;
        }
        self.count += 1;
        let due = (at + interval, self.count);
        self.due.insert(due, subject.clone());
        let slot = self.slots.entry(subject.clone()).or_insert(Slot { interval, due, held: None });
        (slot.interval, slot.due) = (interval, due);
    }

    /// Holds an envelope again whose predecessor was written at this time. The limits do not apply: it was held
    /// before.
    pub(crate) fn restore(&mut self, held: Held, interval: Duration, written_at: OffsetDateTime) {
        let subject = held.envelope.subject.clone();
        self.count += 1;
        let due = (written_at + interval, self.count);
        self.due.insert(due, subject.clone());
        self.slots.insert(subject, Slot { interval, due, held: None });
        self.hold(held);
    }

    /// Whether the subject has a write within its interval.
    pub(crate) fn knows(&self, subject: &EnvelopeSubject) -> bool {
        self.slots.contains_key(subject)
    }

    /// The next due envelope. It counts as written now.
    pub(crate) fn release(&mut self, now: OffsetDateTime) -> Option<Envelope> {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let subject = entry.remove();
            let Some(mut slot) = self.slots.remove(&subject) else { continue };
            if let Some(held) = slot.held.take() {
                self.let_go(&held);
                self.written(&subject, slot.interval, now);
                return Some(held.envelope);
            }
        }
        None
    }

    /// Whether no subject has a write within its interval; then nothing is held either.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether an envelope is due.
    pub(crate) fn is_due(&self, now: OffsetDateTime) -> bool {
        self.due.first_key_value().is_some_and(|((due, _), _)| *due <= now)
    }

    /// The sequence of the oldest event of which an envelope is held.
    pub(crate) fn held_from(&self) -> Option<u64> {
        self.held.first().map(|(sequence, _)| *sequence)
    }

    /// The held envelopes.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Held> {
        self.slots.values().filter_map(|slot| slot.held.as_ref())
    }

    /// Removes the held envelopes that match, oldest first.
    pub(crate) fn take_held(&mut self, is_taken: impl Fn(&Held) -> bool) -> Vec<Held> {
        let taken = self.slots.values_mut().filter_map(|slot| slot.held.take_if(|held| is_taken(held)));
        let mut taken: Vec<_> = taken.collect();
        for held in &taken {
            self.let_go(held);
        }
        taken.sort_unstable_by_key(place);
        taken
    }

    fn hold(&mut self, held: Held) {
        let Some(slot) = self.slots.get_mut(&held.envelope.subject) else { return };
        self.held.insert(place(&held));
        self.bytes += held.envelope.body.len();
        slot.held = Some(held);
    }

    fn let_go(&mut self, held: &Held) {
        self.held.remove(&place(held));
        self.bytes -= held.envelope.body.len();
    }
}

fn place(held: &Held) -> (u64, u32) {
    (held.envelope.origin.event.sequence, held.envelope.origin.part)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;
    use proptest::prelude::*;
    use tidings_model::{Attributes, Epoch, Origin, Position};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn held(key: u8, sequence: u64) -> Held {
        let envelope = Envelope {
            subject: EnvelopeSubject::parse(&format!("envelopes.t.latest.all.-.progress.k{key}")).unwrap().0,
            event_id: String::new(),
            event_source: None,
            origin: Origin { event: Position { epoch: Epoch(1), sequence }, message: 0, part: 0 },
            attributes: Attributes::new(),
            expires_at: None,
            trace_parent: None,
            body: Bytes::from_static(b"0123456789"),
        };
        Held { envelope, stored_at: at(0) }
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// An event of this key, limited or not.
        Offer(u8, bool),
        /// This many seconds pass.
        Pass(u8),
        /// All due envelopes are written.
        Release,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0..4_u8, prop::bool::weighted(0.9)).prop_map(|(key, limited)| Step::Offer(key, limited)),
            4 => (0..8_u8).prop_map(Step::Pass),
            4 => Just(Step::Release),
        ];
        prop::collection::vec(step, 0..150)
    }

    /// A model of one key, in the words of the guarantee.
    #[derive(Default)]
    struct Naive {
        written: Option<i64>,
        held: Option<u64>,
    }

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds)
    }

    proptest! {
        #[test]
        fn like_looking_at_every_key(steps in steps()) {
            let (mut conflation, mut naive) = (Conflation::default(), HashMap::<u8, Naive>::new());
            let (mut now, mut sequence) = (0_i64, 0_u64);
            for step in steps {
                match step {
                    Step::Offer(key, limited) => {
                        sequence += 1;
                        let model = naive.entry(key).or_default();
                        let offered =
                            conflation.offer(held(key, sequence), limited.then_some(INTERVAL), at(now));
                        // A write without a limit opens an interval only on a subject that has one.
                        let waits = limited && model.written.is_some_and(|written| now < written + 10);
                        model.held = waits.then_some(sequence);
                        if !waits && (limited || model.written.is_some()) {
                            model.written = Some(now);
                        }
                        prop_assert_eq!(offered.map(|envelope| envelope.origin.event.sequence), (!waits).then_some(sequence));
                    }
                    Step::Pass(seconds) => now += i64::from(seconds),
                    Step::Release => {
                        let mut released = Vec::new();
                        while let Some(envelope) = conflation.release(at(now)) {
                            released.push(envelope.origin.event.sequence);
                        }
                        let mut expected = Vec::new();
                        for model in naive.values_mut() {
                            if model.written.is_some_and(|written| written + 10 <= now) {
                                let held = model.held.take();
                                model.written = held.map(|_| now);
                                expected.extend(held);
                            }
                        }
                        released.sort_unstable();
                        expected.sort_unstable();
                        prop_assert_eq!(released, expected);
                        prop_assert!(!conflation.is_due(at(now)));
                    }
                }
                let oldest = naive.values().filter_map(|model| model.held).min();
                prop_assert_eq!(conflation.held_from(), oldest);
                prop_assert_eq!(conflation.held().count(), naive.values().filter(|model| model.held.is_some()).count());
                prop_assert_eq!(conflation.bytes, 10 * conflation.held().count());
                prop_assert_eq!(conflation.due.len(), conflation.slots.len());
            }
        }

        /// However low the limits are, the last envelope of each subject is written, none twice, and none out of
        /// order.
        #[test]
        fn bounds_lose_nothing(steps in steps(), subjects in 0..3_usize, bytes in 0..30_usize) {
            let mut conflation = Conflation::within(Bounds { subjects, bytes });
            let (mut now, mut sequence) = (0_i64, 0_u64);
            let (mut offered, mut written) = (HashMap::new(), HashMap::<EnvelopeSubject, u64>::new());
            for step in steps.into_iter().chain([Step::Pass(20), Step::Release]) {
                let mut out = Vec::new();
                match step {
                    Step::Offer(key, limited) => {
                        sequence += 1;
                        let held = held(key, sequence);
                        offered.insert(held.envelope.subject.clone(), sequence);
                        out.extend(conflation.offer(held, limited.then_some(INTERVAL), at(now)));
                    }
                    Step::Pass(seconds) => now += i64::from(seconds),
                    Step::Release => out.extend(std::iter::from_fn(|| conflation.release(at(now)))),
                }
                for envelope in out {
                    let before = written.insert(envelope.subject, envelope.origin.event.sequence);
                    prop_assert!(before < Some(envelope.origin.event.sequence));
                }
                prop_assert!(conflation.slots.len() <= subjects && conflation.bytes <= bytes);
            }
            prop_assert_eq!(written, offered);
        }
    }

    #[test]
    fn what_is_dropped_is_not_written() {
        let mut conflation = Conflation::default();
        for sequence in 1..=4 {
            conflation.offer(held(u8::from(sequence % 2 == 0), sequence), Some(INTERVAL), at(0));
        }
        conflation.take_held(|held| held.envelope.origin.event.sequence == 3);
        let left: Vec<_> = std::iter::from_fn(|| conflation.release(at(10))).collect();
        assert_eq!(left, [held(1, 4).envelope]);
        assert_eq!((conflation.held_from(), conflation.bytes), (None, 0));
    }
}
