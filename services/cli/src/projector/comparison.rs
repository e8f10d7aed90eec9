//! Compares the envelopes that a rebuild would write with those in the stream. Pure.
//!
//! Both are compared event by event, so that neither is held in memory as a whole. A digest is kept for each `latest`
//! subject whose rebuilt envelope is missing in the stream. Usually a newer envelope has replaced it, and the digest
//! is dropped when that one is read.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tidings_catalog::Rejection;
use tidings_model::{Class, Envelope, EnvelopeSubject, Origin, RawEvent};

/// The number of examples of each kind.
const EXAMPLES: usize = 3;

/// Differences between the envelopes of one event.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    /// Envelopes that would stay the same.
    pub(crate) same: Vec<Envelope>,
    /// Stored envelopes and what would replace them.
    pub(crate) different: Vec<(Envelope, Envelope)>,
    /// Envelopes that would be written and are not in the stream.
    pub(crate) new: Vec<Envelope>,
    /// Envelopes in the stream that would not be written.
    pub(crate) gone: Vec<Envelope>,
}

/// Pairs the envelopes of one event: first by subject, then by class and address.
pub(crate) fn pair(there: Vec<Envelope>, made: Vec<Envelope>) -> Pairs {
    let mut pairs = Pairs::default();
    let (there, left) =
        pair_by(there, made, |envelope| envelope.subject.clone(), |one, other| pairs.take(one, other));
    let place = |envelope: &Envelope| (envelope.subject.class, envelope.subject.address.clone());
    let (gone, new) = pair_by(there, left, place, |one, other| pairs.take(one, other));
    Pairs { new, gone, ..pairs }
}

impl Pairs {
    fn take(&mut self, there: Envelope, made: Envelope) {
        if is_same(&there, &made) { self.same.push(made) } else { self.different.push((there, made)) }
    }
}

/// Pairs envelopes with the same key, in order; returns those without a counterpart.
fn pair_by<K: Eq + std::hash::Hash>(
    there: Vec<Envelope>,
    made: Vec<Envelope>,
    key: impl Fn(&Envelope) -> K,
    mut paired: impl FnMut(Envelope, Envelope),
) -> (Vec<Envelope>, Vec<Envelope>) {
    let mut waiting: HashMap<K, VecDeque<Envelope>> = HashMap::new();
    for envelope in there {
        waiting.entry(key(&envelope)).or_default().push_back(envelope);
    }
    let mut left = Vec::new();
    for envelope in made {
        match waiting.get_mut(&key(&envelope)).and_then(VecDeque::pop_front) {
            Some(counterpart) => paired(counterpart, envelope),
            None => left.push(envelope),
        }
    }
    let mut unpaired: Vec<_> = waiting.into_values().flatten().collect();
    unpaired.sort_by_key(|envelope| envelope.origin.part);
    (unpaired, left)
}

/// Whether two envelopes are the same for clients. The stream stores expiry times in whole seconds.
fn is_same(there: &Envelope, made: &Envelope) -> bool {
    let second = |envelope: &Envelope| envelope.expires_at.map(time::OffsetDateTime::unix_timestamp);
    there.subject == made.subject
        && there.body == made.body
        && there.attributes == made.attributes
        && second(there) == second(made)
}

/// The result so far.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// The number of compared events.
    pub(crate) events: u64,
    /// The number of events that are not projected yet.
    pub(crate) waiting: u64,
    /// The number of envelopes that would stay the same.
    pub(crate) same: u64,
    /// Envelopes that would change.
    pub(crate) different: Kind<(Envelope, Option<Envelope>)>,
    /// Envelopes that would be new.
    pub(crate) new: Kind<Envelope>,
    /// Envelopes that would be gone.
    pub(crate) gone: Kind<Envelope>,
    /// The number of envelopes of events that a rebuild would not project.
    pub(crate) older: u64,
    /// Rejected events, by reason.
    pub(crate) reasons: BTreeMap<&'static str, u64>,
    /// Some rejected events.
    pub(crate) rejected: Vec<(RawEvent, Rejection)>,
    /// Envelopes of `latest` subjects that would be written and are not in the stream, unless a newer one has
    /// replaced them.
    open: HashMap<EnvelopeSubject, Open>,
}

/// The number of differences of a kind, and some examples.
#[derive(Debug)]
pub(crate) struct Kind<E> {
    pub(crate) count: u64,
    pub(crate) examples: Vec<E>,
}

impl<E> Default for Kind<E> {
    fn default() -> Self {
        Self { count: 0, examples: Vec::new() }
    }
}

impl<E> Kind<E> {
    fn add(&mut self, example: impl FnOnce() -> Option<E>) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.extend(example());
        }
    }
}

#[derive(Debug)]
struct Open {
    origin: Origin,
    /// Digest of what clients receive.
    digest: u64,
    /// The envelope itself, for the first few.
    envelope: Option<Envelope>,
}

impl Comparison {
    /// Whether a rebuild would change nothing.
    pub(crate) fn is_equal(&self) -> bool {
        self.different.count == 0 && self.new.count == 0 && self.gone.count == 0
    }

    /// Adds the envelopes of the next event.
    pub(crate) fn take(&mut self, pairs: Pairs) {
        for envelope in pairs.same {
            self.same += 1;
            self.open.remove(&envelope.subject);
        }
        for (there, made) in pairs.different {
            self.open.remove(&made.subject);
            self.different.add(|| Some((there, Some(made))));
        }
        for envelope in pairs.new {
            if envelope.subject.class == Class::Latest {
                self.leave_open(envelope);
            } else {
                self.new.add(|| Some(envelope));
            }
        }
        for envelope in pairs.gone {
            self.gone.add(|| Some(envelope));
        }
    }

    /// Adds an envelope that is stored behind those of later events. A held envelope is, and its counterpart is open;
    /// one without a counterpart would not be written.
    pub(crate) fn take_late(&mut self, there: Envelope) {
        let is_counterpart = |open: &Open| open.origin.event == there.origin.event;
        if !self.open.get(&there.subject).is_some_and(is_counterpart) {
            return self.gone.add(|| Some(there));
        }
        let open = self.open.remove(&there.subject);
        match open {
            Some(open) if open.digest != digest(&there) => {
                self.different.add(|| Some((there, open.envelope)));
            }
            _ => self.same += 1,
        }
    }

    /// Adds an event that the catalog rejects.
    pub(crate) fn reject(&mut self, event: RawEvent, rejection: Rejection) {
        *self.reasons.entry(rejection.reason.as_str()).or_default() += 1;
        if self.rejected.len() < EXAMPLES {
            self.rejected.push((event, rejection));
        }
    }

    /// Ends the comparison: open envelopes would be new.
    pub(crate) fn finish(mut self) -> Self {
        for (_, open) in std::mem::take(&mut self.open) {
            self.new.add(|| open.envelope);
        }
        self
    }

    fn leave_open(&mut self, envelope: Envelope) {
        let has_room = self.open.values().take(EXAMPLES).count() < EXAMPLES;
        let (subject, origin, digest) = (envelope.subject.clone(), envelope.origin, digest(&envelope));
        self.open.insert(subject, Open { origin, digest, envelope: has_room.then_some(envelope) });
    }
}

fn digest(envelope: &Envelope) -> u64 {
    let mut hasher = DefaultHasher::new();
    let expires_at = envelope.expires_at.map(time::OffsetDateTime::unix_timestamp);
    (&envelope.subject, &envelope.body, &envelope.attributes, expires_at).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use tidings_model::{Attributes, Epoch, Position};

    use super::*;

    /// `<event>.<part> <subject behind the tenant> <body>`
    fn envelope(text: &str) -> Envelope {
        let mut words = text.splitn(3, ' ');
        let (event, part) = words.next().unwrap().split_once('.').unwrap();
        let subject = format!("envelopes.t.{}", words.next().unwrap());
        let event = Position { epoch: Epoch(1), sequence: event.parse().unwrap() };
        Envelope {
            subject: EnvelopeSubject::parse(&subject).unwrap().0,
            event_id: format!("e{}", event.sequence),
            event_source: None,
            origin: Origin { event, message: 0, part: part.parse().unwrap() },
            attributes: Attributes::new(),
            expires_at: None,
            trace_parent: None,
            body: words.next().unwrap().to_owned().into(),
        }
    }

    fn envelopes(texts: &[&str]) -> Vec<Envelope> {
        texts.iter().map(|text| envelope(text)).collect()
    }

    #[track_caller]
    fn check(comparison: &Comparison, expected: [u64; 4]) {
        let Comparison { same, different, new, gone, .. } = comparison;
        assert_eq!([*same, different.count, new.count, gone.count], expected, "{comparison:?}");
        assert_eq!(comparison.is_equal(), expected[1..] == [0, 0, 0]);
    }

    #[test]
    fn envelopes_of_an_event_are_paired_by_where_they_go() {
        let mut comparison = Comparison::default();
        let there =
            ["1.0 durable.user.ada.note.- a", "1.1 durable.user.bob.note.- b", "1.2 durable.all.-.note.- c"];
        // Ada receives another part of the event, bob's message differs, and a topic replaces all.
        let made = [
            "1.1 durable.user.ada.note.- a",
            "1.0 durable.user.bob.memo.- b",
            "1.2 durable.topic.x.note.- c",
        ];
        comparison.take(pair(envelopes(&there), envelopes(&made)));
        comparison.take(pair(
            envelopes(&["2.0 durable.all.-.note.- a"]),
            envelopes(&["2.0 durable.all.-.note.- b"]),
        ));
        let comparison = comparison.finish();
        check(&comparison, [1, 2, 1, 1]);
        assert_eq!(comparison.gone.examples, envelopes(&there[2..]));
        assert_eq!(comparison.new.examples, envelopes(&made[2..]));
    }

    #[test]
    fn of_the_latest_only_the_newest_counts() {
        let latest =
            |event: u64, key: &str| envelope(&format!("{event}.0 latest.all.-.job.{key} body-{event}"));
        let mut comparison = Comparison::default();
        for event in 1..=9 {
            comparison.take(pair(Vec::new(), vec![latest(event, "a")]));
        }
        assert_eq!(comparison.open.len(), 1);
        // Only the newest is still in the stream.
        comparison.take(pair(vec![latest(10, "a")], vec![latest(10, "a")]));
        assert_eq!(comparison.open.len(), 0);
        // The newest of b is missing, and one of c would not be written.
        comparison.take(pair(Vec::new(), vec![latest(11, "b")]));
        comparison.take(pair(vec![latest(12, "c")], Vec::new()));
        check(&comparison.finish(), [1, 0, 1, 1]);
    }

    #[test]
    fn what_was_held_back_is_found_again() {
        let held = |body: &str| envelope(&format!("2.0 latest.all.-.job.a {body}"));
        for (body, expected) in [("x", [2, 0, 0, 0]), ("y", [1, 1, 0, 0])] {
            let mut comparison = Comparison::default();
            comparison.take(pair(Vec::new(), vec![held("x")]));
            let note = envelope("3.0 durable.all.-.note.- n");
            comparison.take(pair(vec![note.clone()], vec![note]));
            comparison.take_late(held(body));
            check(&comparison.finish(), expected);
        }
    }

    #[test]
    fn few_examples_are_kept() {
        let mut comparison = Comparison::default();
        for event in 1..=100 {
            let made = envelope(&format!("{event}.0 latest.all.-.job.{event} x"));
            let there = envelope(&format!("{event}.1 durable.all.-.note.- x"));
            comparison.take(pair(vec![there], vec![made]));
        }
        let comparison = comparison.finish();
        check(&comparison, [0, 0, 100, 100]);
        assert_eq!((comparison.new.examples.len(), comparison.gone.examples.len()), (3, 3));
    }
}
