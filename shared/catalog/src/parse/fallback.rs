//! Parses `[[message.fallback]]`: by which channels a message goes to a user who has not received it by then.

use std::time::Duration;

use serde_json::Value;
use tidings_model::{ChannelKind, Class};

use super::Problems;
use crate::fallback::{Fallback, Unless};
use crate::file::{FallbackFile, to_json};
use crate::message::MessageType;
use crate::template::{Path, Step, Template, TextTemplate};

/// The longest wait: what waits must outlive it.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The maximum number of fallbacks of a message.
const MOST: usize = 8;

impl Problems {
    /// Parses the fallbacks of a message with this class, time to live and body.
    pub(super) fn fallbacks(
        &mut self,
        place: &str,
        files: Vec<FallbackFile>,
        (class, time_to_live): (Option<Class>, Option<Duration>),
        body: Option<&Template>,
    ) -> Vec<Fallback> {
        if class == Some(Class::Ephemeral) && !files.is_empty() {
            self.add(place, "class `ephemeral` has no fallback: it is only for users who are connected");
        }
        if files.len() > MOST {
            self.add(place, format!("{} fallbacks are more than {MOST}", files.len()));
        }
        let mut fallbacks: Vec<Fallback> = Vec::new();
        for (number, file) in (1..).zip(files) {
            let place = format!("{place}, fallback {number}");
            let Some(fallback) = self.fallback(&place, file, body) else { continue };
            let span = humantime::format_duration(fallback.after);
            if time_to_live.is_some_and(|ttl| ttl <= fallback.after) {
                self.add(&place, format!("`after` {span} is not shorter than the message's `ttl`"));
            }
            if fallbacks.last().is_some_and(|earlier| earlier.after > fallback.after) {
                self.add(&place, format!("`after` {span} is before that of the fallback above it"));
            }
            fallbacks.push(fallback);
        }
        fallbacks
    }

    fn fallback(&mut self, place: &str, file: FallbackFile, body: Option<&Template>) -> Option<Fallback> {
        let channel: Option<ChannelKind> = self.take(place, file.channel.parse());
        if let Some(channel) = channel {
            self.check_templates(place, channel, &file);
        }
        let after = self.wait(place, &file.after);
        let unless = match file.unless.as_deref() {
            None | Some("received") => Some(Unless::Received),
            Some("connected") => Some(Unless::Connected),
            Some(other) => {
                self.add(place, format!("`unless` is {other:?}, expected \"received\" or \"connected\""));
                None
            }
        };
        let mut text = |text: Option<String>| {
            let template = self.take(place, TextTemplate::parse(&text?))?;
            template.paths().for_each(|path| self.check_member(place, path, body));
            Some(template)
        };
        let (subject, html) = (text(file.subject), text(file.html));
        let text = text(file.text);
        let payload = file.payload.and_then(|payload| {
            let template = self.take(place, to_json(payload))?;
            let template = self.take(place, Template::parse(&template))?;
            template.paths().into_iter().for_each(|path| self.check_member(place, path, body));
            Some(template)
        });
        let (channel, after, unless) = (channel?, after?, unless?);
        Some(Fallback { channel, after, unless, subject, text, html, payload })
    }

    fn wait(&mut self, place: &str, text: &str) -> Option<Duration> {
        let wrong = || format!("after {text:?} is no span up to 30 days, such as \"0s\" or \"10m\"");
        let parsed = humantime::parse_duration(text).ok().filter(|after| *after <= LONGEST_WAIT);
        self.take(place, parsed.ok_or_else(wrong))
    }

    /// Checks that a channel has the templates that it needs, and no others.
    fn check_templates(&mut self, place: &str, channel: ChannelKind, file: &FallbackFile) {
        let given = [
            ("subject", file.subject.is_some()),
            ("text", file.text.is_some()),
            ("html", file.html.is_some()),
            ("payload", file.payload.is_some()),
        ];
        let (needed, possible): (&[&str], &[&str]) = match channel {
            ChannelKind::Webhook => (&[], &["payload"]),
            ChannelKind::Email => (&["subject", "text"], &["subject", "text", "html"]),
            ChannelKind::Sns => (&["text"], &["subject", "text"]),
            ChannelKind::WebPush => (&["payload"], &["payload"]),
        };
        for (name, is_given) in given {
            if is_given && !possible.contains(&name) {
                let others = possible.join(", ");
                self.add(place, format!("channel `{channel}` has no `{name}`; it has {others}"));
            }
            if !is_given && needed.contains(&name) {
                self.add(place, format!("channel `{channel}` needs `{name}`"));
            }
        }
    }

    /// Checks a path to one value of the message.
    fn check_member(&mut self, place: &str, path: &Path, body: Option<&Template>) {
        self.check_single(place, path);
        if body.is_some_and(|body| !may_have(body, path)) {
            self.add(
                place,
                format!("the message has no {{{path}}}: here, paths begin with the members of its `body`"),
            );
        }
    }

    /// Gateways and dispatchers know a message by its slot.
    pub(super) fn check_fallback_slots(&mut self, messages: &[MessageType]) {
        for message in messages.iter().filter(|message| !message.fallbacks.is_empty()) {
            let mut others = messages.iter().filter(|other| other.name != message.name);
            if let Some(other) = others.find(|other| other.slot == message.slot) {
                let text = format!(
                    "it has a fallback, and message `{}` the same slot; it needs its own",
                    other.name
                );
                self.add(&format!("message `{}`", message.name), text);
            }
        }
    }
}

/// Whether what a template renders may have a value at a path.
fn may_have(body: &Template, path: &Path) -> bool {
    let root = Step::Member(path.root().to_owned());
    let steps: Vec<_> = std::iter::once(&root).chain(path.steps()).collect();
    has_steps(body, &steps)
}

fn has_steps(template: &Template, steps: &[&Step]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    match (template, step) {
        // What an event has there is up to its producer.
        (Template::Place(_), _) => true,
        (Template::Object(members), Step::Member(name)) => {
            members.iter().any(|(member, value)| member == name && has_steps(value, rest))
        }
        (Template::Array(elements), Step::Element(index)) => {
            elements.get(*index).is_some_and(|element| has_steps(element, rest))
        }
        (Template::Literal(value), step) => {
            let found = match step {
                Step::Member(name) => value.get(name),
                Step::Element(index) => value.get(index),
                Step::Each | Step::Words => None,
            };
            found.is_some_and(|found| has_steps(&Template::Literal(Value::clone(found)), rest))
        }
        _ => false,
    }
}
