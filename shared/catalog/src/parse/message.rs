//! Parses `[[message]]`: the message types.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings_model::{Class, subject};

use super::sanitize::Defaults;
use super::{LONGEST_SPAN, Problems};
use crate::destination::{AddressTemplate, Destination};
use crate::file::{DestinationFile, MessageFile, to_json};
use crate::message::{EVENT_ROOTS, MAX_ATTRIBUTE_NAME_BYTES, MAX_ATTRIBUTES, MessageType};
use crate::schemas::Schemas;
use crate::template::{Path, Template, TextTemplate};

/// The default time to live of an ephemeral message: long enough for a gateway that reconnects, too short for a client
/// that was away.
const EPHEMERAL: Duration = Duration::from_secs(30);

/// What a body may have of its envelope.
const ENVELOPE_ID: &str = "envelope.id";

/// The maximum number of messages per unit of time in a rate.
const HIGHEST_RATE: u32 = 1_000;

impl Problems {
    pub(super) fn message(
        &mut self,
        file: MessageFile,
        schemas: &Schemas,
        defaults: &Defaults,
    ) -> Option<MessageType> {
        let place = format!("message `{}`", file.name);
        for name in [Some(&file.name), file.slot.as_ref()].into_iter().flatten() {
            if name.is_empty() || name.len() > 64 || subject::encode(name) != *name {
                self.add(&place, format!("{name:?} is not a name of 1 to 64 characters of A-Z a-z 0-9 _ -"));
            }
        }
        let slot = file.slot.unwrap_or_else(|| file.name.clone());
        let events: Vec<_> = file.events.iter().filter_map(|name| self.event(&place, name)).collect();
        if file.events.is_empty() {
            self.add(&place, "`events` names no event");
        }
        let schema = self.schema(&place, &file.schema, schemas);
        let to = file.to.into_vec();
        if to.is_empty() {
            self.add(&place, "`to` names no destination");
        }
        let to = to.into_iter().filter_map(|to| self.destination(&place, to)).collect();
        let class = self.class(&place, file.class.as_deref());
        let key = file.key.as_deref().and_then(|key| self.text(&place, key));
        match (class, file.key.is_some()) {
            (Some(Class::Latest), false) => {
                self.add(&place, "class `latest` needs a `key`: of what is it the newest?");
            }
            (Some(Class::Durable), true) => self.add(
                &place,
                "only class `latest` has a `key`, and a message that another one of its slot replaces or retracts",
            ),
            (Some(Class::Ephemeral), true) if file.max_rate.is_none() => {
                self.add(&place, "only class `latest` has a `key`, and `ephemeral` if it has a `max_rate`");
            }
            _ => {}
        }
        let stated = file.ttl.as_deref().and_then(|ttl| self.time_to_live(&place, ttl));
        let time_to_live = stated.or((class == Some(Class::Ephemeral)).then_some(EPHEMERAL));
        let interval = file.max_rate.as_deref().and_then(|rate| self.interval(&place, rate));
        if let Some(interval) = interval {
            self.check_interval(&place, interval, class, time_to_live);
        }
        let paths = || key.iter().flat_map(TextTemplate::paths);
        if let Some(path) = paths().next().filter(|_| paths().all(Path::is_optional)) {
            self.add(
                &place,
                format!("`key` may not be optional, as {{{path}?}} is: of what is it the newest?"),
            );
        }
        let attributes = self.attributes(&place, &file.attributes);
        let body = self.body(&place, file.body);
        let fallbacks = self.fallbacks(&place, file.fallback, (class, time_to_live), body.as_ref());
        let category = self.category(&place, file.category.as_deref(), &slot);
        let sanitizer = self.sanitizer(&place, (file.text, file.unknown.as_deref()), body.as_ref(), defaults);
        let schema_text = sanitizer.drops_unknown.then(|| schemas.whole(&file.schema)).flatten();
        let sanitizer = sanitizer.with_schema(schema_text.as_ref());
        Some(MessageType {
            name: file.name,
            slot,
            events,
            schema: schema?,
            to,
            class: class?,
            key,
            time_to_live,
            interval,
            attributes,
            body: body?,
            sanitizer,
            category: category?,
            is_critical: file.critical,
            fallbacks,
        })
    }

    fn attributes(&mut self, place: &str, file: &BTreeMap<String, String>) -> BTreeMap<String, TextTemplate> {
        if file.len() > MAX_ATTRIBUTES {
            self.add(place, format!("{} attributes are more than {MAX_ATTRIBUTES}", file.len()));
        }
        for name in file.keys().filter(|name| name.len() > MAX_ATTRIBUTE_NAME_BYTES) {
            self.add(place, format!("attribute {name:?} is longer than {MAX_ATTRIBUTE_NAME_BYTES} bytes"));
        }
        file.iter().filter_map(|(name, text)| Some((name.clone(), self.attribute(place, text)?))).collect()
    }

    fn schema(&mut self, place: &str, name: &str, schemas: &Schemas) -> Option<jsonschema::Validator> {
        if !schemas.has(name) {
            self.add(place, format!("schema file {name:?} is not there"));
            return None;
        }
        self.take(name, schemas.validator(name))
    }

    fn destination(&mut self, place: &str, file: DestinationFile) -> Option<Destination> {
        let (address, conditions) = match file {
            DestinationFile::Address(address) => (address, toml::Table::new()),
            DestinationFile::Conditional(conditional) => (conditional.address, conditional.when),
        };
        let address = self.take(place, AddressTemplate::parse(&address))?;
        address.paths().for_each(|path| self.check_root(place, path));
        let mut when = Vec::new();
        for (path, value) in conditions {
            let path = self.take(place, Path::parse(&path))?;
            self.check_path(place, &path);
            when.push((path, self.take(place, to_json(value))?));
        }
        Some(Destination { address, when })
    }

    fn class(&mut self, place: &str, class: Option<&str>) -> Option<Class> {
        class.map_or(Some(Class::default()), |class| self.take(place, class.parse()))
    }

    fn time_to_live(&mut self, place: &str, text: &str) -> Option<Duration> {
        let wrong = || format!("ttl {text:?} is no span of whole seconds, at most ten years, such as \"1h\"");
        let fits = |ttl: &Duration| ttl.as_secs() >= 1 && ttl.subsec_nanos() == 0 && *ttl <= LONGEST_SPAN;
        self.take(place, humantime::parse_duration(text).ok().filter(fits).ok_or_else(wrong))
    }

    /// Returns the time between two messages of a rate such as `10/s`, `1/min` or `1/h`.
    fn interval(&mut self, place: &str, rate: &str) -> Option<Duration> {
        let parse = || {
            let (count, unit) = rate.split_once('/')?;
            let unit = match unit {
                "s" => 1,
                "min" => 60,
                "h" => 60 * 60,
                _ => return None,
            };
            let count = count.parse().ok().filter(|count| (1..=HIGHEST_RATE).contains(count))?;
            Duration::from_secs(unit).checked_div(count)
        };
        let wrong = || {
            format!("max_rate {rate:?} is none such as \"1/s\", \"10/min\" or \"1/h\", up to {HIGHEST_RATE}")
        };
        self.take(place, parse().ok_or_else(wrong))
    }

    fn check_interval(
        &mut self,
        place: &str,
        interval: Duration,
        class: Option<Class>,
        time_to_live: Option<Duration>,
    ) {
        if class == Some(Class::Durable) {
            self.add(place, "class `durable` has no `max_rate`: each of its messages matters");
        }
        if let Some(ttl) = time_to_live.filter(|ttl| *ttl <= interval) {
            // A message that is held back longer than its time to live would expire before it is sent.
            let (ttl, interval) = (humantime::format_duration(ttl), humantime::format_duration(interval));
            self.add(
                place,
                format!("`ttl` {ttl} is not longer than {interval}, the time between two by `max_rate`"),
            );
        }
    }

    fn attribute(&mut self, place: &str, text: &str) -> Option<TextTemplate> {
        let template = self.take(place, TextTemplate::parse(text))?;
        template.paths().for_each(|path| self.check_root(place, path));
        if template.paths().count() > 1 && template.paths().any(Path::has_each) {
            self.add(place, format!("attribute {text:?} has a [*] and another path beside it"));
        }
        Some(template)
    }

    fn text(&mut self, place: &str, text: &str) -> Option<TextTemplate> {
        let template = self.take(place, TextTemplate::parse(text))?;
        template.paths().for_each(|path| self.check_path(place, path));
        Some(template)
    }

    fn body(&mut self, place: &str, body: toml::Value) -> Option<Template> {
        let body = self.take(place, to_json(body))?;
        let template = self.take(place, Template::parse(&body))?;
        if !template.is_object() {
            self.add(place, "`body` is not a table: a message is a JSON object");
        }
        let of_event = |path: &&Path| path.to_string() != ENVELOPE_ID;
        template.paths().into_iter().filter(of_event).for_each(|path| self.check_path(place, path));
        Some(template)
    }

    /// Checks a path to one value of the event.
    fn check_path(&mut self, place: &str, path: &Path) {
        self.check_root(place, path);
        self.check_single(place, path);
    }

    fn check_root(&mut self, place: &str, path: &Path) {
        if !EVENT_ROOTS.contains(&path.root()) {
            self.add(place, format!("{{{path}}} begins with none of {}", EVENT_ROOTS.join(", ")));
        }
    }
}
