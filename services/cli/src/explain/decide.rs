//! What became of an event for a user, by what is known of both. Pure.

use serde::Serialize;
use tidings_dispatcher::{Addressed, Reach};
use tidings_model::{Address, Attributes, Class};
use tidings_streams::StoredEnvelope;
use tidings_streams::deliveries::Status;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::evidence::{Device, Evidence, Expected};

/// The way of an event, and where it ended.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    pub(super) steps: Vec<Step>,
    pub(super) ending: Ending,
    /// The ending as a sentence.
    pub(super) summary: String,
}

/// One thing that happened, or is so.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// When, if that is known.
    #[serde(serialize_with = "tidings_model::serialize_optional_time")]
    pub(super) at: Option<OffsetDateTime>,
    pub(super) text: String,
}

/// Where an event ended for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    /// Nothing is known of it.
    Unknown,
    /// It waits until it is due.
    Scheduled,
    /// No projector has read it yet.
    NotProjected,
    /// The projector rejected it.
    Rejected,
    /// The catalog makes no message of it.
    NoMessage,
    /// Its messages are not there any more.
    Gone,
    /// None of its messages is for this user.
    NotMeant,
    /// A device has acknowledged it.
    Received,
    /// It was sent by another channel.
    Sent,
    /// It waits for a device.
    Waits,
}

impl Evidence {
    /// Explains what became of the event.
    pub(super) fn explain(&self) -> Explanation {
        let mut way = Way { steps: Vec::new() };
        let (ending, summary) = self.walk(&mut way);
        Explanation { steps: way.steps, ending, summary }
    }

    fn walk(&self, way: &mut Way) -> (Ending, String) {
        for (number, stored) in self.stored.iter().enumerate() {
            let again = if number == 0 { "" } else { " again, which is one event with the first" };
            way.at(stored.at, format!("stored in EVENTS at {} as {}{again}", stored.position, stored.name));
        }
        if let Some(due) = self.scheduled {
            return (Ending::Scheduled, format!("it waits in SCHEDULED until {}", shown(due)));
        }
        if let Some(rejection) = self.rejection.as_ref().filter(|_| self.envelopes.is_empty()) {
            way.at(rejection.at, "kept in REJECTED".to_owned());
            let why = format!("the projector rejected it: {}: {}", rejection.reason, rejection.text);
            return (Ending::Rejected, why);
        }
        if self.envelopes.is_empty() {
            return self.without_envelopes(way);
        }
        self.with_envelopes(way)
    }

    fn without_envelopes(&self, way: &mut Way) -> (Ending, String) {
        if self.stored.is_empty() && self.facts.is_empty() && self.waiting.is_empty() {
            let text = format!(
                "neither EVENTS nor ENVELOPES has an event {:?}: it was never published for this tenant, or is too old",
                self.event
            );
            return (Ending::Unknown, text);
        }
        if !self.is_projected && !self.stored.is_empty() {
            return (Ending::NotProjected, "no projector has read it yet".to_owned());
        }
        let delivered = self.deliveries(way);
        match &self.expected {
            Some(Ok(expected)) if expected.is_empty() => {
                (Ending::NoMessage, "the catalog makes no message of it".to_owned())
            }
            Some(Err(why)) => (Ending::NoMessage, format!("the catalog makes no message of it: {why}")),
            Some(Ok(expected)) => {
                let gone: Vec<_> = expected.iter().map(|message| self.gone(message)).collect();
                let summary = format!("its messages are not there any more: {}", gone.join("; "));
                delivered.unwrap_or((Ending::Gone, summary))
            }
            None => delivered.unwrap_or((Ending::Gone, "its messages are not there any more".to_owned())),
        }
    }

    /// Why an expected message is not there.
    fn gone(&self, expected: &Expected) -> String {
        let what = named(&expected.subject.slot, &expected.subject.address);
        let Expected { newer, expires_at, purged_at, .. } = expected;
        let why = if let Some(newer) = newer {
            format!("was replaced or retracted by event {newer:?}")
        } else if let Some(at) = expires_at.filter(|at| *at <= self.now) {
            format!("expired at {}", shown(at))
        } else if let Some(at) = purged_at {
            format!("was purged at {}", shown(*at))
        } else if expected.subject.class == Class::Ephemeral {
            "was for connected devices only".to_owned()
        } else {
            "is held back by its `max_rate`, or is older than `streams.envelopes_max_age`".to_owned()
        };
        let addressed = Addressed {
            address: &expected.subject.address,
            attributes: &expected.attributes,
            sequence: u64::MAX,
        };
        let is_meant = addressed.user() == Some(&self.user)
            || self.devices.iter().any(|device| self.reach(&addressed, device) == Reach::Opens);
        if is_meant { format!("{what} {why}") } else { format!("{what}, not for {:?}, {why}", self.user) }
    }

    fn with_envelopes(&self, way: &mut Way) -> (Ending, String) {
        let count = self.envelopes.len();
        let messages = if count == 1 { "message" } else { "messages" };
        way.at(self.envelopes[0].stored_at, format!("projected to {count} {messages} in ENVELOPES"));
        let (mut received, mut waits, mut why_not) = (None, None, Vec::new());
        for stored in &self.envelopes {
            let fate = self.of_envelope(stored);
            let (Fate::Received(text) | Fate::Waits(text) | Fate::NotMeant(text)) = &fate;
            let what = named(&stored.envelope.subject.slot, &stored.envelope.subject.address);
            way.say(format!("envelope {}, {what}: {text}", stored.sequence));
            match fate {
                Fate::Received(text) => received = received.or(Some(text)),
                Fate::Waits(text) => waits = waits.or(Some(text)),
                Fate::NotMeant(text) => why_not.push(text),
            }
        }
        if let Some(disabled) = &self.disabled {
            way.say(format!("user {:?} is disabled: {disabled}", self.user));
        }
        let delivered = self.deliveries(way);
        match (received, delivered, waits) {
            (Some(received), Some((_, delivered)), _) => {
                (Ending::Received, format!("{received}; {delivered}"))
            }
            (Some(received), None, _) => (Ending::Received, received),
            (None, Some((Ending::Waits, delivered)), Some(waits)) => {
                (Ending::Waits, format!("{waits}; {delivered}"))
            }
            (None, Some(delivered), _) => delivered,
            (None, None, Some(waits)) => (Ending::Waits, waits),
            (None, None, None) => {
                why_not.dedup();
                (Ending::NotMeant, format!("none is for {:?}: {}", self.user, why_not.join("; ")))
            }
        }
    }

    /// What became of one envelope.
    fn of_envelope(&self, stored: &StoredEnvelope) -> Fate {
        let envelope = &stored.envelope;
        let (address, attributes) = (&envelope.subject.address, &envelope.attributes);
        let addressed = Addressed { address, attributes, sequence: stored.sequence };
        let is_own = addressed.user() == Some(&self.user);
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        for device in &self.devices {
            match self.reach(&addressed, device) {
                Reach::Opens => open.push(device),
                reach => closed.push(why_closed(reach, address, attributes, device)),
            }
        }
        let has_read =
            |device: &&&Device| device.sequence.is_some_and(|sequence| sequence >= stored.sequence);
        if let Some(device) = open.iter().find(has_read) {
            let position = device.state.position;
            return Fate::Received(format!("received on device {:?}, which is at {position}", device.name));
        }
        if let Some(at) = envelope.expires_at.filter(|at| *at <= self.now) {
            return Fate::NotMeant(format!("it expired at {} before a device received it", shown(at)));
        }
        if open.is_empty() && is_own {
            let none = format!("waits for {:?}, who has no device that is kept", self.user);
            return Fate::Waits(none + "; one that comes starts where the catalog's `deliver` says");
        }
        if open.is_empty() && self.devices.is_empty() {
            return Fate::NotMeant(format!(
                "{:?} has no device, so that nothing is known of claims",
                self.user
            ));
        }
        if open.is_empty() {
            return Fate::NotMeant(closed.join(", "));
        }
        let now = u64::try_from(self.now.unix_timestamp()).unwrap_or_default();
        let waiting = open.iter().map(|device| {
            let is_here = device.state.is_connected(now);
            let here = if is_here { "is connected and has not acknowledged it" } else { "is not connected" };
            format!("{:?}, which {here} and is at {}", device.name, device.state.position)
        });
        Fate::Waits(format!("waits for device {}", waiting.collect::<Vec<_>>().join(", and for ")))
    }

    fn reach(&self, addressed: &Addressed<'_>, device: &Device) -> Reach {
        addressed.reach(&self.user, &device.state, device.is_in_place)
    }

    /// What the dispatcher did.
    fn deliveries(&self, way: &mut Way) -> Option<(Ending, String)> {
        let mut last = None;
        for stored in &self.facts {
            let fact = &stored.fact;
            let reason = fact.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let text = format!("{} {}{reason}", fact.channel, fact.status.as_str());
            way.at(stored.at, text.clone());
            let is_sent = matches!(last, Some((Status::Sent, _)));
            if !is_sent || fact.status == Status::Sent {
                last = Some((fact.status, format!("{text} at {}", shown(stored.at))));
            }
        }
        for waiting in &self.waiting {
            way.say(format!("{} waits until {}", waiting.channel, shown(waiting.due)));
        }
        match (last, self.waiting.first()) {
            (Some((Status::Sent, text)), _) => Some((Ending::Sent, text)),
            (last, Some(waiting)) => {
                let before = last.map(|(_, text)| format!("{text}, and ")).unwrap_or_default();
                let due = shown(waiting.due);
                Some((Ending::Waits, format!("{before}{} waits until {due}", waiting.channel)))
            }
            (Some((_, text)), None) => Some((Ending::Waits, text)),
            (None, None) => None,
        }
    }
}

/// The steps so far.
struct Way {
    steps: Vec<Step>,
}

impl Way {
    fn at(&mut self, at: OffsetDateTime, text: String) {
        self.steps.push(Step { at: Some(at), text });
    }

    fn say(&mut self, text: String) {
        self.steps.push(Step { at: None, text });
    }
}

/// What became of one envelope for the user.
enum Fate {
    Received(String),
    Waits(String),
    NotMeant(String),
}

/// Why a device does not receive an envelope.
fn why_closed(reach: Reach, address: &Address, attributes: &Attributes, device: &Device) -> String {
    let name = &device.name;
    match reach {
        Reach::Opens => String::new(),
        Reach::NotGranted => {
            let grants: Vec<_> = device.state.grants.iter().map(ToString::to_string).collect();
            let grants = if grants.is_empty() { "nothing".to_owned() } else { grants.join(", ") };
            format!("the claims of device {name:?} grant no {address}, but {grants}")
        }
        Reach::Started => format!("device {name:?} started behind it, at {}", device.state.position),
        Reach::NotSubscribed => format!("device {name:?} has not subscribed to {address}"),
        Reach::Older => format!("device {name:?} has subscribed to {address} later"),
        Reach::Filtered => {
            let attributes = serde_json::to_string(attributes).unwrap_or_default();
            format!("the filter of device {name:?} on {address} leaves out what has {attributes}")
        }
    }
}

fn named(slot: &str, address: &Address) -> String {
    format!("{slot:?} to {address}")
}

fn shown(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
