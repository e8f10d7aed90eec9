//! From the files of a tenant's folder to a checked catalog, naming every mistake.

mod publish;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tidings_model::{Address, Class, EventName, Tenant, subject};

use crate::catalog::{Catalog, Route, StartPolicy, Topic};
use crate::destination::{AddressTemplate, Destination, KeyRule};
use crate::file::{CatalogFile, DestinationFile, MessageFile, RouteFile, TopicFile, to_json};
use crate::message::{EVENT_ROOTS, MAX_ATTRIBUTE_NAME_BYTES, MAX_ATTRIBUTES, MessageType};
use crate::template::{Path, Template, TextTemplate};

/// The texts of a tenant's folder by their path in it, such as `catalog.toml`.
pub type Files = BTreeMap<String, String>;

/// The verbs of the protocol itself, which no route can take.
const OWN_VERBS: [&str; 5] = ["subscribe", "unsubscribe", "ping", "ack", "authenticate"];

/// How long an ephemeral message lives if its catalog says nothing: long enough for a gateway that
/// reconnects, too short for anybody who was away.
const EPHEMERAL: Duration = Duration::from_secs(30);

/// The most messages per unit of time that a rate may name.
const HIGHEST_RATE: u32 = 1_000;

/// The longest span of time in a catalog, ten years: instants that far away can still be computed.
const LONGEST_SPAN: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

impl Catalog {
    /// Reads `catalog.toml` and the schemas that it names.
    pub fn parse(tenant: &Tenant, files: &Files) -> Result<Self, CatalogError> {
        let mut problems = Problems::default();
        let catalog = problems.parse(tenant, files);
        match catalog {
            Some(catalog) if problems.0.is_empty() => Ok(catalog),
            _ => Err(CatalogError { tenant: tenant.clone(), problems: problems.0 }),
        }
    }
}

/// A catalog with mistakes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CatalogError {
    /// Whose catalog it is.
    pub tenant: Tenant,
    /// Every mistake.
    pub problems: Vec<Problem>,
}

impl fmt::Display for CatalogError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the catalog of tenant {} cannot be used:", self.tenant)?;
        self.problems.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}

/// One mistake in a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: the file, or the message and the member.
    pub place: String,
    /// What is wrong and what was expected.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.text)
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, place: &str, text: impl fmt::Display) {
        self.0.push(Problem { place: place.to_owned(), text: text.to_string() });
    }

    /// The value, or a noted problem.
    fn take<T, E: fmt::Display>(&mut self, place: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(place, error)).ok()
    }

    fn parse(&mut self, tenant: &Tenant, files: &Files) -> Option<Catalog> {
        let text = files.get("catalog.toml").ok_or("there is no such file");
        let text = self.take("catalog.toml", text)?;
        let file: CatalogFile = self.take("catalog.toml", toml::from_str(text))?;

        let keys: Vec<_> = file.keys.iter().filter_map(|key| self.key_rule(key)).collect();
        let start = self.start_policy(&file.deliver);
        let topic_names: HashSet<_> = file.topics.keys().cloned().collect();
        let topics = file.topics.into_iter().filter_map(|(name, topic)| self.topic(name, topic));
        let topics: BTreeMap<_, _> = topics.collect();
        let events = file.message.iter().flat_map(|message| message.events.iter().cloned()).collect();
        let around = publish::Surroundings { keys: &keys, routes: &file.routes, events: &events };
        let publish = file.publish.into_iter().filter_map(|rule| self.publish_rule(rule, &around)).collect();
        let mut messages = Vec::new();
        // What is wrong with these is said already; nothing is said for want of them.
        let mut broken = HashSet::new();
        for message in file.message {
            let slot = message.slot.as_ref().unwrap_or(&message.name).clone();
            match self.message(message, files) {
                Some(message) => messages.push(message),
                None => drop(broken.insert(slot)),
            }
        }
        self.check_names(&messages);
        self.check_topics(&messages, &topic_names);
        let routes = file.routes.into_iter();
        let routes =
            routes.filter_map(|(verb, route)| self.route(verb, &route, &messages, &broken)).collect();
        let by_event = self.index(&messages);
        let (tenant, start) = (tenant.clone(), start?);
        Some(Catalog { tenant, start, keys, topics, messages, routes, publish, by_event })
    }

    fn key_rule(&mut self, text: &str) -> Option<KeyRule> {
        let address = self.take("keys", AddressTemplate::parse(text))?;
        if address.paths().any(Path::has_each) {
            self.add("keys", format!("{text:?} has a [*]: a list claim opens one key per element by itself"));
        }
        Some(KeyRule::new(address))
    }

    fn start_policy(&mut self, text: &str) -> Option<StartPolicy> {
        match text {
            "new" => Some(StartPolicy::New),
            "all" => Some(StartPolicy::All),
            span => {
                let wrong = || format!("{span:?} is none of \"new\", \"all\" or a span such as \"7d\"");
                let parsed = humantime::parse_duration(span).ok().filter(|span| *span <= LONGEST_SPAN);
                self.take("deliver", parsed.ok_or_else(wrong)).map(StartPolicy::Since)
            }
        }
    }

    fn topic(&mut self, name: String, file: TopicFile) -> Option<(String, Topic)> {
        let place = format!("topics.{name}");
        let address = self.take(&place, Address::topic(&name))?;
        let entitled = match file.roles {
            None => None,
            Some(roles) => {
                let keys = roles.iter().map(|role| Address::new("role", role)).collect();
                Some(self.take(&place, keys)?)
            }
        };
        Some((name, Topic { address, entitled }))
    }

    fn message(&mut self, file: MessageFile, files: &Files) -> Option<MessageType> {
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
        let schema = self.schema(&place, &file.schema, files);
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
            (Some(Class::Durable), true) => self.add(&place, "only class `latest` has a `key`"),
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
        if let Some(path) = key.iter().flat_map(TextTemplate::paths).find(|path| path.is_optional()) {
            self.add(
                &place,
                format!("`key` may not be optional, as {{{path}?}} is: of what is it the newest?"),
            );
        }
        let attributes = self.attributes(&place, &file.attributes);
        let body = self.body(&place, file.body);
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
        })
    }

    fn attributes(&mut self, place: &str, file: &BTreeMap<String, String>) -> BTreeMap<String, TextTemplate> {
        if file.len() > MAX_ATTRIBUTES {
            self.add(place, format!("{} attributes are more than {MAX_ATTRIBUTES}", file.len()));
        }
        for name in file.keys().filter(|name| name.len() > MAX_ATTRIBUTE_NAME_BYTES) {
            self.add(place, format!("attribute {name:?} is longer than {MAX_ATTRIBUTE_NAME_BYTES} bytes"));
        }
        file.iter().filter_map(|(name, text)| Some((name.clone(), self.text(place, text)?))).collect()
    }

    fn event(&mut self, place: &str, name: &str) -> Option<EventName> {
        let wrong = || format!("event {name:?} is not of the form entity.action");
        self.take(place, EventName::parse(name).ok_or_else(wrong))
    }

    fn schema(&mut self, place: &str, name: &str, files: &Files) -> Option<jsonschema::Validator> {
        let text = files.get(name).ok_or_else(|| format!("schema file {name:?} is not there"));
        let text = self.take(place, text)?;
        let schema: Value = self.take(name, serde_json::from_str(text))?;
        self.take(name, jsonschema::validator_for(&schema))
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

    /// The time between two messages of a rate such as `10/s`, `1/min` or `1/h`.
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
            // What is held back would expire before its turn comes.
            let (ttl, interval) = (humantime::format_duration(ttl), humantime::format_duration(interval));
            self.add(
                place,
                format!("`ttl` {ttl} is not longer than {interval}, the time between two by `max_rate`"),
            );
        }
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
        template.paths().into_iter().for_each(|path| self.check_path(place, path));
        Some(template)
    }

    /// A path to one value of the event.
    fn check_path(&mut self, place: &str, path: &Path) {
        self.check_root(place, path);
        self.check_single(place, path);
    }

    fn check_single(&mut self, place: &str, path: &Path) {
        if path.has_each() {
            self.add(place, format!("{{{path}}} has a [*], which only the addresses in `to` may have"));
        }
    }

    fn check_root(&mut self, place: &str, path: &Path) {
        if !EVENT_ROOTS.contains(&path.root_name()) {
            self.add(place, format!("{{{path}}} begins with none of {}", EVENT_ROOTS.join(", ")));
        }
    }

    fn route(
        &mut self,
        verb: String,
        file: &RouteFile,
        messages: &[MessageType],
        broken: &HashSet<String>,
    ) -> Option<(String, Route)> {
        let place = format!("routes.{verb}");
        if OWN_VERBS.contains(&verb.as_str()) {
            self.add(&place, "the protocol has a meaning of its own for this verb");
        }
        let newest = messages.iter().filter(|m| m.slot == file.message && m.class == Class::Latest);
        let newest: Vec<_> = newest.collect();
        let kinds = newest.iter().flat_map(|m| &m.to).map(|to| to.address.kind().to_owned()).collect();
        if newest.is_empty() && !broken.contains(&file.message) {
            self.add(
                &place,
                format!("there is no message of class `latest` with name or slot {:?}", file.message),
            );
        }
        let key = self.take(&place, TextTemplate::parse(&file.key))?;
        key.paths().for_each(|path| self.check_single(&place, path));
        Some((verb, Route { slot: file.message.clone(), kinds, key }))
    }

    fn check_names(&mut self, messages: &[MessageType]) {
        let mut seen = HashSet::new();
        for message in messages.iter().filter(|message| !seen.insert(&message.name)) {
            self.add(&format!("message `{}`", message.name), "there are two of this name");
        }
    }

    fn check_topics(&mut self, messages: &[MessageType], topics: &HashSet<String>) {
        for message in messages {
            let named = message.to.iter().filter_map(|to| to.address.literal_topic());
            for topic in named.filter(|topic| !topics.contains(*topic)) {
                self.add(
                    &format!("message `{}`", message.name),
                    format!("topic {topic:?} is not under [topics], so nobody could subscribe to it"),
                );
            }
        }
    }

    fn index(&mut self, messages: &[MessageType]) -> HashMap<EventName, Vec<usize>> {
        let mut by_event: HashMap<EventName, Vec<usize>> = HashMap::new();
        for (index, message) in messages.iter().enumerate() {
            for event in &message.events {
                let others = by_event.entry(event.clone()).or_default();
                let twin = others.iter().find_map(|&o| messages.get(o).filter(|m| m.slot == message.slot));
                if let Some(twin) = twin {
                    // Gateways tell the messages of one event apart by their slot.
                    self.add(
                        &format!("message `{}`", message.name),
                        format!(
                            "message `{}` makes an envelope of event {event} in the same slot",
                            twin.name
                        ),
                    );
                }
                others.push(index);
            }
        }
        by_event
    }
}
