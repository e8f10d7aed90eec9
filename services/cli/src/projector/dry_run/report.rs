//! Formats the result of a comparison, as text and as JSON. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tidings_catalog::Rejection;
use tidings_model::{Envelope, Place, RawEvent, Tenant};
use time::OffsetDateTime;

use super::super::comparison::Comparison;
use super::super::paths::{Change, changes};
use crate::output::{rfc3339, visible, visible_name};

/// The number of differing paths that are shown of one envelope.
const PATHS: usize = 8;
/// The number of characters that are shown of a value.
const WIDTH: usize = 160;

pub(super) struct Report<'r> {
    pub(super) tenant: &'r Tenant,
    pub(super) place: Place,
    pub(super) since: Option<OffsetDateTime>,
    pub(super) comparison: &'r Comparison,
}

impl Report<'_> {
    /// The result as several lines, without the last line break.
    pub(super) fn text(&self) -> String {
        let Comparison { events, same, different, new, gone, .. } = self.comparison;
        let Place { shard, generation } = self.place;
        let mut text =
            format!("tenant {}, shard {shard}, generation {generation}: {events} events", self.tenant);
        if let Some(since) = self.since() {
            let _ = write!(text, " since {since}");
        }
        let counts = [
            ("envelopes that would be the same", *same),
            ("that would be different", different.count),
            ("that would be new", new.count),
            ("that would be gone", gone.count),
            ("of events that are older than these, which are not compared", self.comparison.older),
            ("events that are not projected yet, which are not compared", self.comparison.waiting),
        ];
        for (index, (what, count)) in counts.into_iter().enumerate() {
            // Rare kinds are only shown if there are any.
            if index < 4 || count > 0 {
                let _ = write!(text, "\n{count:>10} {what}");
            }
        }
        self.tell_rejected(&mut text);
        self.tell_examples(&mut text);
        if self.comparison.is_equal() {
            text.push_str("\nnothing would differ");
        }
        text
    }

    fn tell_rejected(&self, text: &mut String) {
        let reasons: Vec<_> =
            self.comparison.reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        if !reasons.is_empty() {
            let rejected: u64 = self.comparison.reasons.values().sum();
            let _ = write!(text, "\n{rejected:>10} events rejected: {}", reasons.join(", "));
        }
        for (event, rejection) in &self.comparison.rejected {
            let subject = visible_name(&event.subject);
            let why = rejection.to_string();
            let _ = write!(text, "\nrejected: {} {subject}: {}", event.position, visible(&why));
        }
    }

    fn tell_examples(&self, text: &mut String) {
        for (there, made) in &self.comparison.different.examples {
            let _ = write!(text, "\ndifferent: {}", named(there));
            let changes = made.as_ref().map(|made| differences(there, made)).unwrap_or_default();
            for change in changes.iter().take(PATHS) {
                let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), short);
                let _ = write!(
                    text,
                    "\n  {}: {} → {}",
                    visible_name(&change.pointer),
                    shown(&change.before),
                    shown(&change.after)
                );
            }
            if changes.len() > PATHS {
                let _ = write!(text, "\n  and {} more", changes.len() - PATHS);
            }
        }
        let new = self.comparison.new.examples.iter().map(|envelope| ("new", envelope));
        let gone = self.comparison.gone.examples.iter().map(|envelope| ("gone", envelope));
        for (what, envelope) in new.chain(gone) {
            let _ = write!(text, "\n{what}: {}\n  {}", named(envelope), short(&body(envelope)));
        }
    }

    /// The result as one object.
    pub(super) fn json(&self) -> Value {
        let Comparison { different, new, gone, reasons, rejected, .. } = self.comparison;
        let different_examples = different.examples.iter().map(|(there, made)| {
            let changes = made.as_ref().map(|made| differences(there, made)).unwrap_or_default();
            described(there, "changes", &changes.iter().map(change).collect())
        });
        let whole = |envelope: &Envelope| described(envelope, "message", &body(envelope));
        json!({
            "tenant": self.tenant,
            "shard": self.place.shard,
            "generation": self.place.generation,
            "since": self.since.map(tidings_model::rfc3339),
            "events": self.comparison.events,
            "not_projected_yet": self.comparison.waiting,
            "same": self.comparison.same,
            "different": different.count,
            "new": new.count,
            "gone": gone.count,
            "older": self.comparison.older,
            "rejected": reasons,
            "examples": {
                "different": different_examples.collect::<Vec<_>>(),
                "new": new.examples.iter().map(whole).collect::<Vec<_>>(),
                "gone": gone.examples.iter().map(whole).collect::<Vec<_>>(),
                "rejected": rejected.iter().map(refused).collect::<Vec<_>>(),
            },
        })
    }

    fn since(&self) -> Option<String> {
        self.since.map(|since| rfc3339(super::super::seconds(since)))
    }
}

/// Describes an envelope for display.
fn named(envelope: &Envelope) -> String {
    let Envelope { subject, event_id, origin, .. } = envelope;
    let key = subject.key.as_ref().map(|key| format!(" {}", visible_name(key))).unwrap_or_default();
    let (address, id) = (visible_name(&subject.address.to_string()), visible_name(event_id));
    format!("{}{key} to {address}, of event {} {id}", subject.slot, origin.event)
}

fn described(envelope: &Envelope, what: &str, value: &Value) -> Value {
    let Envelope { subject, event_id, origin, .. } = envelope;
    json!({
        "event": origin.event,
        "event_id": event_id,
        "address": subject.address.to_string(),
        "class": subject.class.as_str(),
        "slot": subject.slot,
        "key": subject.key,
        what: value,
    })
}

fn change(change: &Change) -> Value {
    json!({ "pointer": change.pointer, "before": change.before, "after": change.after })
}

fn refused((event, rejection): &(RawEvent, Rejection)) -> Value {
    json!({
        "event": event.position,
        "subject": event.subject,
        "reason": rejection.reason.as_str(),
        "text": rejection.text,
        "pointer": rejection.pointer,
    })
}

/// Finds where two envelopes differ: in the body, by JSON pointer, or in their metadata, by name.
fn differences(there: &Envelope, made: &Envelope) -> Vec<Change> {
    let about = |envelope: &Envelope| {
        let subject = &envelope.subject;
        let expires = envelope.expires_at.map(tidings_model::rfc3339);
        json!({
            "slot": subject.slot,
            "key": subject.key,
            "attributes": envelope.attributes,
            "expires": expires,
        })
    };
    let mut found = changes(&body(there), &body(made));
    let outside = changes(&about(there), &about(made)).into_iter();
    found.extend(outside.map(|change| {
        let pointer = change.pointer.trim_start_matches('/').to_owned();
        Change { pointer, ..change }
    }));
    if found.is_empty() {
        // The bytes differ and the values do not.
        found.push(Change {
            pointer: "the order or spelling of members".to_owned(),
            before: None,
            after: None,
        });
    }
    found
}

/// The body as JSON; as text, if it is no JSON.
fn body(envelope: &Envelope) -> Value {
    tidings_model::json::parse(&envelope.body)
        .unwrap_or_else(|_| String::from_utf8_lossy(&envelope.body).into_owned().into())
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= WIDTH {
        return text;
    }
    text.chars().take(WIDTH).chain(['…']).collect()
}
