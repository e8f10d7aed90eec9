//! Fingerprints: the few bytes that are kept of an event to detect its repetition, whatever its size. Pure.
//!
//! The hashes are keyed with keys of this process, so that a producer cannot construct colliding ids. They never
//! leave the process.

use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};

use serde_json::Value;
use tidings_model::{Attempts, Event, Position, RawEvent, number};
use time::OffsetDateTime;

/// Makes fingerprints.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fingerprints {
    identity: [RandomState; 2],
    content: RandomState,
}

/// What identifies an event and its content for deduplication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Occurrence {
    /// Hash of source and id.
    pub(super) identity: u128,
    /// Hash of the event's content.
    pub(super) content: u64,
    /// When `EVENTS` stored the event.
    pub(super) stored_at: OffsetDateTime,
    /// The event's sequence in `EVENTS`.
    pub(super) sequence: u64,
    /// The position of the event's first attempt, and the number of attempts.
    pub(super) first: Position,
    pub(super) attempts: u32,
}

impl Fingerprints {
    /// Returns `None` for an event without an id of its producer, and for one that is delivered later: they have no
    /// repetitions.
    pub(super) fn of(&self, raw: &RawEvent, event: &Event) -> Option<Occurrence> {
        let identity = event.identity().filter(|_| event.delivery.is_none())?;
        let Attempts { first, tries, .. } = Attempts::of(raw);
        Some(Occurrence {
            identity: self.hash(identity),
            content: self.content(event),
            stored_at: event.stored_at,
            sequence: event.position.sequence,
            first,
            attempts: tries,
        })
    }

    /// Hash of what identifies an event that is delivered later.
    pub(super) fn schedule(&self, event: &Event) -> u128 {
        self.hash((&event.name, &event.source, &event.id))
    }

    fn hash(&self, identity: impl Hash) -> u128 {
        let [one, other] = self.identity.each_ref().map(|keys| keys.hash_one(&identity));
        u128::from(one) << 64 | u128::from(other)
    }

    fn content(&self, event: &Event) -> u64 {
        let mut hasher = self.content.build_hasher();
        (&event.name, &event.subject).hash(&mut hasher);
        self.write(&mut hasher, &event.data);
        hasher.finish()
    }

    /// Hashes values that are equal to [`number::is_same`] alike, and members in any order: a producer that sends an
    /// event again may write its members in another order.
    fn write(&self, hasher: &mut impl Hasher, value: &Value) {
        std::mem::discriminant(value).hash(hasher);
        match value {
            Value::Null => {}
            Value::Bool(value) => value.hash(hasher),
            Value::Number(value) => number::canonical(value).hash(hasher),
            Value::String(value) => value.hash(hasher),
            Value::Array(values) => {
                values.len().hash(hasher);
                for value in values {
                    self.write(hasher, value);
                }
            }
            Value::Object(members) => {
                let member = |(name, value): (&String, &Value)| {
                    let mut hasher = self.content.build_hasher();
                    name.hash(&mut hasher);
                    self.write(&mut hasher, value);
                    hasher.finish()
                };
                let all = members.iter().map(member).fold(0, u64::wrapping_add);
                (members.len(), all).hash(hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn raw(source: &str, id: &str, data: &Value) -> RawEvent {
        let event = json!({ "specversion": "1.0", "id": id, "source": source, "type": "t", "data": data });
        RawEvent {
            subject: "events.t.note.added".to_owned(),
            headers: Vec::new(),
            payload: event.to_string().into(),
            position: "1-7".parse().unwrap(),
            stored_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_an_event_says_counts_and_not_how_it_is_written() {
        let prints = Fingerprints::default();
        let of = |raw: &RawEvent| prints.of(raw, &raw.read().unwrap()).unwrap();
        let data = json!({ "n": 1, "list": [1, "a", null], "in": { "a": 1, "b": true } });
        let one = of(&raw("s", "1", &data));
        let again = json!({ "in": { "b": true, "a": 1.0 }, "list": [1e0, "a", null], "n": 1 });
        assert_eq!(of(&raw("s", "1", &again)), one);
        // What a gateway compares with before it stores an event.
        let says = |data: &Value| raw("s", "1", data).read().unwrap();
        assert!(says(&data).says_the_same(&says(&again)));
        let others = [
            json!({ "n": 2, "list": [1, "a", null], "in": { "a": 1, "b": true } }),
            json!({ "n": 1, "list": ["a", 1, null], "in": { "a": 1, "b": true } }),
            json!({ "n": 1, "list": [1, "a", null], "in": { "b": 1, "a": true } }),
            json!({ "n": "1", "list": [1, "a", null], "in": { "a": 1, "b": true } }),
            json!(null),
        ];
        for other_data in others {
            let other = of(&raw("s", "1", &other_data));
            assert_eq!(other.identity, one.identity);
            assert_ne!(other.content, one.content);
            assert!(!says(&data).says_the_same(&says(&other_data)));
        }
        let mut other_name = raw("s", "1", &data);
        other_name.subject = "events.t.note.removed".to_owned();
        assert_ne!(of(&other_name).content, one.content);
        for (source, id) in [("s", "2"), ("s1", ""), ("", "s1"), ("s2", "1")] {
            let raw = raw(source, id, &data);
            let other = prints.of(&raw, &raw.read().unwrap());
            assert!(other.is_none_or(|other| other.identity != one.identity), "{source} {id}");
        }
    }

    #[test]
    fn without_an_id_nothing_is_kept() {
        let plain = RawEvent { payload: "{}".into(), ..raw("", "", &json!(null)) };
        assert_eq!(Fingerprints::default().of(&plain, &plain.read().unwrap()), None);
    }
}
